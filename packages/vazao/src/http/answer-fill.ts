/**
 * The fill of one answer: opens the care for its statements, watches what it reads of the request, takes the finished
 * response, and decides what is written and what is kept.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { BYPASS_MS, type Entry, type Fill, isPassing, isShown, type NotStored, untilShown } from '../cache/index.ts';
import type { Ticket } from '../cache/redis/index.ts';
import { type FillSession, type Pool, runInContext } from '../db/index.ts';
import { untilToldOrSilent } from '../feed/index.ts';
import { bypassStatus, missStatus, staleStatus } from './cache-status.ts';
import { Capture } from './capture.ts';
import type { FacetValue } from './facets.ts';
import type { KnownIdentity } from './identities.ts';
import { type CacheValue, type Found, growTree, type HttpCache } from './lookup.ts';
import { Observation } from './observation.ts';
import type { PluginFeed } from './options.ts';
import { type CarriedPosition, POSITION_HEADER, type PositionTokens, type Seen } from './position-token.ts';
import type { RecentAnswers } from './recent-answers.ts';
import { currentRepeat, isAlone, repeatRequest, writeRepeated } from './repeat.ts';
import { STATE } from './request-state.ts';
import type { ResolvedRouteCacheOptions } from './route-options.ts';
import { type HttpSecondTier, leaveInSecondTier } from './second-tier.ts';
import {
  type CapturedResponse,
  createStoredResponse,
  type StoredResponse,
  writeOwnHeaders,
  writeStoredResponse,
} from './stored-response.ts';

export interface FillSettings {
  readonly cache: HttpCache;
  readonly db: Pool;
  readonly bodyMaxBytes: number;
  readonly fillMaxMs: number;
  readonly feed: PluginFeed;
  /** How long an answer waits until the feed has told what it shows, or is not fresh any more. */
  readonly answerWaitMaxMs: number;
  readonly identityHeaders: readonly string[];
  readonly tokens: PositionTokens;
  /** Where to leave what was computed with a ticket. */
  readonly secondTier: HttpSecondTier | undefined;
  /** Where to tell what became of the fill. */
  readonly recent: RecentAnswers | undefined;
}

/** Statuses that RFC 9111 lets a cache keep without being told, of those that a GET of ours may have. */
const STATUSES_STORED = new Set([200, 203, 204, 300, 301, 308, 404, 410]);

/**
 * What need not wait until the feed has told it: it is for a client that carries what it has seen, or for nobody.
 * Whoever is served past the cache for another reason may carry nothing, and would be shown something older next.
 */
const LEAVING_EARLY = new Set(['position', 'audit']);

export class AnswerFill {
  readonly #settings: FillSettings;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #baseKey: string;
  readonly #found: Found;
  readonly #fill: Fill<CacheValue>;
  readonly #options: ResolvedRouteCacheOptions;
  readonly #carried: CarriedPosition | undefined;
  readonly #session: FillSession;
  readonly #observation: Observation;
  readonly #capture: Capture;
  readonly #timer: NodeJS.Timeout;
  readonly #hasLookedBefore: boolean;
  /** Lets the answer be left in the second tier; undefined once it was used. */
  #ticket: Ticket | undefined;
  /** The `Cache-Status` of an answer that is computed past the cache. */
  readonly #bypass: string | undefined;
  readonly #mayLeaveEarly: boolean;
  #isLost = false;
  #ended = false;

