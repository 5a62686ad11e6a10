/** Errors of `vazao torture`. `code` is stable; messages say what to do. */
export type TortureErrorCode = 'ERR_TORTURE_OPTION' | 'ERR_TORTURE_PROFILE' | 'ERR_TORTURE_START' | 'ERR_TORTURE_END';

export class TortureError extends Error {
  readonly code: TortureErrorCode;

  constructor(code: TortureErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TortureError';
    this.code = code;
  }
}
