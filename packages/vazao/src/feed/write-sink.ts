/**
 * Takes word of what this process wrote itself. Only the source `app` has one; whoever runs statements tells it, after each
 * commit and before the caller learns of it.
 */
export interface WriteSink {
  /**
   * `marker` is a transaction that began and ended after the write was committed (`pg_current_xact_id()` on the same
   * connection): a snapshot that sees it sees the write.
   */
  wrote(write: { readonly position: bigint; readonly marker: bigint }): void;
  /** The connection broke before it was known what became of a write. */
  lost(): void;
}
