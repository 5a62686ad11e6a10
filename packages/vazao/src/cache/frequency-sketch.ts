/**
 * How often keys have been asked for lately, in a few bits each: the count-min sketch of TinyLFU (Einziger, Friedman, Manes:
 * "TinyLFU: A Highly Efficient Cache Admission Policy", ACM Transactions on Storage 13(4), 2017).
 *
 * Four rows of counters of four bits; a key has one in each, and its count is the least of them, so that it is never too
 * small. After so many countings all counters are halved: what was popular last week makes room for what is popular now.
 *
 * As in Caffeine (`FrequencySketch.java`), a key's four counters lie within one block of 64 bytes, so that a hit among millions of keys
 * waits for one or two lines of memory and not for four.
 */
import { hash, randomBytes } from 'node:crypto';

/** Where a key's counters are. Made once for each key that is kept; a hit costs no hashing. */
export interface Fingerprint {
  readonly a: number;
  readonly b: number;
}

const ROWS = 4;
/** Counters of one row in one block: as many as five bits can tell apart. */
const BLOCK_WIDTH_BITS = 5;
const BLOCK_WIDTH: number = 2 ** BLOCK_WIDTH_BITS;
export const COUNT_MAX = 15;
/** Countings for each key between two halvings, as in the paper. */
const SAMPLE_FACTOR = 10;
/**
 * Counters of a row for each key that is kept, which makes 32 bytes: several times as many others are asked for meanwhile, most of them
 * once. With 4 of them, how well a flood was kept out depended on the seed (0.68 to 0.81 of the hits, in `entries.test.ts`);
 * with 8 it was 0.75 to 0.815, with 16 nearly always 0.81 (0.815 to 0.817 in six runs, and the same where a row is not cut into blocks).
 */
const WIDTH_FACTOR = 16;
const WIDTH_MIN = 4_096;

export class FrequencySketch {
  /** Whoever knew it could name keys that share their counters with popular ones, and be taken for one of them. */
  readonly #seed = randomBytes(16).toString('latin1');
  /** Two counters in each byte; in each block the rows one after another. */
  #counters: Uint8Array<ArrayBuffer> = new Uint8Array((ROWS * WIDTH_MIN) / 2);
  /** Counters of a row, a power of two. */
  #width = WIDTH_MIN;
  #counted = 0;

  fingerprint(key: string): Fingerprint {
    const digest = hash('sha1', this.#seed + key, 'buffer');
    return { a: digest.readInt32LE(0), b: digest.readInt32LE(4) };
  }

  /** Counts one request for the key. */
  add({ a, b }: Fingerprint): void {
    const block = this.#block(a);
    const least = this.#least(block, b);
    if (least < COUNT_MAX) {
      // Only the least ones: the others were raised by other keys.
      for (let row = 0; row < ROWS; row++) {
        const place = block + placeIn(b, row);
        if (this.#read(place) === least) this.#counters[place >> 1] = this.#raised(place);
      }
    }
    if (++this.#counted >= (this.#width / WIDTH_FACTOR) * SAMPLE_FACTOR) this.#halve();
  }

  /** How often the key was asked for, at most {@link COUNT_MAX}; too many at times, never too few. */
  count({ a, b }: Fingerprint): number {
    return this.#least(this.#block(a), b);
  }

  /** Makes room to count beside so many keys that are kept. What was counted stays. */
  ensure(keys: number): void {
    while (this.#width < keys * WIDTH_FACTOR) {
      const before = this.#counters;
      this.#counters = new Uint8Array(before.length * 2);
      // The number of a block has another bit before it, so each half begins as all of them were.
      this.#counters.set(before, 0);
      this.#counters.set(before, before.length);
      this.#width *= 2;
    }
  }

  /** Where the key's block begins. */
  #block(a: number): number {
    return (a & (this.#width / BLOCK_WIDTH - 1)) * ROWS * BLOCK_WIDTH;
  }

  #least(block: number, b: number): number {
    let least = COUNT_MAX;
    for (let row = 0; row < ROWS; row++) least = Math.min(least, this.#read(block + placeIn(b, row)));
    return least;
  }

  #read(place: number): number {
    const two = this.#counters[place >> 1] as number;
    return place & 1 ? two >> 4 : two & 0x0f;
  }

  #raised(place: number): number {
    return (this.#counters[place >> 1] as number) + (place & 1 ? 0x10 : 1);
  }

  #halve(): void {
    // Four bytes at a time; the bits that would fall into the neighbouring counter are masked.
    const words = new Uint32Array(this.#counters.buffer);
    for (let at = 0; at < words.length; at++) words[at] = ((words[at] as number) >>> 1) & 0x77777777;
    this.#counted = Math.floor(this.#counted / 2);
  }
}

/** The counter of a row, within the block. */
function placeIn(b: number, row: number): number {
  return row * BLOCK_WIDTH + ((b >>> (row * BLOCK_WIDTH_BITS)) & (BLOCK_WIDTH - 1));
}
