/** Errors of sessions, tokens and passwords. `code` is stable; `statusCode` is what Fastify answers when nobody translates. */
export type SecurityErrorCode =
  | 'ERR_SECURITY_CROSS_ORIGIN'
  | 'ERR_SECURITY_CSRF_TOKEN'
  | 'ERR_SECURITY_OPTIONS'
  | 'ERR_SECURITY_PASSWORD_LENGTH'
  | 'ERR_SECURITY_PASSWORDS_BUSY'
  | 'ERR_SECURITY_REFRESH_TOKEN'
  | 'ERR_SECURITY_SESSION_SIZE'
  | 'ERR_SECURITY_SESSION_STORE';

const STATUSES: Readonly<Record<SecurityErrorCode, number>> = {
  ERR_SECURITY_CROSS_ORIGIN: 403,
  ERR_SECURITY_CSRF_TOKEN: 403,
  ERR_SECURITY_OPTIONS: 500,
  ERR_SECURITY_PASSWORD_LENGTH: 400,
  ERR_SECURITY_PASSWORDS_BUSY: 503,
  ERR_SECURITY_REFRESH_TOKEN: 401,
  ERR_SECURITY_SESSION_SIZE: 500,
  ERR_SECURITY_SESSION_STORE: 503,
};

export class SecurityError extends Error {
  readonly code: SecurityErrorCode;
  readonly statusCode: number;

  constructor(code: SecurityErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SecurityError';
    this.code = code;
    this.statusCode = STATUSES[code];
  }
}
