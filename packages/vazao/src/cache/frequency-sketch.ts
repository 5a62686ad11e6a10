/**
 * How often keys have been asked for lately, in a few bits each: the count-min sketch of TinyLFU (Einziger, Friedman, Manes:
 * "TinyLFU: A Highly Efficient Cache Admission Policy", ACM Transactions on Storage 13(4), 2017).
 *
 * Four rows of counters of four bits; a key has one in each, and its count is the least of them, so that it is never too
 * small. After so many countings all counters are halved: what was popular last week makes room for what is popular now.
 */
import { hash, randomBytes } from 'node:crypto';

/** Where a key's counters are. Made once for each key that is kept; a hit costs no hashing. */
export interface Fingerprint {
  readonly a: number;
  readonly b: number;
}

const ROWS = 4;
export const COUNT_MAX = 15;
/** Countings for each key between two halvings, as in the paper. */
const SAMPLE_FACTOR = 10;
/**
 * Counters of a row for each key that is kept, which makes 32 bytes: several times as many others are asked for meanwhile, most of them
 * once. With 4 of them, how well a flood was kept out depended on the seed (0.68 to 0.81 of the hits, in `entries.test.ts`);
 * with 8 it was 0.75 to 0.815, with 16 nearly always 0.81.
 */
const WIDTH_FACTOR = 16;
const WIDTH_MIN = 4_096;

export class FrequencySketch {
  /** Whoever knew it could name keys that share their counters with popular ones, and be taken for one of them. */
  readonly #seed = randomBytes(16).toString('latin1');
  /** Two counters in each byte; the rows one after another. */
  #counters: Uint8Array<ArrayBuffer> = new Uint8Array((ROWS * WIDTH_MIN) / 2);
  /** Counters of a row, a power of two. */
  #width = WIDTH_MIN;
  #counted = 0;

  fingerprint(key: string): Fingerprint {
    const digest = hash('sha1', this.#seed + key, 'buffer');
    return { a: digest.readInt32LE(0), b: digest.readInt32LE(4) | 1 };
  }

  /** Counts one request for the key. */
  add({ a, b }: Fingerprint): void {
    const least = this.count({ a, b });
    if (least < COUNT_MAX) {
      // Only the least ones: the others were raised by other keys.
      for (let row = 0; row < ROWS; row++) {
        const place = this.#place(a, b, row);
        if (this.#read(place) === least) this.#counters[place >> 1] = this.#raised(place);
      }
    }
    if (++this.#counted >= (this.#width / WIDTH_FACTOR) * SAMPLE_FACTOR) this.#halve();
  }

  /** How often the key was asked for, at most {@link COUNT_MAX}; too many at times, never too few. */
  count({ a, b }: Fingerprint): number {
    let least = COUNT_MAX;
    for (let row = 0; row < ROWS; row++) least = Math.min(least, this.#read(this.#place(a, b, row)));
    return least;
  }

  /** Makes room to count beside so many keys that are kept. What was counted stays. */
  ensure(keys: number): void {
    while (this.#width < keys * WIDTH_FACTOR) {
      const before = this.#counters;
      const rowBytes = this.#width / 2;
      this.#counters = new Uint8Array(before.length * 2);
      // A place in the wider row is the old one with another bit before it, so each half begins as the old row was.
      for (let row = 0; row < ROWS; row++) {
        const counts = before.subarray(row * rowBytes, (row + 1) * rowBytes);
        this.#counters.set(counts, row * 2 * rowBytes);
        this.#counters.set(counts, (row * 2 + 1) * rowBytes);
      }
      this.#width *= 2;
    }
  }

  #place(a: number, b: number, row: number): number {
    return row * this.#width + ((a + Math.imul(row, b)) & (this.#width - 1));
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
