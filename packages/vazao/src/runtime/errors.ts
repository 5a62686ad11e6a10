/** Errors of starting and running. `code` is stable; messages are sentences for people and say what to do. */
export type RuntimeErrorCode =
  | 'ERR_RUNTIME_APPLICATION'
  | 'ERR_RUNTIME_CONFIGURATION'
  | 'ERR_RUNTIME_DATABASE'
  | 'ERR_RUNTIME_DATA_FOLDER'
  | 'ERR_RUNTIME_FEED'
  | 'ERR_RUNTIME_MIGRATION'
  | 'ERR_RUNTIME_PORT'
  | 'ERR_RUNTIME_POSTGRES_AS_ROOT'
  | 'ERR_RUNTIME_POSTGRES_MISSING'
  | 'ERR_RUNTIME_POSTGRES_START'
  | 'ERR_RUNTIME_REFUSED'
  | 'ERR_RUNTIME_RELOAD'
  | 'ERR_RUNTIME_SEED'
  | 'ERR_RUNTIME_UNSHARED'
  | 'ERR_RUNTIME_WORKERS';

export class RuntimeError extends Error {
  readonly code: RuntimeErrorCode;

  constructor(code: RuntimeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RuntimeError';
    this.code = code;
  }
}

/** The message of whatever was thrown, on one line. */
export function describeError(error: unknown): string {
  const message = error instanceof Error ? error.message || error.name : String(error);
  // A refused connection to a name with several addresses arrives as an AggregateError with an empty message.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(describeError).join('; ');
  // Some libraries put a stack into the message.
  const lines = message.split('\n').filter((line) => !/^\s+at /.test(line));
  return lines
    .map((line) => line.trim())
    .join(' ')
    .trim();
}

/** The `code` of an error of Node (`ENOENT`) or PostgreSQL (`28P01`). */
export function errorCode(error: unknown): string | undefined {
  if (error instanceof AggregateError && error.errors.length > 0) return errorCode(error.errors[0]);
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
