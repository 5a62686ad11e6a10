interface Waiter {
  readonly position: bigint;
  readonly settle: (passed: boolean) => void;
  settled: boolean;
}

/**
 * Callers that wait for a position, in order of position. Positions mostly grow, so a new one belongs at or near the end.
 */
export class PositionWaiters {
  readonly #max: number;
  /** Those that timed out stay for a while: taking each out at once would cost the square of their number when all do. */
  #waiters: Waiter[] = [];
  #timedOut = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get length(): number {
    return this.#waiters.length - this.#timedOut;
  }

  /** The nearest position that somebody waits for. */
  get first(): bigint | undefined {
    return this.#waiters.find(({ settled }) => !settled)?.position;
  }

  /** Resolves true when the position has been passed; false at the time-out, when the stream breaks, or when too many wait. */
  add(position: bigint, timeoutMs: number): Promise<boolean> {
    if (this.length >= this.#max) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        position,
        settled: false,
        settle(passed) {
          waiter.settled = true;
          clearTimeout(timer);
          resolve(passed);
        },
      };
      const timer = setTimeout(() => {
        waiter.settle(false);
        this.#timedOut++;
        if (this.#timedOut * 2 > this.#waiters.length) this.#compact();
      }, timeoutMs);
      let index = this.#waiters.length;
      while (index > 0 && (this.#waiters[index - 1] as Waiter).position > position) index--;
      this.#waiters.splice(index, 0, waiter);
    });
  }

  pass(position: bigint): void {
    let passed = 0;
    for (const waiter of this.#waiters) {
      if (waiter.position > position) break;
      if (waiter.settled) this.#timedOut--;
      else waiter.settle(true);
      passed++;
    }
    if (passed > 0) this.#waiters.splice(0, passed);
  }

  fail(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    this.#timedOut = 0;
    for (const waiter of waiters) if (!waiter.settled) waiter.settle(false);
  }

  #compact(): void {
    this.#waiters = this.#waiters.filter(({ settled }) => !settled);
    this.#timedOut = 0;
  }
}
