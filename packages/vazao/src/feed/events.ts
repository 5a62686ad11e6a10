import type { Change } from '../readset/change.ts';
import type { Snapshot } from './snapshot.ts';

/** One transaction, whole. */
export interface Commit {
  /** 1, 2, 3 … within the process, never reused. */
  readonly sequence: number;
  /** End of the commit record in the WAL. */
  readonly position: bigint;
  /** Of the top-level transaction, 64 bits: the number that `pg_current_xact_id()` returned to the writer. */
  readonly xid: bigint;
  /** By the server's clock, since 1970, fractional. */
  readonly committedAtMs: number;
  /** By the clock of the host that read it from the database, since 1970, fractional. */
  readonly receivedAtMs: number;
  readonly changes: readonly Change[];
  /** The transaction changed the schema. {@link FeedEvents.schema} follows when the publication is in step with it. */
  readonly schemaChanged: boolean;
}

/** Why an epoch began. */
export type EpochReason = 'start' | 'stream lost' | 'new timeline' | 'publication changed' | 'schema changed';

/** The events, with the arguments of their listeners. */
export interface FeedEvents {
  commit: [commit: Commit];
  /** Whatever was derived from earlier commits is unfounded. Comes before any commit of the new stream. */
  epoch: [epoch: number, reason: EpochReason];
  /** `position` has moved on: comes after the commits before it, and also where there were none to tell of. */
  advance: [position: bigint];
  /**
   * `isFresh()` is true up to this moment of the feed's monotonic clock, in milliseconds; `-Infinity` when freshness is
   * taken back. Comes after the commits that it covers.
   */
  freshness: [freshUntilMs: number];
  /** Comes when every transaction that the snapshot sees has been delivered. Later snapshots see at least as much. */
  snapshot: [snapshot: Snapshot];
  /** The schema changed, and the publication is in step with it: {@link Feed.published} is up to date. */
  schema: [];
  /** Something failed that the feed will try again. */
  problem: [error: Error];
}

type Listener<Arguments extends readonly unknown[]> = (...args: Arguments) => void;

/** Calls listeners synchronously, in the order in which they were added. */
export class EventMap<Events extends { [Name in keyof Events]: unknown[] }> {
  readonly #listeners: { [Name in keyof Events]?: readonly Listener<Events[Name]>[] } = {};

  /** Adds a listener; the function returned removes it. */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void {
    this.#listeners[name] = [...(this.#listeners[name] ?? []), listener];
    return () => {
      this.#listeners[name] = (this.#listeners[name] ?? []).filter((candidate) => candidate !== listener);
    };
  }

  /** All listeners are called; then the first error that one of them threw is thrown. */
  emit<Name extends keyof Events>(name: Name, ...args: Events[Name]): void {
    let failed = false;
    let failure: unknown;
    for (const listener of this.#listeners[name] ?? []) {
      try {
        listener(...args);
      } catch (error) {
        failure ??= error;
        failed = true;
      }
    }
    if (failed) throw failure;
  }
}
