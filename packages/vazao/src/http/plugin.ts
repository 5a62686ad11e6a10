/**
 * The Fastify plugin: cached routes.
 *
 *   request ── hits/ (before routing) ── hit ───────────────────────────────────────────► written at once
 *      └─ miss ─► Fastify ─► #onRequest ─┬─ cached-get.ts ─┬─ hit, or another's fill ───► written at once
 *                                        │                 └─ leads ─► hooks, handler ─► answer-fill.ts ─► written, kept
 *                                        └─ not cached ───► hooks, handler ─► onSend waits for its own writes
 */
import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import fp from 'fastify-plugin';
import { createTraceContext, currentContext, runInContext, type WorkContext } from '../db/index.ts';
import { UNKNOWN_POSITION, untilToldOrSilent } from '../feed/index.ts';
import { AnswerCounts } from './answer-counts.ts';
import { Auditor } from './auditor.ts';
import { HitStatus } from './cache-status.ts';
import { CachedGet, type CachedGetSettings } from './cached-get.ts';
import { HttpError } from './errors.ts';
import { registerExplain } from './explain.ts';
import { takeInvalidField } from './field-values.ts';
import { installHitListener } from './hits/index.ts';
import { Identities, type KnownIdentity } from './identities.ts';
import { isInjected } from './injected.ts';
import { Live } from './live/index.ts';
import type { HttpCache } from './lookup.ts';
import { ANSWER_WAIT_MAX_MS, type PluginOptions } from './plugin-options.ts';
import { type CarriedPosition, POSITION_HEADER, PositionTokens } from './position-token.ts';
import { resolveQueryForm, Spellings } from './query-form.ts';
import { RecentAnswers } from './recent-answers.ts';
import { Refresher } from './refresh/index.ts';
import { applicationOptions, assertFirst } from './registration.ts';
import { type RequestState, ROUTE, STATE } from './request-state.ts';
import { resolveRouteCacheOptions } from './route-options.ts';
import { addCompressionHook } from './sending/compress-uncached.ts';
import { Compression } from './sending/compression.ts';
import { createVisibility, RequestTimings } from './timing/index.ts';

class VazaoPlugin {
  readonly #options: PluginOptions;
  readonly #cache: HttpCache;
  readonly #identities: Identities;
  readonly #hitStatus: HitStatus;
  readonly #tokens: PositionTokens;
  readonly #cachedGet: CachedGetSettings;
  readonly #compression: Compression;
  readonly #spellings = new Spellings();
  readonly #answers = new AnswerCounts();
  readonly #writeWaitMaxMs: number;
  /** Undefined unless answers are to be explained. */
  readonly #recent: RecentAnswers | undefined;
  readonly #auditor: Auditor | undefined;
  readonly #timings: RequestTimings;
  readonly #live: Live | undefined;
  readonly #refresher: Refresher | undefined;
  /** The application has a `rewriteUrl`, which may read anything of the request unseen. */
  readonly #rewritesUrls: boolean;
  #hasConstraints = false;
  #isClosing = false;
  #routes = 0;
  /** URLs of the cached GET routes whose HEAD the application answers itself, or not at all. */
  readonly #withoutHead = new Set<string>();

