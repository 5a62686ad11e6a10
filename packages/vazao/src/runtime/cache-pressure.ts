/**
 * The cache gives way to what can't be dropped: connections, and what handlers hold. When its process comes near the memory that it may have,
 * the cache may take less, a tenth at a time, and more again when there is room; else the process would be replaced for what was
 * only cached.
 */
import type { MemoryShares } from './memory.ts';
import { rssMax } from './memory.ts';

/** From this part of what the process may have, which is below where it is replaced (`workers/seat.ts`). */
const HIGH = 0.85;
const LOW = 0.75;
const CUT = 0.9;
const GROWTH = 1.05;
/** What was dropped is collected later, and a connection that has just gone may come again: room is believed in after so many looks. */
const LOOKS_BEFORE_GROWTH = 10;
/** Of the cache's size as it was set: what is asked for all the time stays. */
const LEAST = 1 / 16;

interface Bounded {
  resize(sizeMaxBytes: number): void;
  figures(): { readonly sizeBytes: number; readonly sizeMaxBytes: number };
}

export class CachePressure {
  readonly #cache: Bounded;
  readonly #rssMaxBytes: number;
  /** As it was set. */
  readonly #mostBytes: number;
  #looksWithRoom = 0;

  constructor(cache: Bounded, memory: MemoryShares) {
    this.#cache = cache;
    this.#rssMaxBytes = rssMax(memory);
    this.#mostBytes = cache.figures().sizeMaxBytes;
  }

  /** To be called once a second, with the memory of the process. */
  look(rssBytes: number): void {
    const { sizeBytes, sizeMaxBytes } = this.#cache.figures();
    if (rssBytes > HIGH * this.#rssMaxBytes) {
      this.#looksWithRoom = 0;
      const less = Math.floor(Math.min(sizeMaxBytes, sizeBytes) * CUT);
      this.#cache.resize(Math.min(sizeMaxBytes, Math.max(less, Math.floor(this.#mostBytes * LEAST))));
      return;
    }
    this.#looksWithRoom = rssBytes < LOW * this.#rssMaxBytes ? this.#looksWithRoom + 1 : 0;
    if (this.#looksWithRoom < LOOKS_BEFORE_GROWTH || sizeMaxBytes >= this.#mostBytes) return;
    this.#cache.resize(Math.min(this.#mostBytes, Math.ceil(sizeMaxBytes * GROWTH)));
  }
}
