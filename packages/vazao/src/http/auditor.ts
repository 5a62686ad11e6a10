/**
 * The auditor: computes a sample of the hits again and compares. A difference is a defect of ours, or a handler that answers
 * from something other than its request and the database; either way it must be known before users notice.
 *
 * Which moment is compared with which: the second computation sees a snapshot, and everything it sees was committed before
 * a position. When the feed has passed that position and the entry is still in its place, no change has touched what the
 * entry read, from its own snapshot to that position. So the two must be equal. If the entry has gone meanwhile, nothing is
 * known and nothing is counted.
 *
 * What it may cost is bounded: one computation at a time, and a share of the time that passes.
 */
import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Entry } from '../cache/index.ts';
import type { CacheValue, HttpCache } from './lookup.ts';
import type { PluginFeed } from './options.ts';
import { POSITION_HEADER } from './position-token.ts';
import { type Recomputed, type Repeat, repeatRequest } from './repeat.ts';
import { bodyBytes, type StoredResponse } from './stored-response.ts';

type Asked = Pick<IncomingMessage, 'url' | 'rawHeaders' | 'socket'>;

export interface AuditorOptions {
  readonly cache: HttpCache;
  readonly feed: PluginFeed;
  /** One hit in so many is computed again, at random. @defaultValue {@link ONE_IN_DEFAULT} */
  readonly oneIn?: number | undefined;
  /** The share of the time that passes which computing again may take. @defaultValue {@link SHARE_MAX_DEFAULT} */
  readonly shareMax?: number | undefined;
  /** Numbers from 0 to 1. @defaultValue `Math.random` */
  readonly random?: (() => number) | undefined;
}

export interface AuditFigures {
  /** Hits that were computed again. */
  readonly sampled: number;
  readonly equal: number;
  /** The answer changed meanwhile, or could not be computed in one moment. */
  readonly unknown: number;
  /** Served although it was not the answer. Must be 0. */
  readonly wrong: number;
}

export const ONE_IN_DEFAULT = 10_000;
/**
 * A hundredth of the time of one of the process's connections, hence at most of the time that the database has for it. Not
 * of the time that statements take: where nearly all is answered from memory that is nearly nothing, and just there a
 * hit in 10,000 would never be looked at.
 */
export const SHARE_MAX_DEFAULT = 0.01;
/** What may be spent at once after a quiet time. */
const BURST_MS = 1_000;
const FEED_WAIT_MS = 1_000;
/** A handler that never answers would else be the last that is audited. */
const RECOMPUTE_MAX_MS = 30_000;
/** Whoever finds a difference looks again: a statement of the second computation may have failed or run elsewhere. */
const LOOKS = 3;
const SHOWN_MAX = 2_000;
/** Fields that would make the second answer another one than the first. */
const NOT_REPEATED = new Set(['if-none-match', 'if-modified-since', POSITION_HEADER]);

export class Auditor {
  readonly #app: FastifyInstance;
  readonly #options: AuditorOptions;
  readonly #random: () => number;
  readonly #startedAtMs = performance.now();
  #spentMs = 0;
  /** Hits until the next sample. */
  #countdown: number;
  #isRunning = false;
  #figures = { sampled: 0, equal: 0, unknown: 0, wrong: 0 };

  constructor(app: FastifyInstance, options: AuditorOptions) {
    this.#app = app;
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#countdown = this.#draw();
  }

  get figures(): AuditFigures {
    return this.#figures;
  }

  /** Called for each hit, after its answer was written. */
  sample(entry: Entry<CacheValue>, request: Asked): void {
    if (--this.#countdown > 0) return;
    this.#countdown = this.#draw();
    if (this.#isRunning || !this.#isComparable(entry)) return;
    const shareMax = this.#options.shareMax ?? SHARE_MAX_DEFAULT;
    if (this.#spentMs > (performance.now() - this.#startedAtMs) * shareMax + BURST_MS * shareMax) return;
    this.#isRunning = true;
    this.#figures.sampled++;
    // The listener of hits goes on first.
    setImmediate(() => {
      void this.#audit(entry, request).then((outcome) => {
        this.#isRunning = false;
        this.#figures[outcome]++;
      });
    });
  }

  /**
   * What depends on the time may be old by its route's own word, what reads no row by its `ttl`, and where the feed does not
   * see every writer any answer may be. A `ttl` alone says nothing: until it ends, each change ends the answer.
   */
  #isComparable({ snapshot, usesTime }: Entry<CacheValue>): boolean {
    return snapshot !== undefined && !usesTime && this.#options.cache.feed.ttlDefaultMs === undefined;
  }

  /** A number of hits with the mean `oneIn`, so that no rhythm of requests escapes. */
  #draw(): number {
    return Math.max(1, Math.ceil(-Math.log(1 - this.#random()) * (this.#options.oneIn ?? ONE_IN_DEFAULT)));
  }

  async #audit(entry: Entry<CacheValue>, request: Asked): Promise<'equal' | 'unknown' | 'wrong'> {
    const served = entry.value as StoredResponse;
    let found: Recomputed | undefined;
    for (let look = 0; look < LOOKS; look++) {
      found = await this.#recompute(request);
      if (!found || found.position === 0n || found.key !== entry.key) return 'unknown';
      // A failure, or a limit on requests, says nothing of what the answer would have been.
      if (found.stored.status >= 500 || found.stored.status === 429) return 'unknown';
      if (!(await this.#options.feed.waitFor(found.position, FEED_WAIT_MS))) return 'unknown';
      const { cache } = this.#options;
      if (!cache.isFresh() || cache.peek(entry.key) !== entry || !cache.isGood(entry)) return 'unknown';
      if (found.stored.status === served.status && bodyBytes(found.stored).equals(bodyBytes(served))) return 'equal';
    }
    this.#report(entry, request.url as string, served, (found as Recomputed).stored);
    this.#options.cache.purge(entry.key);
    return 'wrong';
  }

  async #recompute(request: Asked): Promise<Recomputed | undefined> {
    const startedAtMs = performance.now();
    const repeat: Repeat = { code: 'audit', detail: 'A hit is computed again, to be compared.' };
    const late = new AbortController();
    await Promise.race([
      repeatRequest(this.#app, request, repeat, NOT_REPEATED),
      delay(RECOMPUTE_MAX_MS, undefined, { signal: late.signal, ref: false }).catch(() => {}),
    ]);
    late.abort();
    this.#spentMs += performance.now() - startedAtMs;
    return repeat.recomputed;
  }

  #report(entry: Entry<CacheValue>, url: string, served: StoredResponse, found: StoredResponse): void {
    this.#app.log.error(
      {
        url,
        served: { status: served.status, body: show(bodyBytes(served)) },
        database: { status: found.status, body: show(bodyBytes(found)) },
        ageMs: Math.round(this.#options.cache.now() - entry.createdAtMs),
        statements: entry.statements.map(({ text }) => text.slice(0, SHOWN_MAX)),
      },
      'wrong hit: the cached answer is not what the database says. Does the handler use more than its request and the database? If not, please report it.',
    );
  }
}

function show(body: Buffer): string {
  const text = body.toString('utf8');
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}…`;
}