  constructor(app: FastifyInstance, options: PluginOptions) {
    const { cache, feed, db, secondTier, audit } = options;
    this.#options = options;
    this.#cache = cache;
    this.#identities = new Identities(options.identify);
    this.#tokens = new PositionTokens(options.secret);
    this.#hitStatus = new HitStatus(() => feed.lagMs);
    this.#writeWaitMaxMs = options.writeWaitMaxMs ?? ANSWER_WAIT_MAX_MS;
    this.#recent = options.explain ? new RecentAnswers() : undefined;
    this.#auditor = audit === false ? undefined : new Auditor(app, { cache, feed, ...audit });
    this.#timings = new RequestTimings(createVisibility(options.timing, options.secret));
    this.#rewritesUrls = applicationOptions(app)?.rewriteUrl != null;
    this.#compression = new Compression(cache);
    this.#refresher = options.refresh === false ? undefined : new Refresher(app, cache, db, options.refresh ?? {});
    this.#cachedGet = {
      fill: {
        cache,
        db,
        bodyMaxBytes: options.bodyMaxBytes ?? 1024 * 1024,
        fillMaxMs: options.fillMaxMs ?? 30_000,
        feed,
        recent: this.#recent,
        answerWaitMaxMs: options.answerWaitMaxMs ?? ANSWER_WAIT_MAX_MS,
        identityHeaders: this.#identities.headers,
        identityCookies: this.#identities.cookies,
        tokens: this.#tokens,
        compression: this.#compression,
        secondTier,
      },
      hitStatus: this.#hitStatus,
      readWaitMaxMs: options.readWaitMaxMs ?? 100,
      rewritesUrls: this.#rewritesUrls,
      auditor: this.#auditor,
      refresher: this.#refresher,
      closesConnection: (request) => this.#closesConnection(request),
    };
    if (options.live !== false && !this.#rewritesUrls) {
      const { readWaitMaxMs } = this.#cachedGet;
      this.#live = new Live(
        { app, cache, feed, tokens: this.#tokens, identities: this.#identities, readWaitMaxMs },
        options.live ?? {},
      );
    }
  }

  register(app: FastifyInstance): void {
    app.decorateRequest(STATE, null);
    app.decorate('answered', { getter: () => this.#answers.figures });
    app.decorate('audit', { getter: () => this.#auditor?.figures });
    app.decorate('live', { getter: () => this.#live?.figures });
    app.decorate('refresh', { getter: () => this.#refresher?.figures });
    if (!this.#identities.isEmpty) {
      app.decorateRequest('user', {
        getter(this: FastifyRequest) {
          const state = this[STATE];
          state?.observation?.readUser();
          if (state?.caller?.failure) throw state.caller.failure;
          return state?.caller?.identity;
        },
      });
    }
    app.addHook('onRoute', (route) => this.#onRoute(route));
    app.addHook('onRequest', (request, reply, done) => this.#onRequest(request, reply, done));
    app.addHook('onResponse', (request, reply, done) => {
      this.#cache.noteLeaving(); // a stream may have read until now
      this.#count(request, reply);
      done();
    });
    this.#timings.register(app);
    app.addHook('onSend', (request, reply, _payload, done) => {
      const error = takeInvalidField(reply);
      if (error) done(error);
      else this.#onSend(request, reply, done);
    });
    app.addHook('preClose', async () => {
      this.#isClosing = true;
      this.#refresher?.close();
      await this.#live?.close();
    });
    app.addHook('onReady', (done) => {
      // Which route a URL leads to depends on headers then, and only the router can tell.
      if (!this.#hasConstraints && !this.#rewritesUrls) {
        installHitListener(app.server, {
          answers: this.#answers,
          cache: this.#cache,
          identities: this.#identities,
          hitStatus: this.#hitStatus,
          tokens: this.#tokens,
          auditor: this.#auditor,
          refresher: this.#refresher,
          timings: this.#timings,
          compression: this.#compression,
          spellings: this.#spellings,
          feed: this.#options.feed,
          isClosing: () => this.#isClosing,
          answersHead: this.#withoutHead.size === 0,
          followsAnswers: this.#live !== undefined,
          isRefused: (request) => app.limits?.isRefused(request) ?? false,
        });
      }
      done();
    });
    if (this.#recent) registerExplain(app, this.#cache, this.#recent);
  }

  #onRoute(route: RouteOptions): void {
    const methods = [route.method].flat();
    const options = resolveRouteCacheOptions(route.config?.cache, `${methods.join(',')} ${route.url}`);
    if (route.constraints && Object.keys(route.constraints).length > 0) this.#hasConstraints = true;
    if (methods.includes('HEAD')) this.#withoutHead.delete(options ? route.url : '');
    addCompressionHook(route, this.#compression);
    if (!options || !route.config) return;
    if (methods.includes('GET') && !methods.includes('HEAD')) this.#withoutHead.add(route.url);
    const other = methods.find((method) => method !== 'GET' && method !== 'HEAD');
    if (other)
      throw new HttpError(
        'ERR_HTTP_CACHE_OPTIONS',
        `${other} ${route.url}: only GET can be cached; remove config.cache, or register the GET on its own.`,
      );
    // Fastify copies the config of a route; a symbol goes along, to its HEAD route too.
    const queryForm = resolveQueryForm(route);
    route.config = { ...route.config, [ROUTE]: { ...options, id: ++this.#routes, queryForm } };
  }

  #onRequest(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
    const app = request.server;
    const outer = currentContext();
    const context = outer?.fill?.isOpen ? outer : this.#createContext(request, reply);
    request[STATE] = {
      context,
      outer: outer === context ? undefined : outer,
      closeListeners: request.raw.listenerCount('close'),
      caller: undefined,
      isHit: false,
      carried: undefined,
      observation: undefined,
      forsake: undefined,
    };
    // Before anybody is looked up for it.
    if (!this.#isClosing && app.limits?.refusesAtOnce(request, reply)) return;
    const proceed = (): void => runInContext(context, () => done());
    const caller = this.#identities.of(request.raw.headers);
    const enter = (known: KnownIdentity): void => {
      (request[STATE] as NonNullable<FastifyRequest[typeof STATE]>).caller = known;
      const options = request.routeOptions.config[ROUTE];
      // Inside another fill (app.inject in a handler) the statements belong to that one, and so does their moment.
      const isRead = request.method === 'GET' || request.method === 'HEAD';
      const isCached = options !== undefined && isRead && context !== outer;
      if (isCached && options.queryForm) this.#spellings.normalize(request, options.queryForm);
      const key = isCached ? this.#baseKey(request) : undefined;
      const answer = (): void => {
        if (!options || key === undefined) proceed();
        else if (this.#live?.isAskedFor(request, options))
          this.#live.open(request, reply, key, options, known).catch(done);
        else if (request.method === 'HEAD') proceed();
        else {
          new CachedGet(this.#cachedGet, request, reply, key, options, known, proceed, done).run().catch(done);
        }
      };
      // Before others may wait for this request's answer: a limit is its caller's own.
      if (app.limits) app.limits.check(request, reply, known.identity?.id, answer);
      else answer();
    };
    if (caller instanceof Promise) caller.then(enter, done);
    else enter(caller);
  }

  /** Of all that was no hit before routing. What an answer was made of by `app.inject` is part of it. */
  #count(request: FastifyRequest, reply: FastifyReply): void {
    if (isInjected(request)) return;
    const isCached = request.method === 'GET' && request.routeOptions.config[ROUTE] !== undefined;
    const kind = request[STATE]?.isHit ? 'hit' : isCached ? 'miss' : 'other';
    this.#answers.add(kind, reply.raw.statusCode);
  }

  #createContext(request: FastifyRequest, reply: FastifyReply): WorkContext {
    const { traceparent, tracestate } = request.raw.headers;
    const trace = traceparent === undefined ? undefined : createTraceContext(String(traceparent), tracestate);
    if (trace) request.log = reply.log = request.log.child({ traceId: trace.traceId });
    return { fill: undefined, position: 0n, stages: this.#timings.begin(request, reply), trace };
  }

  /** Waits, bounded, until the feed has passed what the request wrote: the next read by anyone on this host shows it. */
  #onSend(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    const state = request[STATE];
    if (this.#closesConnection(request)) reply.header('connection', 'close');
    if (this.#recent && !state?.observation) this.#recordUncached(this.#recent, request, reply);
    const position = state?.context.position ?? 0n;
    if (position === 0n) {
      this.#cache.noteLeaving();
      if (state?.carried) void this.#tellPosition(reply, state.carried).then(done);
      else done();
      return;
    }
    // Its answer may show what others have committed since.
    if (!state || !(state.context.hasReadBeyond || state.observation)) this.#tellWrite(state, reply, position, done);
    else
      void this.#readPosition().then((seen) => this.#tellWrite(state, reply, seen > position ? seen : position, done));
  }

  #tellWrite(state: RequestState | null, reply: FastifyReply, position: bigint, done: () => void): void {
    const outer = state?.outer;
    if (outer && outer.position < position) outer.position = position;
    const token = this.#tokens.format(position);
    reply.header(POSITION_HEADER, token);
    reply.header('set-cookie', this.#tokens.cookie(token));
    const { feed } = this.#options;
    const wait = (timeoutMs: number): Promise<boolean> => feed.waitFor(position, timeoutMs);
    const startedAtMs = performance.now();
    void untilToldOrSilent(feed, wait, this.#writeWaitMaxMs).then((isTold) => {
      if (!isTold) this.#cache.noteLeaving(position);
      state?.context.stages?.add('feed', performance.now() - startedAtMs);
      done();
    });
  }

  #readPosition(): Promise<bigint> {
    return this.#options.db.readPosition().catch(() => UNKNOWN_POSITION);
  }

  /** What a handler saw that is not cached, for a client that carries what it has seen from answer to answer. */
  async #tellPosition(reply: FastifyReply, carried: CarriedPosition): Promise<void> {
    const position = await this.#readPosition();
    const token = this.#tokens.format(position);
    const own = this.#tokens.own(carried, { position, token });
    reply.header(POSITION_HEADER, own?.token ?? token);
    const cookie = own?.cookie;
    if (cookie !== undefined) reply.header('set-cookie', cookie);
  }

  /** What came before the server began to close would else keep its connection, and the server, open. */
  #closesConnection(request: FastifyRequest): boolean {
    return this.#isClosing && request.raw.httpVersionMajor < 2;
  }

  /** What a fill does not tell of: routes that are not cached, and requests that passed by. */
  #recordUncached(recent: RecentAnswers, request: FastifyRequest, reply: FastifyReply): void {
    const cached = request.routeOptions.config?.[ROUTE] !== undefined;
    const status = String(reply.getHeader('cache-status') ?? '');
    const notStored = cached
      ? { code: 'bypass', detail: status }
      : { code: 'route', detail: 'The route does not say `config: { cache: true }`.' };
    recent.record(request.originalUrl, {
      route: request.routeOptions.url,
      cached,
      at: Date.now(),
      notStored,
      statements: [],
    });
  }

  /** With constraints one URL may lead to several routes. */
  #baseKey(request: FastifyRequest): string {
    if (!this.#hasConstraints) return request.raw.url as string;
    const { host, 'accept-version': version } = request.raw.headers;
    return `${request.raw.url}\u0000host=${host ?? ''}\u0000version=${version ?? ''}\u0000route=${request.routeOptions.config[ROUTE]?.id}`;
  }
}

const plugin: FastifyPluginCallback<PluginOptions> = (app, options, done) => {
  try {
    assertFirst(app);
    new VazaoPlugin(app, options).register(app);
    done();
  } catch (error) {
    done(error as Error);
  }
};

/** Caches the GET routes that say `config: { cache: true }`. Register it before everything else. */
export const vazaoPlugin: FastifyPluginCallback<PluginOptions> = fp(plugin, { fastify: '5.x', name: 'vazao' });
