/**
 * A store that may be slow or gone, made one that never holds a request up: a call has a short deadline, after a few failures
 * in a row nobody asks for a while, and meanwhile this process counts for itself.
 */
import { type CircuitBreakerPolicy, CircuitState, ConsecutiveBreaker, circuitBreaker, handleAll } from 'cockatiel';
import { MemoryStore } from './memory-store.ts';
import type { RatePolicy, RateStore } from './rate-store.ts';
import type { Count } from './window-counter.ts';

export interface InsuredStoreOptions {
  /** How long a request waits for the store. */
  readonly deadlineMs: number;
  /** Failures in a row after which it is left alone. */
  readonly failuresMax: number;
  /** For how long. */
  readonly pauseMs: number;
  /** Processes that count for themselves meanwhile: each allows its part. */
  readonly processes: () => number;
}

export class InsuredStore implements RateStore {
  readonly #store: RateStore;
  readonly #options: InsuredStoreOptions;
  readonly #memory = new MemoryStore();
  readonly #breaker: CircuitBreakerPolicy;

  constructor(store: RateStore, options: InsuredStoreOptions) {
    this.#store = store;
    this.#options = options;
    this.#breaker = circuitBreaker(handleAll, {
      breaker: new ConsecutiveBreaker(options.failuresMax),
      halfOpenAfter: options.pauseMs,
    });
  }

  /** The store is asked; else this process counts for itself. */
  get isAvailable(): boolean {
    return this.#breaker.state === CircuitState.Closed;
  }

  async consume(policy: RatePolicy, key: string, points: number): Promise<Count> {
    // Counted here too, so that an outage does not begin with empty counts.
    const own = this.#memory.count(policy, key, points);
    try {
      return await this.#breaker.execute(() =>
        within(this.#store.consume(policy, key, points), this.#options.deadlineMs),
      );
    } catch {
      // What the others allow is not known; together they allow what one would.
      return { consumed: own.consumed * Math.max(1, this.#options.processes()), resetMs: own.resetMs };
    }
  }

  async close(): Promise<void> {
    await this.#store.close?.();
  }
}

function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`The store of the limits did not answer within ${ms} ms.`)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
