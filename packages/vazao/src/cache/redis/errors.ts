export type RedisTierErrorCode = 'ERR_REDIS_OPTIONS';

/** The second tier can't be set up. What happens to Redis later is no error: it is left out until it is back. */
export class RedisTierError extends Error {
  override readonly name = 'RedisTierError';
  readonly code: RedisTierErrorCode;

  constructor(code: RedisTierErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
