/**
 * The Fastify plugin: cached routes.
 *
 *   request ── hit-listener.ts (before routing) ── hit ──────────────────────────────► written at once
 *      └─ miss ─► Fastify ─► #onRequest ─┬─ hit, or another's fill ──────────────────► written at once
 *                                        ├─ leads a fill ─► hooks, handler ─► answer-fill.ts ─► written, kept
 *                                        └─ not cached ───► hooks, handler ─► onSend waits for its own writes
 */
import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import fp from 'fastify-plugin';
import type { Fill } from '../cache/index.ts';
import type { Ticket } from '../cache/redis/index.ts';
import { currentContext, type Pool, runInContext } from '../db/index.ts';
import { AnswerFill, type FillSettings, isFor } from './answer-fill.ts';
import { Auditor, type AuditorOptions } from './auditor.ts';
import { bypassStatus, HitStatus, missStatus, SECOND_TIER_STATUS, staleStatus } from './cache-status.ts';
import { HttpError } from './errors.ts';
import { registerExplain } from './explain.ts';
import { facetValue } from './facets.ts';
import { untilToldOrSilent } from './feed-wait.ts';
import { installHitListener } from './hit-listener.ts';
import { Identities, type KnownIdentity } from './identities.ts';
import { type CacheValue, DEPTH_MAX, type Found, type HttpCache, walk } from './lookup.ts';
import type { Identify, PluginFeed } from './options.ts';
import { type CarriedPosition, POSITION_HEADER, PositionTokens } from './position-token.ts';
import { RecentAnswers } from './recent-answers.ts';
import { currentRepeat } from './repeat.ts';
import { ROUTE, STATE } from './request-state.ts';
import { type ResolvedRouteCacheOptions, resolveRouteCacheOptions } from './route-options.ts';
import { type Asked, askSecondTier, type HttpSecondTier } from './second-tier.ts';
import { type StoredResponse, writeStoredResponse } from './stored-response.ts';

export interface PluginOptions {
  readonly cache: HttpCache;
  readonly feed: PluginFeed;
  readonly db: Pool;
  /** Answers that other processes and hosts have computed: `createSecondTier` of `vazao/redis`. @defaultValue none */
  readonly secondTier?: HttpSecondTier | undefined;
  /** Makes the position tokens, which carry what a client has seen to other workers and hosts: the same on all of them. @defaultValue a random one */
  readonly secret?: string | undefined;
  /** Tells who is asking; gives requests their `user`. */
  readonly identify?: Identify | undefined;
  /** Computes a sample of the hits again and compares: see {@link AuditFigures}. `false`: none. */
  readonly audit?: Pick<AuditorOptions, 'oneIn' | 'shareMax'> | false | undefined;
  /** Serves `GET /.vazao/explain?url=…` to callers on this machine: for development. @defaultValue false */
  readonly explain?: boolean | undefined;
  /** Larger answers are served and not kept. @defaultValue 1 MiB */
  readonly bodyMaxBytes?: number | undefined;
  /** After this time a computation is no longer cared for, and those who wait for it compute for themselves. @defaultValue 30 s */
  readonly fillMaxMs?: number | undefined;
  /** How long the response to a write waits until this process's feed has passed it, or is not fresh any more. @defaultValue {@link ANSWER_WAIT_MAX_MS} */
  readonly writeWaitMaxMs?: number | undefined;
  /** How long an answer waits that shows what the feed has not told yet: until it has, or is not fresh any more. @defaultValue {@link ANSWER_WAIT_MAX_MS} */
  readonly answerWaitMaxMs?: number | undefined;
  /** How long a read that carries a position waits for the feed, before it is computed past the cache. @defaultValue 100 ms */
  readonly readWaitMaxMs?: number | undefined;
}

/** Longer than the lease of a feed: whoever waits sees the feed move on, or not be fresh any more. */
export const ANSWER_WAIT_MAX_MS = 2_000;
/** How often a request looks again, after waiting for a fill that was not for it, before it computes for itself. */
const LOOKS_MAX = 5;

