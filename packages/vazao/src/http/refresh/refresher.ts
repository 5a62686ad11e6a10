/**
 * Computes hot answers ahead of their next reader: one that a change has ended, at once; one whose time to live nears its end,
 * a little before, at random, the sooner the longer it takes to compute ("XFetch": Vattani, Chierichetti, Lowenstein, "Optimal
 * Probabilistic Cache Stampede Prevention", VLDB 2015), so that of many readers and processes few compute.
 *
 * It runs in the background, through the whole application, as one reader more: a reader who comes meanwhile joins it, or
 * has the old answer where the route says `staleFor`. The hottest goes first; a bounded number runs, as long as the
 * database has room; what found no room in a short time is left to its readers.
 */
import type { FastifyInstance } from 'fastify';
import type { Entry } from '../../cache/index.ts';
import type { CacheValue, HttpCache } from '../lookup.ts';
import { type Asking, ask, currentRepeat } from '../repeat.ts';
import { Heats } from './heat.ts';

export interface RefreshOptions {
  /** From how many hits a second an answer that a change ended is computed at once. @defaultValue {@link HITS_PER_SECOND_MIN} */
  readonly hitsPerSecondMin?: number | undefined;
  /** Answers computed at a time. @defaultValue {@link COMPUTING_MAX} */
  readonly computingMax?: number | undefined;
  /** Answers computed in a second. @defaultValue {@link PER_SECOND_MAX} */
  readonly perSecondMax?: number | undefined;
  /** Numbers from 0 to 1. @defaultValue `Math.random` */
  readonly random?: (() => number) | undefined;
}

/** What has been computed ahead, and what was left to readers since there was no room. */
export interface RefreshFigures {
  readonly afterChanges: number;
  readonly beforeExpiry: number;
  readonly left: number;
}

/** The part of a pool that tells how busy the database is. */
export interface RefreshPool {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
  readonly options: { readonly max?: number | undefined };
}

export const HITS_PER_SECOND_MIN = 10;
export const COMPUTING_MAX = 2;
export const PER_SECOND_MAX = 50;
const WAITING_MAX = 100;
/** Later its readers have come. */
const WAITING_MAX_MS = 250;
const LOOK_AGAIN_MS = 10;
/** A key is computed ahead at most once in so many times what it takes to compute. */
const REST = 2;

interface Waiting {
  readonly asking: Asking;
  readonly hitsPerSecond: number;
  readonly sinceMs: number;
  readonly isEarly: boolean;
}

export class Refresher {
  readonly #app: FastifyInstance;
  readonly #cache: HttpCache;
  readonly #pool: RefreshPool;
  readonly #options: Required<{ [Name in keyof RefreshOptions]: NonNullable<RefreshOptions[Name]> }>;
  readonly #heats = new Heats();
  readonly #waiting = new Map<string, Waiting>();
  readonly #running = new Set<string>();
  /** Not before this moment may a key be computed ahead again. */
  readonly #restUntilMs = new Map<string, number>();
  #allowance: number;
  #allowedAtMs = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #isPumping = false;
  #isClosed = false;
  #figures = { afterChanges: 0, beforeExpiry: 0, left: 0 };

