import type { Clock } from '../options.ts';

/** Between the beginnings of two polls, however many call for one. */
const GAP_MS = 2;

/** When to poll: at least every so often, and soon when somebody calls. A call during a poll makes for another. */
export class PollLoop {
  readonly #pollMs: number;
  readonly #clock: Clock;
  #called = false;
  #wake: (() => void) | undefined;
  #beganAtMs = Number.NEGATIVE_INFINITY;
  #isPolling = false;

  constructor(pollMs: number, clock: Clock) {
    this.#pollMs = pollMs;
    this.#clock = clock;
  }

  /** Of the poll under way, by the monotonic clock. */
  get startedAtMs(): number | undefined {
    return this.#isPolling ? this.#beganAtMs : undefined;
  }

  call(): void {
    this.#called = true;
    this.#wake?.();
  }

  begin(): void {
    this.#called = false;
    this.#isPolling = true;
    this.#beganAtMs = this.#clock.monotonicMs();
  }

  end(): void {
    this.#isPolling = false;
  }

  /** Resolves when it is time for the next poll, or when the signal is aborted. */
  async pause(signal: AbortSignal): Promise<void> {
    await this.#until(this.#beganAtMs + (this.#called ? GAP_MS : this.#pollMs), signal, !this.#called);
    if (signal.aborted) return;
    await this.#until(this.#beganAtMs + GAP_MS, signal, false);
  }

  #until(atMs: number, signal: AbortSignal, mayWake: boolean): Promise<void> {
    const waitMs = atMs - this.#clock.monotonicMs();
    if (waitMs <= 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      signal.addEventListener('abort', done);
      if (mayWake) this.#wake = done;
    });
  }
}
