export type CacheErrorCode =
  /** An option of `createCache` or `read` is not what it may be. */
  | 'ERR_CACHE_OPTIONS'
  /** A key is empty, or holds what no key can. */
  | 'ERR_CACHE_KEY'
  /** A value can't be kept: told to `onProblem`, and given as it is. */
  | 'ERR_CACHE_VALUE'
  /** `read` was called after `close`. */
  | 'ERR_CACHE_CLOSED';

/** `code` is stable; messages are for people and say what to do. */
export class CacheError extends Error {
  override readonly name = 'CacheError';
  readonly code: CacheErrorCode;

  constructor(code: CacheErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
