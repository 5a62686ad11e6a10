/**
 * The fill of one answer: opens the care for its statements, watches what it reads of the request, takes the finished
 * response, and decides what is written and what is kept.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { BYPASS_MS, type Entry, type Fill, holdBack, isPassing, isShown, type NotStored } from '../cache/index.ts';
import type { Ticket } from '../cache/redis/index.ts';
import { type FillSession, type Pool, runInContext } from '../db/index.ts';
import { UNKNOWN_POSITION } from '../feed/index.ts';
import { bypassStatus, isHitStatus, missStatus, staleStatus } from './cache-status.ts';
import { Capture } from './capture.ts';
import type { FacetValue } from './facets.ts';
import type { KnownIdentity } from './identities.ts';
import { judge } from './judge.ts';
import { type CacheValue, type Found, growTree, type HttpCache } from './lookup.ts';
import { Observation } from './observation.ts';
import type { PluginFeed } from './options.ts';
import {
  type CarriedPosition,
  type OwnFields,
  POSITION_HEADER,
  type PositionTokens,
  type Seen,
} from './position-token.ts';
import type { RecentAnswers } from './recent-answers.ts';
import { currentRepeat, isAlone, repeatRequest, writeRepeated } from './repeat.ts';
import { STATE } from './request-state.ts';
import type { ResolvedRouteCacheOptions } from './route-options.ts';
import { type HttpSecondTier, leaveInSecondTier } from './second-tier.ts';
import type { Compression } from './sending/compression.ts';
import { sendStoredResponse } from './sending/write-stored.ts';
import {
  type CapturedResponse,
  createStoredResponse,
  type StoredResponse,
  writeOwnHeaders,
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
  /** Cookies that prove who is asking. */
  readonly identityCookies: ReadonlySet<string>;
  readonly tokens: PositionTokens;
  readonly compression: Compression;
  /** Where to leave what was computed with a ticket. */
  readonly secondTier: HttpSecondTier | undefined;
  /** Where to tell what became of the fill. */
  readonly recent: RecentAnswers | undefined;
}

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
  #hasWritten = false;
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
    // It is for a client that carries what it has seen, or for nobody. Whoever is served past the cache for another reason may
    // carry nothing, and would be shown something older next.
    const code = fill.notStored?.code;
    this.#mayLeaveEarly = code === 'audit' || (code === 'position' && carried !== undefined);
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
      settings.identityCookies,
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
    if (state) Object.assign(state, { context, observation: this.#observation, forsake: () => this.#forsake() });
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

  #forsake(): void {
    this.#giveUp('client-left', 'Its client left before its turn came.');
    this.#end();
  }

  #complete(response: CapturedResponse): void {
    this.#end();
    const captured = this.#takeOutPosition(response);
    const repeat = currentRepeat();
    if (this.#session.hasConflict && !(repeat && isAlone(repeat))) {
      void this.#repeat(captured);
      return;
    }
    judge(captured, this.#fill, this.#observation.requestId);
    if (this.#session.hasLeft) void this.#findPosition().then(() => this.#hold(captured));
    else this.#hold(captured);
  }

  /**
   * A handler that writes, or may have, has been given a cookie with the position of that. The answer may show more, so its client
   * gets one for all of it, and not two that differ.
   */
  #takeOutPosition(captured: CapturedResponse): CapturedResponse {
    const cookies = cookiesOf(captured);
    const others = cookies.filter((cookie) => !this.#settings.tokens.isCookie(cookie));
    if (others.length === cookies.length) return captured;
    this.#hasWritten = true;
    this.#fill.raise(this.#request[STATE]?.context.position ?? 0n);
    return { ...captured, headers: { ...captured.headers, 'set-cookie': others.length > 0 ? others : undefined } };
  }

  /** What ran after the fill was left may have seen anything that is committed by now. */
  async #findPosition(): Promise<void> {
    try {
      this.#fill.raise(await this.#settings.db.readPosition());
    } catch {
      // The database does not answer any more, and what was seen of it may be told by the feed at any time, or never.
      this.#fill.raise(UNKNOWN_POSITION);
    }
  }

  /** The answer leaves when the feed has told all that it shows. */
  #hold(captured: CapturedResponse): void {
    const { cache, feed, answerWaitMaxMs } = this.#settings;
    if (this.#mayLeaveEarly || isShown(this.#fill, cache)) {
      this.#settle(captured);
      return;
    }
    const startedAtMs = performance.now();
    void holdBack(this.#fill, cache, feed, answerWaitMaxMs).then((mayLeave) => {
      this.#request[STATE]?.context.stages?.add('feed', performance.now() - startedAtMs);
      if (mayLeave || this.#hasWritten) this.#settle(captured);
      else void this.#repeat(captured);
    });
  }

  /**
   * A replica could not go on, and the handler failed by it, or what it showed must not be. Nothing has left yet: it runs again, on
   * the primary.
   */
  async #repeat(captured: CapturedResponse): Promise<void> {
    const detail = 'A replica could not go on, or showed more than may be shown.';
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
    const recover = (error: unknown): void => {
      this.#request.log.error(error, 'the answer could not be cached');
      this.#settings.cache.fail(this.#fill);
      this.#leave(undefined, []);
      this.#capture.restore();
      if (!this.#reply.raw.headersSent) this.#passThrough(captured, bypassStatus('defect'), this.#seen());
    };
    try {
      this.#keepAndWrite(captured)?.catch(recover);
    } catch (error) {
      recover(error);
    }
  }

  /** A promise when the answer waits to be encoded. */
  #keepAndWrite(captured: CapturedResponse): Promise<void> | undefined {
    const { cache } = this.#settings;
    const facets = [...new Map([...this.#found.path, ...this.#observation.facets])];
    const seen = this.#seen();
    const { identityHeaders } = this.#settings;
    const stored = createStoredResponse(
      captured,
      facets,
      identityHeaders,
      this.#observation.requestId,
      seen,
      this.#request.routeOptions.config.compress !== false,
    );
    const key = growTree(cache, this.#baseKey, facets);
    const previous = this.#found.entry;
    if (!this.#options.isAudited) this.#fill.dependOnTime();
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
    if (completed.stored) this.#settings.compression.keep(key, stored);
    else this.#noteBypass(key, completed.why);
    this.#leave(completed.stored ? completed.entry : undefined, facets);
    this.#settings.recent?.record(this.#request.originalUrl, {
      route: this.#request.routeOptions.url,
      cached: true,
      at: Date.now(),
      notStored: completed.stored ? undefined : completed.why,
      statements: this.#fill.statements,
    });
    const stale = captured.status >= 500 ? this.#findStale(previous) : undefined;
    if (stale) return this.#write(stale.stored, staleStatus(stale.staleMs, 'error'), undefined);
    const why = completed.stored ? undefined : completed.why;
    const status = this.#bypass ?? missStatus(this.#found.path.length > 0, why ? { notStored: why.code } : 'stored');
    // An answer that may not be kept goes out as the application made it, down to its own Cache-Control and cookies.
    if (why && (!isPassing(why.code) || why.code === 'failed' || why.code === 'status')) {
      this.#capture.restore();
      this.#passThrough(captured, status, seen);
      return undefined;
    }
    writeOwnHeaders(this.#reply.raw, captured.headers, this.#observation.requestId);
    return this.#write(stored, status, this.#own(stored));
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
    const own = this.#own(seen);
    const token = own?.token ?? seen.token;
    this.#capture.passThrough(captured, {
      'cache-status': status,
      ...(token !== undefined && { [POSITION_HEADER]: token }),
      ...(own?.cookie !== undefined && { 'set-cookie': [...cookiesOf(captured), own.cookie] }),
    });
  }

  #own(seen: Seen): OwnFields | undefined {
    const { tokens } = this.#settings;
    const own = tokens.own(this.#carried, seen);
    const token = own?.token ?? seen.token;
    return this.#hasWritten && token !== undefined ? { token: own?.token, cookie: tokens.cookie(token) } : own;
  }

  #findStale(previous: Entry<CacheValue> | undefined): { stored: StoredResponse; staleMs: number } | undefined {
    // Whoever carries what it has seen asked for nothing older, and is told of the failure.
    // Nor is it for a stream, or to be kept.
    if (previous?.value.kind !== 'response' || this.#carried || currentRepeat()) return undefined;
    const staleMs = this.#settings.cache.staleMs(previous);
    return staleMs <= this.#options.staleIfErrorMs ? { stored: previous.value, staleMs } : undefined;
  }

  /** Until it is written the response stays as the handler left it: ended. */
  #write(stored: StoredResponse, cacheStatus: string, own: OwnFields | undefined): Promise<void> | undefined {
    const state = this.#request[STATE];
    if (state) state.isHit = isHitStatus(cacheStatus);
    const { compression } = this.#settings;
    const { raw: request } = this.#request;
    const { raw: response } = this.#reply;
    return sendStoredResponse(stored, { request, response, cacheStatus, own }, compression, () =>
      this.#capture.restore(),
    );
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

function cookiesOf({ headers }: CapturedResponse): string[] {
  return [headers['set-cookie'] ?? []].flat().map(String);
}

/** Whether a request with these facet values may have the answer. */
export function isFor(
  stored: StoredResponse,
  ownValue: (facet: StoredResponse['facets'][number][0]) => string,
): boolean {
  return stored.facets.every(([facet, value]) => ownValue(facet) === value);
}
