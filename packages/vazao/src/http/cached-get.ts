/**
 * How a GET of a cached route is answered that was no hit before routing.
 *
 *   look ─┬─ a good answer ─────────────────────────────────────────────► written
 *         ├─ told to pass by ───────────────────────────────────────────► the handler, uncached
 *         ├─ being filled ── wait ─┬─ an answer that may be shared ─────► written
 *         │                        └─ none ──► look again, a few times, then compute alone
 *         └─ nobody fills it: lead ─┬─ the second tier has it ──────────► written
 *                                   └─ it has not ──────────────────────► the handler, whose answer is kept
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Fill, Joined } from '../cache/index.ts';
import type { Ticket } from '../cache/redis/index.ts';
import { AnswerFill, type FillSettings, isFor } from './answer-fill.ts';
import type { Auditor } from './auditor.ts';
import {
  bypassStatus,
  type HitStatus,
  isHitStatus,
  missStatus,
  SECOND_TIER_STATUS,
  staleStatus,
} from './cache-status.ts';
import { facetValue } from './facets.ts';
import type { KnownIdentity } from './identities.ts';
import { type CacheValue, DEPTH_MAX, type Found, walk } from './lookup.ts';
import type { CarriedPosition } from './position-token.ts';
import type { Refresher } from './refresh/index.ts';
import { currentRepeat, isAlone, type Repeat, toAsking } from './repeat.ts';
import { STATE } from './request-state.ts';
import type { ResolvedRouteCacheOptions } from './route-options.ts';
import { type Asked, askSecondTier } from './second-tier.ts';
import { sendStoredResponse } from './sending/write-stored.ts';
import type { StoredResponse } from './stored-response.ts';

/** What the plugin lends to each request. */
export interface CachedGetSettings {
  readonly fill: FillSettings;
  readonly hitStatus: HitStatus;
  /** How long a read that carries a position waits for the feed, before it is computed past the cache. */
  readonly readWaitMaxMs: number;
  /** The application has a `rewriteUrl`, which may read anything of the request unseen. */
  readonly rewritesUrls: boolean;
  readonly auditor: Auditor | undefined;
  readonly refresher: Refresher | undefined;
  /** What came before the server began to close would else keep its connection, and the server, open. */
  readonly closesConnection: (request: FastifyRequest) => boolean;
}

/** How often a request looks again, after waiting for a fill that was not for it, before it computes for itself. */
const LOOKS_MAX = 5;

/** Undefined: look again. */
type Outcome = 'answered' | 'gave up waiting' | undefined;
type Leader = Extract<Joined<CacheValue>, { readonly role: 'leader' }>;
type Waiter = Exclude<Joined<CacheValue>, Leader>;

export class CachedGet {
  readonly #settings: CachedGetSettings;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #baseKey: string;
  readonly #options: ResolvedRouteCacheOptions;
  readonly #caller: KnownIdentity;
  /** Lets the request go on as if its route were not cached. */
  readonly #proceed: () => void;
  /** Ends the hook; the handler runs in the context of whoever calls it. */
  readonly #done: () => void;
  readonly #carried: CarriedPosition | undefined;
  /** What the client has seen, or the handler that asks has written: nothing older is an answer. */
  readonly #needed: bigint | undefined;
  /** Set where no client asks, but ourselves. */
  readonly #repeat: Repeat | undefined = currentRepeat();
  #mayAskSecondTier: boolean;
  #looksMax = LOOKS_MAX;

  constructor(
    settings: CachedGetSettings,
    request: FastifyRequest,
    reply: FastifyReply,
    baseKey: string,
    options: ResolvedRouteCacheOptions,
    caller: KnownIdentity,
    proceed: () => void,
    done: () => void,
  ) {
    this.#settings = settings;
    this.#request = request;
    this.#reply = reply;
    this.#baseKey = baseKey;
    this.#options = options;
    this.#caller = caller;
    this.#proceed = proceed;
    this.#done = done;
    this.#carried = settings.fill.tokens.find(request.raw.rawHeaders);
    this.#needed = neededPosition(this.#carried?.position, request[STATE]?.outer?.position);
    // There it would find the answer that is about to end.
    this.#mayAskSecondTier = settings.fill.secondTier !== undefined && this.#repeat?.code !== 'early';
  }

