/**
 * The entries by key, and the order in which they go when there is no room: W-TinyLFU (Einziger, Friedman, Manes 2017; the
 * policy of Caffeine).
 *
 *             new ──► window (1 %) ──► asks to be admitted ──► probation ──► protected (80 % of the rest)
 *                                              │                   ▲ asked for again ─┘        │
 *                                              ▼                   └────────── pushed out ─────┘
 *                                     asked for more often than each of those that would have to go?
 *
 * Least recently used alone would let any client empty the cache by asking for addresses that nobody else asks for: each
 * would push out what is popular. Here such a key comes as far as the window, and its place among the others goes to whoever
 * was asked for more often. All sizes are bytes.
 */
import type { Entry } from './entry.ts';
import { type Fingerprint, FrequencySketch } from './frequency-sketch.ts';

export interface EntriesOptions<V> {
  readonly sizeMaxBytes: number;
  /** Called for each entry that leaves; `evict` when it had to. */
  readonly onLeave: (entry: Entry<V>, reason: 'evict' | 'delete' | 'replace') => void;
}

const WINDOW_SHARE = 0.01;
const PROTECTED_SHARE = 0.8;

interface Place<V> extends Fingerprint {
  entry: Entry<V>;
  segment: Segment<V>;
  newer: Place<V> | undefined;
  older: Place<V> | undefined;
}

export class Entries<V> {
  #sizeMaxBytes = 0;
  readonly #onLeave: EntriesOptions<V>['onLeave'];
  readonly #places = new Map<string, Place<V>>();
  readonly #sketch = new FrequencySketch();
  readonly #window: Segment<V> = new Segment();
  readonly #probation: Segment<V> = new Segment();
  readonly #protected: Segment<V> = new Segment();
  /** What probation and protected may take together. */
  #mainMaxBytes = 0;

  constructor(options: EntriesOptions<V>) {
    this.#onLeave = options.onLeave;
    this.resize(options.sizeMaxBytes);
  }

  get sizeMaxBytes(): number {
    return this.#sizeMaxBytes;
  }

  /** What is too much leaves at once, the least popular first. */
  resize(sizeMaxBytes: number): void {
    this.#sizeMaxBytes = sizeMaxBytes;
    this.#window.sizeMaxBytes = Math.floor(sizeMaxBytes * WINDOW_SHARE);
    this.#mainMaxBytes = sizeMaxBytes - this.#window.sizeMaxBytes;
    this.#probation.sizeMaxBytes = this.#mainMaxBytes;
    this.#protected.sizeMaxBytes = Math.floor(this.#mainMaxBytes * PROTECTED_SHARE);
    this.#settle();
  }

  get size(): number {
    return this.#places.size;
  }

  get sizeBytes(): number {
    return this.#window.sizeBytes + this.#probation.sizeBytes + this.#protected.sizeBytes;
  }

  /** The entry of a key, which counts as a use of it. */
  get(key: string): Entry<V> | undefined {
    const place = this.#places.get(key);
    if (!place) return undefined;
    this.#sketch.add(place);
    if (place.segment === this.#probation) {
      this.#move(place, this.#protected);
      this.#demote();
    } else place.segment.refresh(place);
    return place.entry;
  }

  peek(key: string): Entry<V> | undefined {
    return this.#places.get(key)?.entry;
  }

