/**
 * What travels between the supervisor's fan-out and the feed of a worker. Values are those of the structured clone
 * algorithm: bigint, Set and Map travel as they are.
 */
import type { Commit, EpochReason } from './events.ts';
import type { Snapshot } from './snapshot.ts';
import type { FeedStatus } from './status.ts';

/** To a worker. */
export interface FanOutMessage {
  readonly kind: 'feed';
  /** 1, 2, 3 … to this worker. A hole means that something was lost. */
  readonly number: number;
  /** A list of {@link Told}, serialized once for all workers. */
  readonly body: Uint8Array;
}

/** From a worker. */
export interface FanOutReply {
  readonly kind: 'feed';
  /** The highest number that has been dealt with. */
  readonly taken: number;
  /**
   * The worker does not follow, or no longer: it asks for a hello. With `silence` it has waited for messages and none came,
   * so whatever it has not taken will never arrive. With `newcomer` it does follow, and somebody has joined who reads the same
   * messages: the hello goes on from the message before it, for those who have that.
   */
  readonly wantsHello?: 'lost' | 'silence' | 'newcomer' | undefined;
  /** Somebody waits for this position. */
  readonly nudge?: bigint | undefined;
}

/** What happened in one turn of the supervisor's feed, in order. */
export type Told =
  /** With `continues` whoever has the message before this one goes on as if there were none. */
  | { readonly kind: 'hello'; readonly standing: Standing; readonly continues?: true }
  | { readonly kind: 'epoch'; readonly reason: EpochReason; readonly standing: Standing }
  | { readonly kind: 'schema'; readonly standing: Standing }
  | { readonly kind: 'commit'; readonly commit: Commit }
  | { readonly kind: 'advance'; readonly position: bigint }
  /** `leftMs` is what was left of it when it was told: a length, for those who do not share the clock. */
  | { readonly kind: 'freshness'; readonly freshUntilMs: number; readonly leftMs: number }
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  | { readonly kind: 'problem'; readonly code: string; readonly message: string }
  | ({ readonly kind: 'beat' } & Pick<FeedStatus, 'state' | 'lastError' | 'lagMs'>);

/** Where the feed stands: all that a worker has to know beside the commits to come. */
export interface Standing {
  readonly position: bigint;
  readonly timeline: number;
  /** Of the feed, and the transactions that were told before and that no snapshot is known to see. */
  readonly suspects: ReadonlySet<bigint>;
  readonly published: ReadonlySet<number>;
  readonly freshUntilMs: number;
  readonly status: FeedStatus;
}

/** Milliseconds by the clock that all processes of a host share. `freshUntilMs` travels in these. */
export function hostClockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
