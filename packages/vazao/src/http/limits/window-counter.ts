/**
 * Counts per key in fixed windows, in memory and without waiting. Bounded: the key that was not counted for the longest is
 * forgotten first, so a flood of new keys costs an attacker's keys their memory before anybody else's.
 *
 * `RateLimiterMemory` of `rate-limiter-flexible` would do the same with a timer for each key and no bound on their number.
 */
import { LRUCache } from 'lru-cache';

/** What was counted for a key in its window. */
export interface Count {
  readonly consumed: number;
  /** Until the window ends, and the count begins anew. */
  readonly resetMs: number;
}

interface Window {
  consumed: number;
  readonly endsAt: number;
}

export class WindowCounter {
  readonly #windowMs: number;
  readonly #windows: LRUCache<string, Window>;
  readonly #now: () => number;

  constructor(windowMs: number, keysMax: number, now: () => number = Date.now) {
    this.#windowMs = windowMs;
    this.#windows = new LRUCache({ max: keysMax });
    this.#now = now;
  }

  consume(key: string, points: number): Count {
    const now = this.#now();
    let window = this.#windows.get(key);
    if (!window || window.endsAt <= now) {
      window = { consumed: 0, endsAt: now + this.#windowMs };
      this.#windows.set(key, window);
    }
    window.consumed += points;
    return { consumed: window.consumed, resetMs: window.endsAt - now };
  }
}