class VazaoPlugin {
  readonly #options: PluginOptions;
  readonly #cache: HttpCache;
  readonly #identities: Identities;
  readonly #hitStatus: HitStatus;
  readonly #tokens: PositionTokens;
  readonly #settings: FillSettings;
  readonly #writeWaitMaxMs: number;
  readonly #readWaitMaxMs: number;
  /** Undefined unless answers are to be explained. */
  readonly #recent: RecentAnswers | undefined;
  #auditor: Auditor | undefined;
  #hasConstraints = false;
  #isClosing = false;
  #routes = 0;
  /** URLs of the cached GET routes whose HEAD the application answers itself, or not at all. */
  readonly #withoutHead = new Set<string>();
  /** The application has a `rewriteUrl`, which may read anything of the request unseen. */
  #rewritesUrls = false;

  constructor(options: PluginOptions) {
    this.#options = options;
    this.#cache = options.cache;
    this.#identities = new Identities(options.identify);
    this.#tokens = new PositionTokens(options.secret);
    this.#hitStatus = new HitStatus(() => options.feed.lagMs);
    this.#writeWaitMaxMs = options.writeWaitMaxMs ?? ANSWER_WAIT_MAX_MS;
    this.#readWaitMaxMs = options.readWaitMaxMs ?? 100;
    this.#recent = options.explain ? new RecentAnswers() : undefined;
    this.#settings = {
      cache: options.cache,
      db: options.db,
      bodyMaxBytes: options.bodyMaxBytes ?? 1024 * 1024,
      fillMaxMs: options.fillMaxMs ?? 30_000,
      feed: options.feed,
      recent: this.#recent,
      answerWaitMaxMs: options.answerWaitMaxMs ?? ANSWER_WAIT_MAX_MS,
      identityHeaders: options.identify?.headers ?? [],
      tokens: this.#tokens,
      secondTier: options.secondTier,
    };
  }

  register(app: FastifyInstance): void {
    assertFirst(app);
    this.#rewritesUrls = internal(app, 'fastify.options')?.rewriteUrl != null;
    app.decorateRequest(STATE, null);
    const { cache, feed, audit } = this.#options;
    if (audit !== false) this.#auditor = new Auditor(app, { cache, feed, ...audit });
    app.decorate('audit', { getter: () => this.#auditor?.figures });
    if (this.#options.identify) {
      app.decorateRequest('user', {
        getter(this: FastifyRequest) {
          const state = this[STATE];
          state?.observation?.readUser();
          return state?.caller?.identity;
        },
      });
    }
    app.addHook('onRoute', (route) => this.#onRoute(route));
    app.addHook('onRequest', (request, reply, done) => this.#onRequest(request, reply, done));
    app.addHook('onSend', (request, reply, _payload, done) => this.#onSend(request, reply, done));
    app.addHook('preClose', (done) => {
      this.#isClosing = true;
      done();
    });
    app.addHook('onReady', (done) => {
      // Which route a URL leads to depends on headers then, and only the router can tell.
      if (!this.#hasConstraints && !this.#rewritesUrls) {
        installHitListener(app.server, {
          cache: this.#cache,
          identities: this.#identities,
          hitStatus: this.#hitStatus,
          tokens: this.#tokens,
          auditor: this.#auditor,
          feed: this.#options.feed,
          isClosing: () => this.#isClosing,
          answersHead: this.#withoutHead.size === 0,
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
    if (!options || !route.config) return;
    if (methods.includes('GET') && !methods.includes('HEAD')) this.#withoutHead.add(route.url);
    const other = methods.find((method) => method !== 'GET' && method !== 'HEAD');
    if (other)
      throw new HttpError(
        'ERR_HTTP_CACHE_OPTIONS',
        `${other} ${route.url}: only GET can be cached; remove config.cache, or register the GET on its own.`,
      );
    // Fastify copies the config of a route; a symbol goes along, to its HEAD route too.
    route.config = { ...route.config, [ROUTE]: { ...options, id: ++this.#routes } };
  }

  #onRequest(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
    const outer = currentContext();
    const context = outer?.fill?.isOpen ? outer : { fill: undefined, position: 0n };
    request[STATE] = {
      context,
      outer: outer === context ? undefined : outer,
      closeListeners: request.raw.listenerCount('close'),
      caller: undefined,
      carried: undefined,
      observation: undefined,
    };
    const proceed = (): void => runInContext(context, () => done());
    const caller = this.#identities.of(request.raw.headers);
    const enter = (known: KnownIdentity): void => {
      (request[STATE] as NonNullable<FastifyRequest[typeof STATE]>).caller = known;
      const options = request.routeOptions.config[ROUTE];
      // Inside another fill (app.inject in a handler) the statements belong to that one, and so does their moment.
      if (!options || request.method !== 'GET' || context === outer) proceed();
      else this.#enter(request, reply, options, known, proceed, done).catch(done);
    };
    if (caller instanceof Promise) caller.then(enter, done);
    else enter(caller);
  }

  /** Answers from the cache, or from another's fill, or lets the request go on: to lead a fill, or uncached. */
  async #enter(
    request: FastifyRequest,
    reply: FastifyReply,
    options: ResolvedRouteCacheOptions,
    caller: KnownIdentity,
    proceed: () => void,
    done: () => void,
  ): Promise<void> {
    const carried = this.#tokens.find(request.raw.rawHeaders);
    const bypass = (reason: string): void => {
      reply.header('cache-status', bypassStatus(reason));
      if (request[STATE]) request[STATE].carried = carried;
      proceed();
    };
    if (this.#rewritesUrls) return bypass('rewrite-url');
    const token = neededPosition(carried?.position, request[STATE]?.outer?.position);
    const cache = this.#cache;
    const baseKey = this.#baseKey(request);
    const lead = (found: Found, fill: Fill<CacheValue>, ticket?: Ticket): void =>
      new AnswerFill(this.#settings, request, reply, baseKey, found, fill, options, caller, carried, ticket).run(done);
    // In one snapshot still, whose position the client then carries.
    const computeAlone = (code: string, detail: string): void => {
      const found = walk(cache, baseKey, request.raw, caller);
      lead(found, cache.lone(found.key, code, detail));
    };
    const repeat = currentRepeat();
    if (repeat) return computeAlone(repeat.code, repeat.detail);
    if (token !== undefined && !(await this.#options.feed.waitFor(token, this.#readWaitMaxMs)))
      return computeAlone('position', 'The feed has not told yet what the client has seen.');
    const write = (stored: StoredResponse, status: string): void => {
      reply.hijack();
      if (this.#closesConnection(request)) reply.raw.setHeader('connection', 'close');
      const own = this.#tokens.own(carried, stored);
      writeStoredResponse(stored, request.method, request.raw.headers['if-none-match'], reply.raw, status, own);
    };
    const isMine = (stored: StoredResponse): boolean =>
      isFor(stored, (facet) => facetValue(facet, request.raw.headers, caller));
    const { secondTier } = this.#options;
    let mayAsk = secondTier !== undefined;
    let looksMax = LOOKS_MAX;
    for (let looks = 0; looks < looksMax; looks++) {
      const found = walk(cache, baseKey, request.raw, caller);
      const { entry, key } = found;
      if (entry?.value.kind === 'bypass' && cache.isGood(entry)) return bypass(entry.value.reason);
      if (entry?.value.kind === 'response') {
        if (cache.isFresh() && cache.isGood(entry)) {
          entry.hits++;
          write(entry.value, this.#hitStatus.text);
          this.#auditor?.sample(entry, request.raw);
          return;
        }
        const staleMs = cache.staleMs(entry);
        if (token === undefined && cache.isFilling(key) && staleMs <= options.staleForMs)
          return write(entry.value, staleStatus(staleMs, 'refreshing'));
      }
      const joined = cache.join(key);
      if (joined.role === 'leader') {
        const { fill } = joined;
        if (!secondTier?.isAvailable || !mayAsk || !cache.isFresh()) return lead(found, fill);
        const { feed } = this.#settings;
        const feedWaitMaxMs = this.#readWaitMaxMs;
        const asking = { tier: secondTier, cache, feed, feedWaitMaxMs, key, fill, options, isMine };
        const asked = await askSecondTier(asking).catch((error: Error): Asked => {
          // A defect of ours must cost neither the answer nor those who wait for it.
          request.log.error(error, 'the second tier could not be asked');
          cache.fail(fill);
          return { kind: 'again', mayAsk: false };
        });
        if (asked.kind === 'answer') return write(asked.stored, SECOND_TIER_STATUS);
        if (asked.kind === 'compute') return lead(found, fill, asked.ticket);
        mayAsk = asked.mayAsk;
        // A node leads one step further, and there are only so many.
        if (mayAsk && looksMax < LOOKS_MAX + DEPTH_MAX) looksMax++;
        continue;
      }
      const outcome = await within(joined.outcome, this.#settings.fillMaxMs);
      if (!outcome) break;
      if (outcome.kind === 'value' && outcome.value.kind === 'response' && isMine(outcome.value)) {
        const staleMs = entry?.value.kind === 'response' ? cache.staleMs(entry) : Number.POSITIVE_INFINITY;
        // As whoever led the fill was answered.
        if (outcome.value.status >= 500 && token === undefined && staleMs <= options.staleIfErrorMs)
          return write(entry?.value as StoredResponse, staleStatus(staleMs, 'error'));
        return write(outcome.value, missStatus(found.path.length > 0, 'collapsed'));
      }
    }
    return computeAlone('contended', `The fill that was waited for was not for this request, ${LOOKS_MAX} times.`);
  }

  /** Waits, bounded, until the feed has passed what the request wrote: the next read by anyone on this host shows it. */
  #onSend(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    const state = request[STATE];
    if (this.#closesConnection(request)) reply.header('connection', 'close');
    if (this.#recent && !state?.observation) this.#recordUncached(this.#recent, request, reply);
    const position = state?.context.position ?? 0n;
    if (position === 0n) {
      if (state?.carried) void this.#tellPosition(reply, state.carried).then(done);
      else done();
      return;
    }
    const outer = state?.outer;
    if (outer && outer.position < position) outer.position = position;
    const token = this.#tokens.format(position);
    reply.header(POSITION_HEADER, token);
    reply.header('set-cookie', this.#tokens.cookie(token));
    const { feed } = this.#options;
    const wait = (timeoutMs: number): Promise<boolean> => feed.waitFor(position, timeoutMs);
    void untilToldOrSilent(feed, wait, this.#writeWaitMaxMs).then(() => done());
  }

  /** What a handler saw that is not cached, for a client that carries what it has seen from answer to answer. */
  async #tellPosition(reply: FastifyReply, carried: CarriedPosition): Promise<void> {
    const position = await this.#options.db.readPosition().catch(() => undefined);
    if (position === undefined) return; // the database does not answer any more
    const token = position > carried.position ? this.#tokens.format(position) : carried.token;
    reply.header(POSITION_HEADER, token);
    const cookie = this.#tokens.own(carried, { position, token })?.cookie;
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

/** The hooks registered before ours would read the request unseen. */
function assertFirst(app: FastifyInstance): void {
  const hooks = internal(app, 'fastify.hooks');
  const earlier = ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'onSend'].filter((name) => {
    const registered = hooks?.[name];
    return Array.isArray(registered) && registered.length > 0;
  });
  // They would be neither cached nor, where they have constraints, told apart. `register` loads a plugin later.
  if (app.printRoutes({ commonPrefix: false }).trim() !== '(empty tree)') {
    throw new HttpError(
      'ERR_HTTP_PLUGIN_ORDER',
      'Register the vazao plugin before all routes, and await it: there are routes already.',
    );
  }
  if (earlier.length > 0) {
    throw new HttpError(
      'ERR_HTTP_PLUGIN_ORDER',
      `Register the vazao plugin before all others: there are ${earlier.join(' and ')} hooks already, and what they read of a request could not become part of its key.`,
    );
  }
}

/** What the client has seen, or, inside a handler, what that handler has written. */
function neededPosition(token: bigint | undefined, written: bigint | undefined): bigint | undefined {
  if (!written) return token;
  return token === undefined || token < written ? written : token;
}

/** What Fastify keeps of its own set-up under a symbol. Without it (another Fastify) the caller's check passes. */
function internal(app: FastifyInstance, name: string): Record<string, unknown> | undefined {
  const symbol = Object.getOwnPropertySymbols(app).find(({ description }) => description === name);
  return symbol && (app as unknown as Record<symbol, Record<string, unknown> | undefined>)[symbol];
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

const plugin: FastifyPluginCallback<PluginOptions> = (app, options, done) => {
  try {
    new VazaoPlugin(options).register(app);
    done();
  } catch (error) {
    done(error as Error);
  }
};

/** Caches the GET routes that say `config: { cache: true }`. Register it before everything else. */
export const vazaoPlugin: FastifyPluginCallback<PluginOptions> = fp(plugin, { fastify: '5.x', name: 'vazao' });
