/**
 * One answer that clients follow, and where it stands.
 *
 *   current ── its entry ends ──► dirty ── its turn comes ──► computing ──► current, or dirty again if it ended meanwhile
 *
 * So a burst of changes costs one computation that runs and at most one more.
 */
import type { ResolvedRouteCacheOptions } from '../route-options.ts';
import type { Frame } from './frame.ts';
import type { LiveStream } from './stream.ts';

export class Topic {
  /** The key of the answer in the cache. */
  readonly key: string;
  readonly options: ResolvedRouteCacheOptions;
  readonly streams: Set<LiveStream> = new Set();
  /** The newest state that may be shown to everybody. */
  frame: Frame | undefined;
  isDirty = false;
  isComputing = false;
  /** It stands in a queue, or a timer will put it there. */
  isWaiting = false;
  /** Its last computation began. */
  startedAtMs: number = Number.NEGATIVE_INFINITY;
  /** Since when its state is known to be old; 0 while it is current. */
  dirtySinceMs = 0;
  /** Computations in a row that failed, or whose answer was not kept. */
  attempts = 0;
  timer: NodeJS.Timeout | undefined;
  /** Fires when the answer's time to live ends. */
  expiry: NodeJS.Timeout | undefined;
  /** Its last answer was overtaken by a change while it was computed. */
  isOvertaken = false;
  /** The state holds everything that the feed had told when it was found. */
  isExact = true;
  /** A turn of writing goes through the streams; with a newer state it goes through them again. */
  isSending = false;
  isSendingAgain = false;
  /** How long the last one took. */
  sendingMs = 0;

  constructor(key: string, options: ResolvedRouteCacheOptions) {
    this.key = key;
    this.options = options;
  }

  /** The stream whose request is repeated for all: any whose proof still holds. */
  findAsker(now: number): LiveStream | undefined {
    for (const stream of this.streams) if (!stream.isClosed && now < stream.expiresAt) return stream;
    return undefined;
  }

  clear(): void {
    clearTimeout(this.timer);
    clearTimeout(this.expiry);
  }
}
