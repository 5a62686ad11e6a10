/** Errors of the plugin. `code` is stable; messages are for people and say what to do. */
export type HttpErrorCode =
  /** The plugin must be registered before hooks, so that it can see what they read. */
  | 'ERR_HTTP_PLUGIN_ORDER'
  /** `config.cache` of a route is not what it may be. */
  | 'ERR_HTTP_CACHE_OPTIONS'
  /** An option of the limits, or `config.class` or `config.limit` of a route, is not what it may be. */
  | 'ERR_HTTP_LIMITS_OPTIONS'
  /** The option `timing` would show timings to everybody in production, or lacks a secret. */
  | 'ERR_HTTP_TIMING'
  /** The plugin option `live` is not what it may be. */
  | 'ERR_HTTP_LIVE_OPTIONS';

export class HttpError extends Error {
  readonly code: HttpErrorCode;

  constructor(code: HttpErrorCode, message: string) {
    super(message);
    this.name = 'HttpError';
    this.code = code;
  }
}
