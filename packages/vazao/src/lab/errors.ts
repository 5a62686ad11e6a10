/** Errors of the lab. `code` is stable; messages say what to do. */
export type LabErrorCode =
  /** A value that is not allowed: of a plan, a criterion, a schedule, an option. */
  | 'ERR_LAB_OPTION'
  /** The module has no scenario, or one that can't run. */
  | 'ERR_LAB_SCENARIO'
  /** The target is another machine, and nobody said whose. */
  | 'ERR_LAB_TARGET'
  /** A user of the scenario could not log in, or nothing answers at the target. */
  | 'ERR_LAB_START'
  /** A thread of the generator ended. */
  | 'ERR_LAB_ENGINE';

export class LabError extends Error {
  readonly code: LabErrorCode;

  constructor(code: LabErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LabError';
    this.code = code;
  }
}
