/** Whether it is PostgreSQL's code of an error (SQLSTATE), and not that of a socket (`EPIPE` has five letters, too) or of pg. */
export function isSqlState(code: unknown): code is string {
  return typeof code === 'string' && /^(?!E[A-Z]+$)[0-9A-Z]{5}$/.test(code);
}
