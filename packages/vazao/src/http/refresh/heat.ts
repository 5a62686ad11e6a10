/** How hot keys are: hits a second, by an estimate that forgets. It costs a hit nothing, since it counts when answers end. */
import { LRUCache } from 'lru-cache';
import type { Asking } from '../repeat.ts';

/** Keys whose heat is known at a time. */
const KEYS_MAX = 1_000;
/** After this time without hits a third of the heat is left. */
const MEMORY_MS = 10_000;

interface Heat {
  hitsPerSecond: number;
  atMs: number;
  /** How its last reader asked who computed it. */
  asking: Asking | undefined;
}

export class Heats {
  readonly #heats = new LRUCache<string, Heat>({ max: KEYS_MAX });

  /** An answer has ended that was hit so often in its life. Returns the hits a second of its key. */
  ended(key: string, hits: number, bornAtMs: number, nowMs: number): number {
    const ageMs = Math.max(1, nowMs - bornAtMs);
    // Its hits, spread over its life; those of long ago count less.
    const ownPerSecond = ((hits * 1_000) / ageMs) * (1 - Math.exp(-ageMs / MEMORY_MS));
    const heat = this.#heats.get(key);
    if (heat) {
      heat.hitsPerSecond = heat.hitsPerSecond * Math.exp(-(nowMs - heat.atMs) / MEMORY_MS) + ownPerSecond;
      heat.atMs = nowMs;
      return heat.hitsPerSecond;
    }
    if (hits > 0) this.#heats.set(key, { hitsPerSecond: ownPerSecond, atMs: nowMs, asking: undefined });
    return ownPerSecond;
  }

  /** Whether the key is among those whose requests are worth keeping. */
  isKnown(key: string): boolean {
    return this.#heats.has(key);
  }

  keepAsking(key: string, asking: Asking): void {
    const heat = this.#heats.peek(key);
    if (heat) heat.asking = asking;
  }

  findAsking(key: string): Asking | undefined {
    return this.#heats.peek(key)?.asking;
  }
}
