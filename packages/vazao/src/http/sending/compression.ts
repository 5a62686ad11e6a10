/**
 * Encodes answers aside, in the threads of libuv, and gives the stored ones their codings.
 *
 *   stored ──► gzip, at once; whoever waits for this very answer waits for it, too, if few are before it
 *   hit, hit, hit … by clients that take something better ──► that, when nothing else is to be done
 *   not cached ──► for this one client, if few are before it
 *
 * What is kept counts against the cache's bound. Both queues are bounded: what finds no room is sent as it is, and asked for
 * again by its hits.
 */

import type { HttpCache } from '../lookup.ts';
import {
  bodyBytes,
  countBytes,
  createRepresentation,
  type Representation,
  type StoredResponse,
} from '../stored-response.ts';
import { type Acceptable, type Coding, encode } from './content-coding.ts';

/** Of the four threads of libuv two stay for whoever else needs them: files, names of hosts, passwords. */
const RUNNING_MAX = 2;
const AT_ONCE_MAX = 256;
const LATER_MAX = 64;
/** With more before it, an answer is sent as it is rather than late. */
const WAITS_FOR_MAX = 8;
/** Hits whose client takes a better coding than there is, before that is made: a tenth of a second of a popular page. */
const HOT_HITS = 32;

type Job = () => Promise<void>;

export class Compression {
  readonly #cache: Pick<HttpCache, 'grow'>;
  readonly #atOnce: Job[] = [];
  readonly #later: Job[] = [];
  #running = 0;

  constructor(cache: Pick<HttpCache, 'grow'>) {
    this.#cache = cache;
  }

  /** Called for each answer that is stored: encodes it by gzip, which everybody takes. */
  keep(key: string, stored: StoredResponse): void {
    const { codings } = stored;
    if (!codings) return;
    codings.key = key;
    if (!codings.pending && codings.gzip === undefined) this.#add(this.#atOnce, AT_ONCE_MAX, stored, 'gzip');
  }

  /** Resolves when the answer has a coding that its client takes; undefined when it can be sent as it is. */
  prepare(stored: StoredResponse, acceptable: Acceptable): Promise<void> | undefined {
    const { codings } = stored;
    if (!codings) return undefined;
    const isThere = acceptable.some((coding) => coding !== 'identity' && typeof codings[coding] === 'object');
    const coding = acceptable.includes('gzip') ? 'gzip' : acceptable[0];
    if (isThere || coding === undefined || coding === 'identity') return undefined;
    const refusesIdentity = !acceptable.includes('identity');
    if (!refusesIdentity && (codings[coding] !== undefined || this.#isBusy)) return undefined;
    if (codings.pending && (coding === 'gzip' || !refusesIdentity)) return codings.pending;
    return this.#add(this.#atOnce, AT_ONCE_MAX, stored, coding);
  }

  /** Called for each hit: has the coding made that its client would rather have, once enough have come. */
  noteHit(stored: StoredResponse, acceptable: Acceptable): void {
    const { codings } = stored;
    const best = acceptable[0];
    if (!codings || best === undefined || best === 'identity' || codings[best] !== undefined) return;
    if (codings.pending || ++codings.wanted < HOT_HITS) return;
    codings.wanted = 0;
    this.#add(this.#later, LATER_MAX, stored, best);
  }

  /** Encodes what is sent once. Undefined when too much waits already, or nothing would be saved. */
  async encodeOnce(coding: Coding, body: Buffer): Promise<Buffer | undefined> {
    if (this.#isBusy) return undefined;
    const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
    this.#push(this.#atOnce, () =>
      encode(coding, body, 'once').then(
        (encoded) => resolve(encoded.length < body.length ? encoded : undefined),
        () => resolve(undefined),
      ),
    );
    return promise;
  }

  get #isBusy(): boolean {
    return this.#atOnce.length > WAITS_FOR_MAX;
  }

  #add(queue: Job[], queueLengthMax: number, stored: StoredResponse, coding: Coding): Promise<void> | undefined {
    const { codings } = stored;
    if (!codings || queue.length >= queueLengthMax) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    codings.pending = promise;
    this.#push(queue, async () => {
      codings[coding] = await this.#encode(stored, coding);
      codings.pending = undefined;
      resolve();
    });
    return promise;
  }

  /** Never rejects: without memory, say, the answer goes out as it is. */
  async #encode(stored: StoredResponse, coding: Coding): Promise<Representation | 'not smaller'> {
    try {
      const encoded = await encode(coding, bodyBytes(stored), 'kept');
      if (encoded.length >= stored.body.length) return 'not smaller';
      const representation = createRepresentation(stored, coding, encoded);
      const key = stored.codings?.key;
      if (key !== undefined) this.#cache.grow(key, stored, countBytes(representation.head, encoded));
      return representation;
    } catch {
      return 'not smaller';
    }
  }

  #push(queue: Job[], job: Job): void {
    queue.push(job);
    this.#start();
  }

  #start(): void {
    while (this.#running < RUNNING_MAX) {
      // What can wait leaves one thread to what can't.
      const job = this.#atOnce.shift() ?? (this.#running === 0 ? this.#later.shift() : undefined);
      if (!job) return;
      this.#running++;
      void job().finally(() => {
        this.#running--;
        this.#start();
      });
    }
  }
}
