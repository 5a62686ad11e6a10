/** Errors of starting and running. `code` is stable; messages are sentences for people and say what to do. */
export type RuntimeErrorCode =
  | 'ERR_RUNTIME_APPLICATION'
  | 'ERR_RUNTIME_CONFIGURATION'
  | 'ERR_RUNTIME_DATABASE'
  | 'ERR_RUNTIME_DATA_FOLDER'
  | 'ERR_RUNTIME_MIGRATION'
  | 'ERR_RUNTIME_PORT'
  | 'ERR_RUNTIME_POSTGRES_AS_ROOT'
  | 'ERR_RUNTIME_POSTGRES_MISSING'
  | 'ERR_RUNTIME_POSTGRES_START';

export class RuntimeError extends Error {
  readonly code: RuntimeErrorCode;

  constructor(code: RuntimeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RuntimeError';
    this.code = code;
  }
}
