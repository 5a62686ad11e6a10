/**
 * The cache gives way to what can't be dropped: connections, and what handlers hold. When its process comes near the memory that it may have,
 * the cache may take less, a tenth at a time, and more again when there is room. Else the process would be replaced for what was only
 * cached, or ended by V8: most of what a small answer takes are V8's objects.
 */
import { type MemoryShares, rssMax } from './memory.ts';

/** From these parts on the cache gives way: of the process, below where it is replaced (`workers/seat.ts`), and of V8's heap. */
const HIGH = { process: 0.85, heap: 0.75 };
/** Below both there is room. */
const LOW = { process: 0.75, heap: 0.6 };
const CUT = 0.9;
const GROWTH = 1.05;
/** What is not collected yet counts as used, so the least of so many looks is taken. */
const HEAP_LOOKS = 5;
/** What was dropped is collected later, and a connection that has just gone may come again: room is believed in after so many looks. */
const LOOKS_BEFORE_GROWTH = 10;
/** Of the cache's size as it was set: what is asked for all the time stays, and what a small cache holds is not what fills a process. */
const LEAST = 1 / 4;

interface Bounded {
  resize(sizeMaxBytes: number): void;
  figures(): { readonly sizeBytes: number; readonly sizeMaxBytes: number };
}

export interface UsedMemory {
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** V8's own bound, at which it ends the process. */
  readonly heapMaxBytes: number;
}

export class CachePressure {
  readonly #cache: Bounded;
  readonly #rssMaxBytes: number;
  /** As it was set. */
  readonly #mostBytes: number;
  /** The last looks, each as a part of V8's bound. */
  readonly #heaps: number[] = [];
  #looksWithRoom = 0;

  constructor(cache: Bounded, memory: MemoryShares) {
    this.#cache = cache;
    this.#rssMaxBytes = rssMax(memory);
    this.#mostBytes = cache.figures().sizeMaxBytes;
  }

  /** To be called once a second. */
  look({ rssBytes, heapBytes, heapMaxBytes }: UsedMemory): void {
    this.#heaps.push(heapBytes / heapMaxBytes);
    if (this.#heaps.length > HEAP_LOOKS) this.#heaps.shift();
    const used = { process: rssBytes / this.#rssMaxBytes, heap: Math.min(...this.#heaps) };
    const isHeapKnown = this.#heaps.length === HEAP_LOOKS;
    const { sizeBytes, sizeMaxBytes } = this.#cache.figures();
    if (used.process > HIGH.process || (isHeapKnown && used.heap > HIGH.heap)) {
      this.#looksWithRoom = 0;
      const less = Math.max(Math.floor(Math.min(sizeMaxBytes, sizeBytes) * CUT), Math.floor(this.#mostBytes * LEAST));
      if (less < sizeMaxBytes) this.#cache.resize(less);
      return;
    }
    this.#looksWithRoom = used.process < LOW.process && used.heap < LOW.heap ? this.#looksWithRoom + 1 : 0;
    if (this.#looksWithRoom < LOOKS_BEFORE_GROWTH || sizeMaxBytes >= this.#mostBytes) return;
    this.#cache.resize(Math.min(this.#mostBytes, Math.ceil(sizeMaxBytes * GROWTH)));
  }
}
