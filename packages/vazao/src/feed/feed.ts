/**
 * The feed: PostgreSQL's row changes, whoever made them, whole commits in the order of their commits.
 *
 * What the consumer is promised:
 * - every commit after the start of an epoch that changes a published table, once, in order, before `position` passes it;
 * - `isFresh()` only while a heartbeat emitted less than a lease ago has returned through the stream, so that everything
 *   committed before its emission has been delivered;
 * - exceptions to "every commit" are named in `suspects`.
 */
import type { FeedEvents } from './events.ts';
import type { FeedStatus } from './status.ts';
import type { WriteSink } from './write-sink.ts';

export interface Feed extends AsyncDisposable {
  /** Resolves when changes flow and the first heartbeat has come back. One attempt. Throws {@link FeedError}. */
  start(): Promise<void>;
  /** Ends everything; leaves neither slot nor connection. */
  close(): Promise<void>;
  /** Everything committed before this position has been delivered. Starts anew with an epoch. */
  readonly position: bigint;
  /** Whatever was derived under another epoch than this is unfounded. 0 before the first stream. */
  readonly epoch: number;
  /** PostgreSQL's: grows when a standby is promoted. Positions of different timelines don't compare. 0 before the first stream. */
  readonly timeline: number;
  /** How long a heartbeat took from the database to here. Grows while one is overdue. */
  readonly lagMs: number;
  /**
   * Transactions that the feed may not have seen whole. Read it *before* taking a snapshot; an answer whose snapshot
   * lists one of these as running must not be kept. Also drop answers begun before the `schema` event that made their
   * table published. The set is replaced, never altered.
   */
  readonly suspects: ReadonlySet<bigint>;
  /**
   * Oids of the tables whose every change arrives: ordinary tables, partitions, and partitioned tables all of whose
   * partitions are. Changes of a partition come under the partition's own oid. Alters with `epoch` and `schema` only.
   */
  readonly published: ReadonlySet<number>;
  /** Set where other writers go unseen (`app`): answers without a `ttl` must not be kept for longer, in milliseconds. */
  readonly ttlDefaultMs?: number | undefined;
  /** Where this process must tell of its own writes, after each commit. Only the source `app` asks for it. */
  readonly writes?: WriteSink | undefined;
  /** One read of the clock and one comparison. */
  isFresh(): boolean;
  /**
   * Resolves true as soon as everything committed before the position has been delivered; false at the time-out, when the
   * stream breaks, at a new epoch, or when too many wait. Give it what `FLUSHED_POSITION_SQL` says after the commit: the
   * insert position may lie after what is flushed, and then has to wait for somebody else's flush (a heartbeat, 10 ms).
   */
  waitFor(position: bigint, timeoutMs: number): Promise<boolean>;
  status(): FeedStatus;
  /** Adds a listener, called synchronously; the function returned removes it. A listener of `commit` that throws ends the stream. */
  on<Name extends keyof FeedEvents>(name: Name, listener: (...args: FeedEvents[Name]) => void): () => void;
}
