/**
 * The circuit breaker around Redis: calls go through while it is closed; a row of failures (a time-out is one) opens it, and
 * then nobody waits for Redis. What finds out that Redis is back is a probe in the background, never a request.
 */
import {
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleAll,
} from 'cockatiel';

export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly failuresMax: number;
  /** Pause before the first probe; grows up to the maximum while probes fail. */
  readonly probeMinMs: number;
  readonly probeMaxMs: number;
  /** Rejects while Redis is of no use. */
  readonly probe: () => Promise<unknown>;
}

export class Breaker implements Disposable {
  readonly #policy: CircuitBreakerPolicy;
  readonly #prober: NodeJS.Timeout;
  #probing = false;

  constructor({ failuresMax, probeMinMs, probeMaxMs, probe }: BreakerOptions) {
    this.#policy = circuitBreaker(handleAll, {
      breaker: new ConsecutiveBreaker(failuresMax),
      halfOpenAfter: new ExponentialBackoff({ initialDelay: probeMinMs, maxDelay: probeMaxMs }),
    });
    this.#prober = setInterval(() => {
      if (this.isClosed || this.#probing) return;
      this.#probing = true;
      // Rejects at once until the pause is over, which is no failure of Redis.
      this.#policy
        .execute(probe)
        .catch(() => {})
        .finally(() => {
          this.#probing = false;
        });
    }, probeMinMs);
    this.#prober.unref();
  }

  /** Calls go through. */
  get isClosed(): boolean {
    return this.#policy.state === CircuitState.Closed;
  }

  /** The result; undefined if the call failed, or was not made. */
  async run<T>(call: () => Promise<T>): Promise<T | undefined> {
    if (!this.isClosed) return undefined;
    try {
      return await this.#policy.execute(call);
    } catch {
      return undefined; // counted by the policy: whoever asked does without
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#prober);
  }
}
