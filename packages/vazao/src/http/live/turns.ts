/**
 * Which answers are computed when: a bounded number at a time, those first that many follow, each at most once an interval,
 * and none while the feed is not fresh, since nothing could be kept then.
 *
 *   add ── interval, pause ──► waiting line ── the feed is fresh, and there is room ──► work
 *                                   ▲  └── it is not ──► parked ──┐
 *                                   └───── it is again ───────────┘
 */
import type { ResolvedLiveOptions } from './options.ts';
import type { Topic } from './topic.ts';

/** Streams of an answer that goes before the others. */
const MANY = 100;
const PARKED_MS = 50;

export class Turns {
  readonly #options: Pick<ResolvedLiveOptions, 'intervalMs' | 'computingMax'>;
  readonly #isFresh: () => boolean;
  readonly #work: (topic: Topic) => Promise<void>;
  readonly #first = new Set<Topic>();
  readonly #others = new Set<Topic>();
  readonly #parked = new Set<Topic>();
  #parkTimer: NodeJS.Timeout | undefined;
  #working = 0;
  #isPumping = false;
  #isClosed = false;

  constructor(
    options: Pick<ResolvedLiveOptions, 'intervalMs' | 'computingMax'>,
    isFresh: () => boolean,
    work: (topic: Topic) => Promise<void>,
  ) {
    this.#options = options;
    this.#isFresh = isFresh;
    this.#work = work;
  }

  /** @param pauseMs - beside the interval; -Infinity: at once */
  add(topic: Topic, pauseMs: number): void {
    if (this.#isClosed) return;
    topic.isWaiting = true;
    // An answer that takes long to be written to all is computed less often: writing leaves half of the time to others.
    const intervalMs = Math.max(topic.options.liveIntervalMs ?? this.#options.intervalMs, topic.sendingMs * 2);
    const delayMs = Math.max(pauseMs, topic.startedAtMs + intervalMs - performance.now());
    if (delayMs <= 0 || pauseMs === Number.NEGATIVE_INFINITY) this.#queue(topic);
    else topic.timer = setTimeout(() => this.#queue(topic), delayMs);
  }

  /** Nobody follows it any more. */
  forget(topic: Topic): void {
    topic.isWaiting = false;
    for (const line of [this.#first, this.#others, this.#parked]) line.delete(topic);
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#parkTimer);
    for (const line of [this.#first, this.#others, this.#parked]) line.clear();
  }

  #queue(topic: Topic): void {
    (topic.streams.size >= MANY ? this.#first : this.#others).add(topic);
    this.#pump();
  }

  /** In a turn of its own: what ends answers is the feed, in the middle of a commit. */
  #pump(): void {
    if (this.#isPumping || this.#isClosed) return;
    this.#isPumping = true;
    setImmediate(() => {
      this.#isPumping = false;
      while (this.#working < this.#options.computingMax) {
        const line = this.#first.size > 0 ? this.#first : this.#others;
        const { value: topic } = line.values().next();
        if (!topic) return;
        line.delete(topic);
        if (this.#isFresh()) this.#begin(topic);
        else this.#park(topic);
      }
    });
  }

  #begin(topic: Topic): void {
    topic.isWaiting = false;
    this.#working++;
    void this.#work(topic).finally(() => {
      this.#working--;
      this.#pump();
    });
  }

  #park(topic: Topic): void {
    this.#parked.add(topic);
    this.#parkTimer ??= setInterval(() => {
      if (!this.#isFresh()) return;
      clearInterval(this.#parkTimer);
      this.#parkTimer = undefined;
      for (const parked of this.#parked) this.#queue(parked);
      this.#parked.clear();
    }, PARKED_MS);
  }
}