  /** Answers from the cache, or from another's fill, or lets the request go on: to lead a fill, or uncached. */
  async run(): Promise<void> {
    if (this.#settings.rewritesUrls) return this.#bypass('rewrite-url');
    // A full URL, or one with a fragment: legal or not, what stands behind a name of another form is another name's answer.
    if (!isPlainTarget(this.#request.raw.url as string)) return this.#bypass('request-target');
    const repeat = this.#repeat;
    if (repeat && isAlone(repeat)) return this.#computeAlone(repeat.code, repeat.detail);
    const { feed } = this.#settings.fill;
    if (this.#needed !== undefined && !(await feed.waitFor(this.#needed, this.#settings.readWaitMaxMs)))
      return this.#computeAlone('position', 'The feed has not told yet what the client has seen.');
    for (let looks = 0; looks < this.#looksMax; looks++) {
      const found = this.#walk();
      if (this.#answerFromEntry(found)) return;
      const joined = this.#settings.fill.cache.join(found.key);
      const outcome =
        joined.role === 'leader' ? await this.#lead(found, joined) : await this.#waitForAnother(found, joined);
      if (outcome === 'answered') return;
      if (outcome === 'gave up waiting') break;
    }
    this.#computeAlone('contended', `The fill that was waited for was not for this request, ${LOOKS_MAX} times.`);
  }

  #walk(): Found {
    return walk(this.#settings.fill.cache, this.#baseKey, this.#request.raw, this.#caller);
  }

  /** Answers by what stands in the cache. Returns false when that is no answer. */
  #answerFromEntry({ entry, key }: Found): boolean {
    const { fill, hitStatus, auditor, refresher } = this.#settings;
    const { cache } = fill;
    if (entry?.value.kind === 'bypass' && cache.isGood(entry)) {
      this.#bypass(entry.value.reason);
      return true;
    }
    if (entry?.value.kind !== 'response') return false;
    if (this.#repeat?.code === 'early' && !cache.isFilling(key)) return false; // computed although it is good
    if (cache.isFresh() && cache.isGood(entry)) {
      entry.hits++;
      this.#write(entry.value, hitStatus.text);
      auditor?.sample(entry, this.#request.raw);
      if (entry.expiresAtMs !== Number.POSITIVE_INFINITY) refresher?.onHit(entry, () => toAsking(this.#request.raw));
      return true;
    }
    const staleMs = cache.staleMs(entry);
    if (this.#repeat || this.#needed !== undefined || !cache.isFilling(key) || staleMs > this.#options.staleForMs)
      return false;
    this.#write(entry.value, staleStatus(staleMs, 'refreshing'));
    return true;
  }

  async #lead(found: Found, { fill }: Leader): Promise<Outcome> {
    this.#settings.refresher?.onMiss(found.key, () => toAsking(this.#request.raw));
    const { secondTier, cache } = this.#settings.fill;
    if (!secondTier?.isAvailable || !this.#mayAskSecondTier || !cache.isFresh()) return this.#compute(found, fill);
    const asked = await this.#askSecondTier(found.key, fill);
    if (asked.kind === 'answer') {
      this.#write(asked.stored, SECOND_TIER_STATUS);
      return 'answered';
    }
    if (asked.kind === 'compute') return this.#compute(found, fill, asked.ticket);
    this.#mayAskSecondTier = asked.mayAsk;
    // A node leads one step further, and there are only so many.
    if (asked.mayAsk && this.#looksMax < LOOKS_MAX + DEPTH_MAX) this.#looksMax++;
    return undefined;
  }

  async #askSecondTier(key: string, fill: Fill<CacheValue>): Promise<Asked> {
    const { secondTier: tier, cache, feed, compression } = this.#settings.fill;
    if (!tier) return { kind: 'compute', ticket: undefined };
    const isMine = (stored: StoredResponse): boolean => this.#isMine(stored);
    const feedWaitMaxMs = this.#settings.readWaitMaxMs;
    try {
      return await askSecondTier({
        tier,
        cache,
        feed,
        feedWaitMaxMs,
        key,
        fill,
        options: this.#options,
        isMine,
        compression,
      });
    } catch (error) {
      // A defect of ours must cost neither the answer nor those who wait for it.
      this.#request.log.error(error, 'the second tier could not be asked');
      cache.fail(fill);
      return { kind: 'again', mayAsk: false };
    }
  }

  async #waitForAnother({ entry, path }: Found, joined: Waiter): Promise<Outcome> {
    const { cache, fillMaxMs } = this.#settings.fill;
    const outcome = await within(joined.outcome, fillMaxMs);
    if (!outcome) return 'gave up waiting';
    if (outcome.kind !== 'value' || outcome.value.kind !== 'response' || !this.#isMine(outcome.value)) return undefined;
    const staleMs = entry?.value.kind === 'response' ? cache.staleMs(entry) : Number.POSITIVE_INFINITY;
    // As whoever led the fill was answered.
    const mayBeStale = !this.#repeat && this.#needed === undefined;
    if (outcome.value.status >= 500 && mayBeStale && staleMs <= this.#options.staleIfErrorMs)
      this.#write(entry?.value as StoredResponse, staleStatus(staleMs, 'error'));
    else this.#write(outcome.value, missStatus(path.length > 0, 'collapsed'));
    return 'answered';
  }

  #isMine(stored: StoredResponse): boolean {
    return isFor(stored, (facet) => facetValue(facet, this.#request.raw.headers, this.#caller));
  }

  #compute(found: Found, fill: Fill<CacheValue>, ticket?: Ticket): 'answered' {
    new AnswerFill(
      this.#settings.fill,
      this.#request,
      this.#reply,
      this.#baseKey,
      found,
      fill,
      this.#options,
      this.#caller,
      this.#carried,
      ticket,
    ).run(this.#done);
    return 'answered';
  }

  /** In one snapshot still, whose position the client then carries. */
  #computeAlone(code: string, detail: string): void {
    const found = this.#walk();
    this.#compute(found, this.#settings.fill.cache.lone(found.key, code, detail));
  }

  #bypass(reason: string): void {
    this.#reply.header('cache-status', bypassStatus(reason));
    const state = this.#request[STATE];
    if (state) state.carried = this.#carried;
    this.#proceed();
  }

  #write(stored: StoredResponse, cacheStatus: string): void {
    const { raw: request } = this.#request;
    const { raw: response } = this.#reply;
    const { tokens, compression } = this.#settings.fill;
    if (this.#repeat) {
      const { key } = this.#walk();
      this.#repeat.recomputed = { key, stored, position: stored.position, notStored: undefined };
    }
    const state = this.#request[STATE];
    if (state) state.isHit = isHitStatus(cacheStatus);
    this.#reply.hijack();
    if (this.#settings.closesConnection(this.#request)) response.setHeader('connection', 'close');
    const own = tokens.own(this.#carried, stored);
    void sendStoredResponse(stored, { request, response, cacheStatus, own }, compression);
  }
}

/** The form that nearly every request has (RFC 9112, 3.2.1): a path, perhaps a query. */
function isPlainTarget(url: string): boolean {
  return url.startsWith('/') && !url.includes('#');
}

/** What the client has seen, or, inside a handler, what that handler has written. */
function neededPosition(token: bigint | undefined, written: bigint | undefined): bigint | undefined {
  if (!written) return token;
  return token === undefined || token < written ? written : token;
}

async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, undefined);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