  constructor(app: FastifyInstance, cache: HttpCache, pool: RefreshPool, options: RefreshOptions) {
    this.#app = app;
    this.#cache = cache;
    this.#pool = pool;
    this.#options = {
      hitsPerSecondMin: options.hitsPerSecondMin ?? HITS_PER_SECOND_MIN,
      computingMax: options.computingMax ?? COMPUTING_MAX,
      perSecondMax: options.perSecondMax ?? PER_SECOND_MAX,
      random: options.random ?? Math.random,
    };
    this.#allowance = this.#options.perSecondMax;
    cache.endings.listen((entry, ending) => {
      if (ending === 'dropped' && entry.value.kind === 'response') this.#onDropped(entry);
    });
  }

  get figures(): RefreshFigures {
    return { ...this.#figures };
  }

  /** A reader leads the computation of a key: how it asks is how the key is computed ahead. */
  onMiss(key: string, asking: () => Asking): void {
    if (this.#heats.isKnown(key) && !currentRepeat()) this.#heats.keepAsking(key, asking());
  }

  /** An answer with a time to live was hit. */
  onHit({ key, expiresAtMs, fillMs }: Entry<CacheValue>, asking: () => Asking): void {
    const aheadMs = -fillMs * Math.log(1 - this.#options.random());
    if (this.#cache.now() + aheadMs < expiresAtMs || this.#running.has(key) || currentRepeat()) return;
    this.#add(key, { asking: asking(), hitsPerSecond: 0, sinceMs: performance.now(), isEarly: true });
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #onDropped({ key, hits, createdAtMs }: Entry<CacheValue>): void {
    const hitsPerSecond = this.#heats.ended(key, hits, createdAtMs, this.#cache.now());
    const asking = hitsPerSecond >= this.#options.hitsPerSecondMin ? this.#heats.findAsking(key) : undefined;
    if (asking) this.#add(key, { asking, hitsPerSecond, sinceMs: performance.now(), isEarly: false });
  }

  #add(key: string, waiting: Waiting): void {
    if (this.#isClosed || this.#waiting.has(key)) return;
    if (this.#waiting.size >= WAITING_MAX) {
      this.#figures.left++;
      return;
    }
    this.#waiting.set(key, waiting);
    this.#pump();
  }

  /** In a turn of its own: what ends answers is the feed, in the middle of a commit. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    setImmediate(() => {
      this.#isPumping = false;
      while (this.#waiting.size > 0 && this.#hasRoom()) {
        const key = this.#hottest();
        const waiting = this.#waiting.get(key) as Waiting;
        this.#waiting.delete(key);
        if (this.#isNeeded(key, waiting)) void this.#compute(key, waiting);
      }
      this.#leaveLate();
      if (this.#waiting.size > 0) this.#timer ??= setTimeout(() => this.#lookAgain(), LOOK_AGAIN_MS).unref();
    });
  }

  #lookAgain(): void {
    this.#timer = undefined;
    this.#pump();
  }

  #leaveLate(): void {
    const now = performance.now();
    for (const [key, { sinceMs }] of this.#waiting) {
      if (now - sinceMs < WAITING_MAX_MS) continue;
      this.#waiting.delete(key);
      this.#figures.left++;
    }
  }

  #hottest(): string {
    let hottest = '';
    let most = Number.NEGATIVE_INFINITY;
    for (const [key, { hitsPerSecond }] of this.#waiting) {
      if (hitsPerSecond <= most) continue;
      hottest = key;
      most = hitsPerSecond;
    }
    return hottest;
  }

  /** Readers and writers keep half of the connections for themselves. */
  #hasRoom(): boolean {
    if (this.#isClosed || this.#running.size >= this.#options.computingMax || !this.#cache.isFresh()) return false;
    const { totalCount, idleCount, waitingCount, options } = this.#pool;
    if (waitingCount > 0 || totalCount - idleCount >= (options.max ?? 10) / 2) return false;
    const now = performance.now();
    const { perSecondMax } = this.#options;
    this.#allowance = Math.min(perSecondMax, this.#allowance + ((now - this.#allowedAtMs) / 1_000) * perSecondMax);
    this.#allowedAtMs = now;
    return this.#allowance >= 1;
  }

  #isNeeded(key: string, { isEarly }: Waiting): boolean {
    if (performance.now() < (this.#restUntilMs.get(key) ?? 0)) return false;
    const entry = this.#cache.peek(key);
    const isCurrent = entry?.value.kind === 'response' && this.#cache.isGood(entry);
    return isCurrent === isEarly && !this.#cache.isFilling(key);
  }

  async #compute(key: string, { asking, isEarly }: Waiting): Promise<void> {
    this.#allowance--;
    this.#running.add(key);
    const startedAtMs = performance.now();
    this.#figures[isEarly ? 'beforeExpiry' : 'afterChanges']++;
    await ask(this.#app, asking, { code: isEarly ? 'early' : 'refresh', detail: 'A hot answer is computed ahead.' });
    this.#running.delete(key);
    this.#rest(key, performance.now() + (performance.now() - startedAtMs) * REST);
    this.#pump();
  }

  #rest(key: string, untilMs: number): void {
    this.#restUntilMs.delete(key);
    this.#restUntilMs.set(key, untilMs);
    for (const [eldest] of this.#restUntilMs) {
      if (this.#restUntilMs.size <= WAITING_MAX) break;
      this.#restUntilMs.delete(eldest);
    }
  }
}
