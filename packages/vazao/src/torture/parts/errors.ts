/** Errors of the parts that torture and tests start. `code` is stable; messages say what to do. */
export type PartErrorCode =
  | 'ERR_PART_MISSING'
  | 'ERR_PART_OPTION'
  | 'ERR_PART_PROGRAM'
  | 'ERR_PART_START'
  | 'ERR_PART_STATE'
  | 'ERR_PART_TIMEOUT';

export class PartError extends Error {
  readonly code: PartErrorCode;

  constructor(code: PartErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PartError';
    this.code = code;
  }
}
