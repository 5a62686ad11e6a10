/**
 * The outer fence: how many requests of all kinds one address may make, hits among them. It is asked before everything else,
 * also before a hit, so it must cost nothing: it counts in this process alone, and tells the common store a few times a
 * second what it has counted since. Several processes together may so let through more than the limit by what arrives
 * between two such moments.
 */
import { LRUCache } from 'lru-cache';
import type { RatePolicy, RateStore } from './rate-store.ts';

interface Entry {
  /** Counted by all processes, as the store told last; this one's among it. */
  shared: number;
  /** Counted here, and not told yet. */
  untold: number;
  endsAt: number;
}

const KEYS_MAX = 50_000;
/** Keys that are told at once; the others in the next round. */
const TOLD_MAX = 200;

export class Fence {
  readonly #policy: RatePolicy;
  readonly #store: RateStore | undefined;
  readonly #entries = new LRUCache<string, Entry>({ max: KEYS_MAX });
  readonly #untold = new Set<string>();
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #now: () => number;
  #isTelling = false;

  /** @param store - undefined: this process counts alone */
  constructor(policy: RatePolicy, store: RateStore | undefined, tellEveryMs: number, now: () => number = Date.now) {
    this.#policy = policy;
    this.#store = store;
    this.#now = now;
    if (store) this.#timer = setInterval(() => void this.tell(), tellEveryMs).unref();
  }

  /** Counts one request. Returns how long to wait when it is one too many, 0 otherwise. */
  pass(key: string): number {
    const now = this.#now();
    let entry = this.#entries.get(key);
    if (!entry || entry.endsAt <= now) {
      entry = { shared: 0, untold: 0, endsAt: now + this.#policy.windowMs };
      this.#entries.set(key, entry);
    }
    // What is refused is not counted: a client that goes on asking is let in again when the window ends.
    if (entry.shared + entry.untold >= this.#policy.requests) return entry.endsAt - now;
    if (entry.untold++ === 0 && this.#store) this.#untold.add(key);
    return 0;
  }

  /** Tells the store what was counted since, and hears what the others have counted. */
  async tell(): Promise<void> {
    const store = this.#store;
    if (!store || this.#isTelling) return;
    this.#isTelling = true;
    const keys = [...this.#untold].slice(0, TOLD_MAX);
    for (const key of keys) this.#untold.delete(key);
    await Promise.all(
      keys.map(async (key) => {
        const entry = this.#entries.peek(key);
        if (!entry) return;
        const points = entry.untold;
        const count = await store.consume(this.#policy, key, points).catch(() => undefined);
        if (count) {
          entry.untold -= points;
          entry.shared = count.consumed;
          entry.endsAt = this.#now() + count.resetMs;
        }
        if (entry.untold > 0) this.#untold.add(key);
      }),
    );
    this.#isTelling = false;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
