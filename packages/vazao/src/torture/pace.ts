/** Lets so many turns a second pass, whoever takes them. What could not be taken in time is not caught up on. */

const BEHIND_MAX_MS = 20;

export class Pace {
  readonly #intervalMs: number;
  readonly #clock: () => number;
  #nextAtMs: number;

  constructor(perSecond: number, clock: () => number) {
    this.#intervalMs = 1_000 / perSecond;
    this.#clock = clock;
    this.#nextAtMs = clock();
  }

  /** Resolves when it is the caller's turn. */
  turn(): Promise<void> | undefined {
    const now = this.#clock();
    if (this.#nextAtMs < now - BEHIND_MAX_MS) this.#nextAtMs = now - BEHIND_MAX_MS;
    const waitMs = this.#nextAtMs - now;
    this.#nextAtMs += this.#intervalMs;
    // Timers have whole milliseconds.
    return waitMs < 1 ? undefined : new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