  /** Counts a request for a key that is not there: a key that is asked for again and again will be admitted. */
  miss(key: string): void {
    if (!this.#places.has(key)) this.#sketch.add(this.#sketch.fingerprint(key));
  }

  /** Puts the entry in; it may leave again at once, where others are more popular. */
  set(entry: Entry<V>): void {
    const before = this.#places.get(entry.key);
    if (before) this.#leave(before, 'replace');
    const { a, b } = before ?? this.#sketch.fingerprint(entry.key);
    const segment = before?.segment ?? this.#window;
    const place: Place<V> = { a, b, entry, segment, newer: undefined, older: undefined };
    this.#places.set(entry.key, place);
    segment.push(place);
    this.#sketch.ensure(this.#places.size);
    this.#settle();
  }

  /** Counts bytes that were added to an entry. */
  grow(entry: Entry<V>, bytes: number): void {
    const place = this.#places.get(entry.key);
    if (place?.entry !== entry) return;
    entry.sizeBytes += bytes;
    place.segment.sizeBytes += bytes;
    this.#settle();
  }

  delete(key: string): boolean {
    const place = this.#places.get(key);
    if (place) this.#leave(place, 'delete');
    return place !== undefined;
  }

  /** All of them, in no particular order. */
  *values(): Generator<Entry<V>> {
    for (const place of this.#places.values()) yield place.entry;
  }

  /** The keys, the most popular ones first, as far as that is known. */
  *keys(): Generator<string> {
    for (const segment of [this.#protected, this.#window, this.#probation])
      for (let place = segment.newest; place; place = place.older) yield place.entry.key;
  }

  /** Brings each segment back within its bound. */
  #settle(): void {
    this.#demote();
    for (let oldest = this.#window.oldest; oldest && this.#window.isOver; oldest = this.#window.oldest)
      this.#admit(oldest);
    // By what grew in its place.
    for (let missing = this.#missingBytes(0); missing > 0; missing = this.#missingBytes(0))
      this.#leave((this.#probation.oldest ?? this.#protected.oldest) as Place<V>, 'evict');
  }

  #demote(): void {
    for (let oldest = this.#protected.oldest; oldest && this.#protected.isOver; oldest = this.#protected.oldest)
      this.#move(oldest, this.#probation);
  }

  /** How many bytes the main part lacks for `bytes` more; not above 0 when they fit in. */
  #missingBytes(bytes: number): number {
    return this.#probation.sizeBytes + this.#protected.sizeBytes + bytes - this.#mainMaxBytes;
  }

  /** Gives the candidate a place in the main part if it is more popular than each of those that have to go for it. */
  #admit(candidate: Place<V>): void {
    const { sizeBytes } = candidate.entry;
    const victims = sizeBytes > this.#mainMaxBytes ? undefined : this.#findVictims(candidate);
    if (!victims) {
      this.#leave(candidate, 'evict');
      return;
    }
    for (const victim of victims) this.#leave(victim, 'evict');
    this.#move(candidate, this.#probation);
  }

  /**
   * Undefined when one of them is as popular as the candidate. Adding their counts up ("aggregated victims") would keep a
   * large popular page out for as long as there are enough small ones, for counts end at fifteen.
   */
  #findVictims(candidate: Place<V>): Place<V>[] | undefined {
    const victims: Place<V>[] = [];
    let missing = this.#missingBytes(candidate.entry.sizeBytes);
    if (missing <= 0) return victims;
    const count = this.#sketch.count(candidate);
    let victim = this.#probation.oldest ?? this.#protected.oldest;
    while (victim && missing > 0) {
      if (this.#sketch.count(victim) >= count) {
        // The next one is to stand against another: one whose counters a hot key shares would keep all of them out.
        if (victim.segment === this.#probation) this.#probation.refresh(victim);
        return undefined;
      }
      victims.push(victim);
      missing -= victim.entry.sizeBytes;
      victim = victim.newer ?? (victim.segment === this.#probation ? this.#protected.oldest : undefined);
    }
    return victims;
  }

  #move(place: Place<V>, to: Segment<V>): void {
    place.segment.unlink(place);
    place.segment = to;
    to.push(place);
  }

  #leave(place: Place<V>, reason: 'evict' | 'delete' | 'replace'): void {
    place.segment.unlink(place);
    this.#places.delete(place.entry.key);
    this.#onLeave(place.entry, reason);
  }
}

/** Places in the order of their use. */
class Segment<V> {
  sizeMaxBytes = 0;
  sizeBytes = 0;
  newest: Place<V> | undefined;
  oldest: Place<V> | undefined;

  get isOver(): boolean {
    return this.sizeBytes > this.sizeMaxBytes;
  }

  push(place: Place<V>): void {
    this.sizeBytes += place.entry.sizeBytes;
    this.#link(place);
  }

  unlink(place: Place<V>): void {
    this.sizeBytes -= place.entry.sizeBytes;
    this.#cut(place);
  }

  /** It was used just now. */
  refresh(place: Place<V>): void {
    if (place === this.newest) return;
    this.#cut(place);
    this.#link(place);
  }

  #link(place: Place<V>): void {
    place.older = this.newest;
    place.newer = undefined;
    if (this.newest) this.newest.newer = place;
    else this.oldest = place;
    this.newest = place;
  }

  #cut(place: Place<V>): void {
    if (place.newer) place.newer.older = place.older;
    else this.newest = place.older;
    if (place.older) place.older.newer = place.newer;
    else this.oldest = place.newer;
    place.newer = undefined;
    place.older = undefined;
  }
}
