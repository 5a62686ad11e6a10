import type { RatePolicy, RateStore } from './rate-store.ts';
import { type Count, WindowCounter } from './window-counter.ts';

/** Keys of one policy; some 150 bytes each. */
export const KEYS_MAX = 50_000;
/** A route may be told by a parameter of its pattern at most, so policies are as many as routes. */
const POLICIES_MAX = 1_000;

/** Counts in the memory of one process: for a single one, for what a supervisor counts, and where a store does not answer. */
export class MemoryStore implements RateStore {
  readonly #counters = new Map<string, WindowCounter>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** At once, for callers that can't wait. */
  count({ name, windowMs }: RatePolicy, key: string, points: number): Count {
    const id = `${name} ${windowMs}`;
    let counter = this.#counters.get(id);
    if (!counter) {
      if (this.#counters.size >= POLICIES_MAX) this.#counters.clear();
      counter = new WindowCounter(windowMs, KEYS_MAX, this.#now);
      this.#counters.set(id, counter);
    }
    return counter.consume(key, points);
  }

  consume(policy: RatePolicy, key: string, points: number): Promise<Count> {
    return Promise.resolve(this.count(policy, key, points));
  }
}
