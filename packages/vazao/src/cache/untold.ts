import { UNKNOWN_POSITION } from '../feed/index.ts';
import { isOfOlderTimeline } from './fill.ts';
import type { CacheFeed } from './options.ts';

/**
 * What has left this process before the feed had told it.
 *
 *   noted ─┬─ its position is known ──────────────────────────────────────────► told when the feed has passed it
 *          └─ it is not ── the feed speaks again: the primary is asked for it ──► known
 *
 * A feed that was silent may prove less, when it speaks again, than a reader has seen meanwhile: a heartbeat that comes late
 * proves what was so when it was sent. So what left counts, and not only whether the feed speaks.
 */
export class Untold {
  readonly #feed: CacheFeed;
  #position = 0n;
  /** How often something left whose position is not known, and how many of these the primary has been asked for. */
  #unknown = 0;
  #known = 0;
  #isAsking = false;
  #readPosition: (() => Promise<bigint>) | undefined;

  constructor(feed: CacheFeed) {
    this.#feed = feed;
    feed.on('snapshot', () => void this.#ask());
    feed.on('epoch', () => {
      // Of a server whose log is shorter: it says nothing of this one, and would not be passed for long, or ever.
      if (this.#position <= feed.position) return;
      this.#position = 0n;
      this.#unknown++;
    });
  }

  get isTold(): boolean {
    return this.#known === this.#unknown && this.#position <= this.#feed.position;
  }

  note(position: bigint): void {
    if (position === UNKNOWN_POSITION) this.#unknown++;
    else if (position > this.#position) this.#position = position;
  }

  /** @param readPosition - tells a position before which everything was committed that anybody has seen; may fail */
  askBy(readPosition: () => Promise<bigint>): void {
    this.#readPosition = readPosition;
  }

  /** What is not answered is asked again when the feed speaks next. */
  async #ask(): Promise<void> {
    if (this.#known === this.#unknown || this.#isAsking || !this.#readPosition) return;
    this.#isAsking = true;
    const upTo = this.#unknown;
    const { epoch } = this.#feed;
    try {
      const position = await this.#readPosition();
      // A connection may outlive the primary's place.
      if (this.#feed.epoch !== epoch || isOfOlderTimeline(position, this.#feed.position)) return;
      this.#known = upTo;
      this.note(position);
    } catch {
    } finally {
      this.#isAsking = false;
    }
  }
}