  constructor(
    settings: FillSettings,
    request: FastifyRequest,
    reply: FastifyReply,
    baseKey: string,
    found: Found,
    fill: Fill<CacheValue>,
    options: ResolvedRouteCacheOptions,
    caller: KnownIdentity,
    carried: CarriedPosition | undefined,
    ticket: Ticket | undefined,
  ) {
    // Fastify listens for `onRequestAbort` once the hooks have begun: before us, if who is asking was not known at once.
    this.#hasLookedBefore = request.raw.listenerCount('close') > (request[STATE]?.closeListeners ?? 0);
    this.#settings = settings;
    this.#request = request;
    this.#reply = reply;
    this.#baseKey = baseKey;
    this.#found = found;
    this.#fill = fill;
    this.#options = options;
    this.#carried = carried;
    this.#ticket = ticket;
    this.#bypass = fill.notStored && bypassStatus(fill.notStored.code);
    this.#mayLeaveEarly = LEAVING_EARLY.has(fill.notStored?.code ?? '');
    this.#session = settings.db.openSession(fill as Fill<unknown>);
    this.#capture = new Capture(reply.raw, settings.bodyMaxBytes, {
      onComplete: (captured) => this.#complete(captured),
      onTooLarge: () =>
        this.#giveUp(
          'too-large',
          `The answer is larger than ${settings.bodyMaxBytes} bytes, or was flushed before it was complete.`,
        ),
      onLost: () => {
        this.#isLost = true;
        this.#checkLost();
      },
    });
    // After the capture, whose own listeners it is not to take for the application's.
    this.#observation = new Observation(
      request,
      reply,
      caller,
      (code, detail) => fill.abandon(code, detail),
      () => this.#checkLost(),
    );
    this.#timer = setTimeout(
      () => this.#giveUp('too-long', `The computation took longer than ${settings.fillMaxMs} ms.`),
      settings.fillMaxMs,
    );
    this.#timer.unref();
  }

  /** Runs the rest of the request's life in the care of the fill. */
  run(proceed: () => void): void {
    const state = this.#request[STATE];
    state?.context.stages?.mark('cache');
    const context = { ...state?.context, fill: this.#session, position: 0n };
    if (state) Object.assign(state, { context, observation: this.#observation });
    runInContext(context, proceed);
  }

  /**
   * A handler goes on without its client, and others may be waiting for its answer. But one that may have noticed cuts its
   * answer short, fails, or says nothing; and what was streamed to the client ends with it.
   */
  #checkLost(): void {
    if (!this.#isLost || this.#ended) return;
    if (!this.#observation.hasLooked && !this.#hasLookedBefore && !this.#capture.hasBegun) return;
    const detail = 'Its client left, and the handler may have noticed.';
    this.#fill.abandon('client-left', detail);
    this.#session.leave('client-left', detail);
    this.#settings.cache.fail(this.#fill);
    this.#leave(undefined, []);
  }

  #complete(captured: CapturedResponse): void {
    this.#end();
    const repeat = currentRepeat();
    if (this.#session.hasConflict && !(repeat && isAlone(repeat))) {
      void this.#repeat(captured);
      return;
    }
    this.#judge(captured);
    if (this.#session.hasLeft) void this.#findPosition().then(() => this.#hold(captured));
    else this.#hold(captured);
  }

  /** What ran after the fill was left may have seen anything that is committed by now. */
  async #findPosition(): Promise<void> {
    try {
      this.#fill.raise(await this.#settings.db.readPosition());
    } catch {
      // The database does not answer any more; the answer goes out with the position that is known.
    }
  }

  /** The answer leaves when the feed has told all that it shows. */
  #hold(captured: CapturedResponse): void {
    const { cache, feed, answerWaitMaxMs } = this.#settings;
    if (!feed.isFresh() || this.#mayLeaveEarly || isShown(this.#fill, cache)) {
      this.#settle(captured);
      return;
    }
    const wait = (timeoutMs: number): Promise<boolean> => untilShown(this.#fill, cache, feed, timeoutMs);
    const startedAtMs = performance.now();
    void untilToldOrSilent(feed, wait, answerWaitMaxMs).then((isTold) => {
      this.#request[STATE]?.context.stages?.add('feed', performance.now() - startedAtMs);
      if (!isTold) this.#fill.abandon('feed-behind', 'The feed did not reach the snapshot in time.');
      this.#settle(captured);
    });
  }

  /** A replica could not go on, and the handler failed by it. Nothing has left yet: it runs again, on the primary. */
  async #repeat(captured: CapturedResponse): Promise<void> {
    const detail = 'A replica could not go on, and the primary had other rows by then.';
    this.#fill.abandon('replica-conflict', detail);
    this.#settings.cache.fail(this.#fill);
    this.#leave(undefined, []);
    const { server, raw } = this.#request;
    const answer = await repeatRequest(server, raw, { code: 'replica-conflict', detail });
    this.#capture.restore();
    if (answer) writeRepeated(this.#reply.raw, answer);
    else this.#passThrough(captured, bypassStatus('replica-conflict'), this.#seen());
  }

  /** A defect of ours must cost the caching of an answer, and neither the answer nor those who wait for it. */
  #settle(captured: CapturedResponse): void {
    this.#capture.restore();
    try {
      this.#keepAndWrite(captured);
    } catch (error) {
      this.#request.log.error(error, 'the answer could not be cached');
      this.#settings.cache.fail(this.#fill);
      this.#leave(undefined, []);
      if (!this.#reply.raw.headersSent) this.#passThrough(captured, bypassStatus('defect'), this.#seen());
    }
  }

  #keepAndWrite(captured: CapturedResponse): void {
    const { cache } = this.#settings;
    const facets = [...new Map([...this.#found.path, ...this.#observation.facets])];
    const seen = this.#seen();
    const { identityHeaders } = this.#settings;
    const stored = createStoredResponse(captured, facets, identityHeaders, this.#observation.requestId, seen);
    const key = growTree(cache, this.#baseKey, facets);
    const previous = this.#found.entry;
    const completed = cache.complete(this.#fill, {
      key,
      value: stored,
      valueBytes: stored.bytes,
      ttlMs: this.#options.ttlMs,
      staleForMs: Math.max(this.#options.staleForMs, this.#options.staleIfErrorMs),
    });
    const repeat = currentRepeat();
    if (repeat) {
      const notStored = completed.stored ? undefined : completed.why;
      repeat.recomputed = { key, stored, position: seen.position, notStored };
    }
    if (!completed.stored) this.#noteBypass(key, completed.why);
    this.#leave(completed.stored ? completed.entry : undefined, facets);
    this.#settings.recent?.record(this.#request.originalUrl, {
      route: this.#request.routeOptions.url,
      cached: true,
      at: Date.now(),
      notStored: completed.stored ? undefined : completed.why,
      statements: this.#fill.statements,
    });
    if (captured.status >= 500 && this.#writeStale(previous)) return;
    const why = completed.stored ? undefined : completed.why;
    const status = this.#bypass ?? missStatus(this.#found.path.length > 0, why ? { notStored: why.code } : 'stored');
    // An answer that may not be kept goes out as the application made it, down to its own Cache-Control and cookies.
    if (why && (!isPassing(why.code) || why.code === 'failed' || why.code === 'status'))
      this.#passThrough(captured, status, seen);
    else {
      writeOwnHeaders(this.#reply.raw, captured.headers, this.#observation.requestId);
      this.#write(stored, status);
    }
  }

  /** Leaves the answer in the second tier; without one, lets another compute it at once. */
  #leave(entry: Entry<CacheValue> | undefined, facets: readonly FacetValue[]): void {
    const { secondTier: tier, cache, feed } = this.#settings;
    const ticket = this.#ticket;
    this.#ticket = undefined;
    if (!tier || !ticket) return;
    if (!entry) tier.release(ticket);
    else leaveInSecondTier({ tier, cache, feed, ticket, baseKey: this.#baseKey, facets, fill: this.#fill, entry });
  }

  /** What the client carries from now on. */
  #seen(): Seen {
    const { position } = this.#fill;
    return { position, token: position === 0n ? undefined : this.#settings.tokens.format(position) };
  }

  #passThrough(captured: CapturedResponse, status: string, seen: Seen): void {
    const own = this.#settings.tokens.own(this.#carried, seen);
    const token = own?.token ?? seen.token;
    const cookies = [captured.headers['set-cookie'] ?? []].flat().map(String);
    this.#capture.passThrough(captured, {
      'cache-status': status,
      ...(token !== undefined && { [POSITION_HEADER]: token }),
      ...(own?.cookie !== undefined && { 'set-cookie': [...cookies, own.cookie] }),
    });
  }

  /** Finds reasons in the response itself why it may not be kept. */
  #judge({ status, headers, body }: CapturedResponse): void {
    const fill = this.#fill;
    const { requestId } = this.#observation;
    if (requestId !== undefined && mayHoldId(requestId, headers, body)) {
      fill.abandon('request-id', 'The answer holds the id of the request.');
    }
    if (headers['set-cookie'] !== undefined)
      fill.abandon('set-cookie', 'The answer sets a cookie, which is for one client.');
    const cacheControl = String(headers['cache-control'] ?? '').toLowerCase();
    if (cacheControl.includes('no-store')) fill.abandon('no-store', 'The handler said `Cache-Control: no-store`.');
    if (String(headers.vary ?? '').includes('*')) fill.abandon('vary', 'The handler said `Vary: *`.');
    if (hasNonce(headers))
      fill.abandon('csp-nonce', 'The policy of the answer has a nonce. Name inline scripts by hash.');
    if (headers.trailer !== undefined) fill.abandon('trailer', 'The answer has trailers.');
    if (status >= 500) fill.abandon('failed', `The handler answered ${status}.`);
    else if (!STATUSES_STORED.has(status)) fill.abandon('status', `Answers with status ${status} are not kept.`);
  }

  #writeStale(previous: Entry<CacheValue> | undefined): boolean {
    const { cache } = this.#settings;
    // Whoever carries what it has seen asked for nothing older, and is told of the failure.
    // Nor is it for a stream, or to be kept.
    if (previous?.value.kind !== 'response' || this.#carried || currentRepeat()) return false;
    const staleMs = cache.staleMs(previous);
    if (staleMs > this.#options.staleIfErrorMs) return false;
    this.#write(previous.value, staleStatus(staleMs, 'error'));
    return true;
  }

  #write(stored: StoredResponse, status: string): void {
    const { method, headers } = this.#request.raw;
    const own = this.#settings.tokens.own(this.#carried, stored);
    writeStoredResponse(stored, method, headers['if-none-match'], this.#reply.raw, status, own);
  }

  #noteBypass(key: string, why: NotStored): void {
    // A client that chooses its id could choose one that every answer holds, and so turn the others away.
    if (why.code === 'request-id' && this.#observation.isIdOfClient) return;
    if (!isPassing(why.code)) {
      this.#settings.cache.note(key, { kind: 'bypass', reason: why.code }, why.code.length, BYPASS_MS);
    }
  }

  /** The answer will never be shared: nobody waits for it any longer, and its connection goes back. */
  #giveUp(code: string, detail: string): void {
    if (this.#ended) return;
    this.#fill.abandon(code, detail);
    this.#session.leave(code, detail);
    const { cache } = this.#settings;
    cache.fail(this.#fill);
    this.#leave(undefined, []);
    if (!this.#reply.raw.headersSent && code === 'too-large')
      this.#reply.raw.setHeader('cache-status', bypassStatus(code));
    const facets = [...new Map([...this.#found.path, ...this.#observation.facets])];
    // Under the longer key: it may be too large for this caller alone.
    if (!isPassing(code)) this.#noteBypass(growTree(cache, this.#baseKey, facets), { code, detail });
    if (code === 'too-large') this.#end();
    else this.#capture.pass();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#session.close();
    this.#observation.end();
  }
}

/** An id that stands in the answer as it is, or that escaping (JSON, HTML, URLs) would change, so that it can't be found. */
function mayHoldId(id: string, headers: CapturedResponse['headers'], body: Buffer): boolean {
  if (!/^[\w.-]+$/.test(id) || body.includes(id)) return true;
  // A field that is the id and nothing else is left out of what is kept.
  return Object.values(headers).some((value) => value !== id && String(value ?? '').includes(id));
}

/** A nonce is for one sending (CSP 3, 2.3): who can read it in a shared answer can inject a script that has it. */
function hasNonce(headers: CapturedResponse['headers']): boolean {
  return ['content-security-policy', 'content-security-policy-report-only'].some((name) =>
    /'nonce-/i.test(String(headers[name] ?? '')),
  );
}

/** Whether a request with these facet values may have the answer. */
export function isFor(
  stored: StoredResponse,
  ownValue: (facet: StoredResponse['facets'][number][0]) => string,
): boolean {
  return stored.facets.every(([facet, value]) => ownValue(facet) === value);
}
