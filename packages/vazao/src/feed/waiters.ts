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
  #waiters: Waiter[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  get length(): number {
    return this.#waiters.length;
  }

  /** The nearest position that somebody waits for. */
  get first(): bigint | undefined {
    return this.#waiters[0]?.position;
  }

  /** Resolves true when the position has been passed; false at the time-out, when the stream breaks, or when too many wait. */
  add(position: bigint, timeoutMs: number): Promise<boolean> {
    if (this.#waiters.length >= this.#max) return Promise.resolve(false);
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
        this.#waiters = this.#waiters.filter((candidate) => !candidate.settled);
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
      waiter.settle(true);
      passed++;
    }
    if (passed > 0) this.#waiters.splice(0, passed);
  }

  fail(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.settle(false);
  }
}
