/**
 * The longest that anything waited for its turn, lately. `monitorEventLoopDelay` of Node has no window: it has to be reset, which
 * loses a delay that is under way, and it counts its own interval as delay (20 ms where nothing waits).
 */
const LOOK_MS = 50;
/** Scrapers come every 15 s, mostly: what a window has seen is shown until the next one is over. */
const WINDOW_MS = 30_000;

export class EventLoopDelay {
  readonly #timer: NodeJS.Timeout;
  #dueAtMs: number;
  #windowEndsAtMs: number;
  #maxMs = 0;
  #lastMaxMs = 0;

  constructor() {
    const now = performance.now();
    this.#dueAtMs = now + LOOK_MS;
    this.#windowEndsAtMs = now + WINDOW_MS;
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** Within the last {@link WINDOW_MS}, or up to twice that. */
  get maxMs(): number {
    return Math.max(this.#maxMs, this.#lastMaxMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    this.#maxMs = Math.max(this.#maxMs, now - this.#dueAtMs);
    this.#dueAtMs = now + LOOK_MS;
    if (now < this.#windowEndsAtMs) return;
    this.#lastMaxMs = this.#maxMs;
    this.#maxMs = 0;
    this.#windowEndsAtMs = now + WINDOW_MS;
  }
}
