/**
 * The Fastify plugin of the limits. What happens to a request:
 *
 *   guard.ts (before routing, and before a hit): length of the URL, number of fields, outer fence ──► 414, 431, 429
 *     └─► Fastify ─► no place in time, and no cached route ──► 503; rates of its user, its class, its route ──► 429
 *           └─► (the vazao plugin: a hit, or another's fill, takes no place)
 *                 └─► admission: a place at once, or a short wait ──► 503
 *                       │  (given back while a body arrives slowly: slow-bodies.ts)
 *                       └─► hooks, handler ─► the place is given back when the answer leaves the handler
 *
 * Whoever waits for the fill of another takes no place: a thousand readers of one key cost one place and one query, and share
 * what becomes of the one that leads: its answer, or its refusal. What a handler asks by `app.inject` is part of its
 * own work and is not counted: a handler that waited for a place for its own part could wait for itself.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { hash } from 'node:crypto';
import type { Server } from 'node:http';
import type {
  FastifyError,
  FastifyInstance,
  FastifyPluginCallback,
  FastifyReply,
  FastifyRequest,
  RouteOptions,
} from 'fastify';
import fp from 'fastify-plugin';
import { HttpError } from '../errors.ts';
import { isInjected } from '../injected.ts';
import { allowErrorHandler } from '../registration.ts';
import { ROUTE, STATE } from '../request-state.ts';
import { Admission } from './admission.ts';
import { ClientAddress } from './client-address.ts';
import { refusalOf } from './error-refusal.ts';
import { Fence } from './fence.ts';
import { Guard, type GuardedRequest } from './guard.ts';
import { MemoryStore } from './memory-store.ts';
import { type LimitsOptions, type ResolvedLimitsOptions, resolveLimitsOptions } from './options.ts';
import { type Rate, resolveRate } from './rate.ts';
import { formatPolicy, formatRemaining, type Quota, seconds } from './rate-fields.ts';
import type { RatePolicy, RateStore } from './rate-store.ts';
import { hasBody, type Refusal, type RefusalCode, refusal, renderRefusal, writeRefusal } from './refusal.ts';
import { RefusalLog } from './refusal-log.ts';
import { classOf, REQUEST_CLASSES } from './request-class.ts';
import { LIMITS, type LimitsFigures, limitsOf, type RequestLimits, ROUTE_LIMITS } from './request-limits.ts';
import { boundConnections } from './server-bounds.ts';
import { SlowBodies } from './slow-bodies.ts';
import { SlowReaders } from './slow-readers.ts';

/** How often the fence tells the common store what it has counted. */
const FENCE_TELLS_MS = 100;
/** A handler that goes on without its client, and never answers, keeps its place no longer. */
const PLACE_MAX_MS = 30_000;
/** `Retry-After` of a 503 lies between 1 and this. */
const RETRY_AFTER_MAX_S = 5;

class LimitsPlugin {
  readonly #options: ResolvedLimitsOptions;
  readonly #addresses: ClientAddress;
  readonly #admission: Admission | undefined;
  readonly #store: RateStore;
  readonly #fence: Fence | undefined;
  readonly #refused = new Map<RefusalCode, number>();
  readonly #slowBodies: SlowBodies;
  readonly #guard: Guard;
  #log: RefusalLog | undefined;
  #slowReaders: SlowReaders | undefined;

  constructor(options: LimitsOptions) {
    this.#options = resolveLimitsOptions(options);
    const { admission, store, rates, urlMaxBytes, connections, page } = this.#options;
    this.#addresses = new ClientAddress(this.#options);
    this.#admission = admission && new Admission(admission);
    this.#store = store ?? new MemoryStore();
    this.#fence = rates.address && new Fence(rates.address, store, FENCE_TELLS_MS);
    this.#slowBodies = new SlowBodies(this.#options.slowBodiesMax);
    this.#guard = new Guard({
      urlMaxBytes,
      headersMax: connections.headersMax,
      addresses: this.#addresses,
      fence: this.#fence,
      page,
      onRefused: ({ code }, request) => this.#count(code, this.#partitionOf(request)),
    });
  }

  register(app: FastifyInstance): void {
    this.#log = new RefusalLog((refused) => app.log.warn({ refused }, 'requests were refused'));
    app.decorateRequest(LIMITS, null);
    if (this.#options.trustProxy.length > 0) this.#tellAddress(app);
    app.decorate('limits', {
      check: (request: FastifyRequest, reply: FastifyReply, user: string | undefined, go: () => void) =>
        this.#check(request, reply, user, go),
      refusesAtOnce: (request: FastifyRequest, reply: FastifyReply) => this.#refusesAtOnce(request, reply),
      consume: (name: string, rate: Rate, key: string) => this.#consumeOwn(name, rate, key),
      addressOf: ({ raw }: FastifyRequest) => this.#partitionOf(raw),
      isRefused: (request: GuardedRequest) => this.#guard.refusalOf(request) !== undefined,
      figures: () => this.#figures(),
    });
    app.addHook('onRoute', (route) => this.#onRoute(route));
    app.addHook('onRequest', (request, reply, done) => {
      const admit = (): void =>
        this.#admit(request, reply, () => {
          if (request[LIMITS]?.release) this.#slowBodies.watch(request.raw, request[LIMITS]);
          done();
        });
      if (request[LIMITS]) admit();
      else if (!this.#refusesAtOnce(request, reply)) this.#check(request, reply, this.#options.userOf(request), admit);
    });
    app.addHook('preValidation', (request, reply, done) => {
      const limits = request[LIMITS];
      if (limits && this.#slowBodies.end(limits)) this.#admit(request, reply, done);
      else done();
    });
    app.addHook('onSend', (request, reply, payload, done) => {
      // Whoever says so: the application's own error handler, a store that is away, a server that ends.
      if (reply.statusCode === 503 && reply.getHeader('retry-after') === undefined)
        reply.header('retry-after', this.#retryAfter());
      this.#onSend(request, payload);
      done();
    });
    app.setErrorHandler((error, request, reply) => this.#onError(error as FastifyError, request, reply));
    allowErrorHandler(app); // ours is what the application's own, if it sets one, stands on
    app.addHook('onReady', (done) => {
      this.#bound(app.server as Server);
      done();
    });
    app.addHook('onClose', async () => {
      this.#log?.flush();
      this.#fence?.close();
      this.#slowReaders?.close();
      await this.#options.store?.close?.();
    });
  }

  /**
   * `request.ip`, and so the address in the log, is the client's where proxies are named. Fastify's own `trustProxy` was not taken:
   * it believes `X-Forwarded-Host` and `-Proto`, too, which are no part of a key, so that a stranger could poison an answer.
   */
  #tellAddress(app: FastifyInstance): void {
    const addresses = this.#addresses;
    app.decorateRequest('ip', {
      getter(this: FastifyRequest) {
        return addresses.find(this.raw);
      },
    });
  }

  #bound(server: Server): void {
    const { connections } = this.#options;
    boundConnections(server, connections);
    this.#slowReaders = new SlowReaders(server, connections);
    this.#guard.install(server);
  }

  #onRoute(route: RouteOptions): void {
    const methods = [route.method].flat();
    const what = `${methods.join(',')} ${route.url}`;
    const { class: named, limit } = route.config ?? {};
    if (named !== undefined && !REQUEST_CLASSES.includes(named))
      throw new HttpError(
        'ERR_HTTP_LIMITS_OPTIONS',
        `${what}: config.class is ${JSON.stringify(named)}; there are ${REQUEST_CLASSES.join(', ')}.`,
      );
    // Fastify makes a HEAD of each GET, by a route of its own: they are one to whoever counts.
    const name = policyName(what.replace(/^HEAD /, 'GET '));
    const policy = limit ? { name, ...resolveRate(limit, `${what}: config.limit`) } : undefined;
    route.config = {
      ...route.config,
      [ROUTE_LIMITS]: { class: named ?? classOf(methods[0] as string, route.url), policy, isCounted: limit !== false },
    };
  }

  #refusesAtOnce(request: FastifyRequest, reply: FastifyReply): boolean {
    if (isInjected(request) || request.routeOptions.config[ROUTE] || hasBody(request.raw)) return false;
    if (!this.#admission?.refusesAtOnce(limitsOf(request).class)) return false;
    const { raw } = request;
    this.#count('ERR_LIMIT_OVERLOAD', this.#partitionOf(raw));
    reply.hijack();
    writeRefusal(raw, reply.raw, this.#overload(), this.#options.page);
    return true;
  }

  #check(request: FastifyRequest, reply: FastifyReply, user: string | undefined, go: () => void): void {
    if (isInjected(request)) {
      go();
      return;
    }
    const { class: name, policy, isCounted } = limitsOf(request);
    const { accept } = request.raw.headers;
    const address = this.#partitionOf(request.raw);
    const limits: RequestLimits = {
      class: name,
      accept,
      address,
      isGone: false,
      leave: undefined,
      release: undefined,
      arriving: undefined,
      late: undefined,
    };
    request[LIMITS] = limits;
    // Before anybody watches who listens to the response.
    reply.raw.once('close', () => this.#onClose(limits, reply));
    const { rates } = this.#options;
    const due: [policy: RatePolicy, key: string][] = [];
    if (isCounted && (policy || rates.user || rates.anonymous || (rates.login && name === 'login'))) {
      const who = user === undefined ? `a:${address}` : `u:${shortKey(user)}`;
      if (rates.login && name === 'login') due.push([rates.login, `a:${address}`]);
      if (user !== undefined && rates.user) due.push([rates.user, who]);
      if (user === undefined && rates.anonymous) due.push([rates.anonymous, who]);
      if (policy) due.push([policy, who]);
    }
    if (due.length === 0) go();
    else void this.#countDue(request, reply, due, go);
  }

  async #countDue(
    request: FastifyRequest,
    reply: FastifyReply,
    due: readonly [RatePolicy, string][],
    go: () => void,
  ): Promise<void> {
    const quotas = await Promise.all(due.map(([policy, key]) => this.#consume(policy, key)));
    const exceeded = quotas.filter(({ isAllowed }) => !isAllowed);
    // An answer of a cached route is for many; what is left to one of them is no part of it.
    if (exceeded.length > 0 || !request.routeOptions.config[ROUTE])
      reply.header('ratelimit-policy', formatPolicy(quotas)).header('ratelimit', formatRemaining(quotas));
    if (exceeded.length === 0) {
      go();
      return;
    }
    const retryAfter = Math.max(1, ...exceeded.map(({ resetMs }) => seconds(resetMs)));
    this.#refuse(
      request,
      reply,
      refusal('ERR_LIMIT_RATE', { retryAfter, violatedPolicies: exceeded.map(({ name }) => name) }),
    );
  }

  async #consume(policy: RatePolicy, key: string): Promise<Quota & { readonly isAllowed: boolean }> {
    // A store that fails is not to fail the request; those that may are insured.
    const { consumed, resetMs } = await this.#store.consume(policy, key, 1).catch(() => ({ consumed: 0, resetMs: 0 }));
    const remaining = Math.max(0, policy.requests - consumed);
    return { ...policy, remaining, resetMs, isAllowed: consumed <= policy.requests };
  }

  #consumeOwn(name: string, rate: Rate, key: string): Promise<Quota & { readonly isAllowed: boolean }> {
    return this.#consume({ name: policyName(name), ...resolveRate(rate, name) }, `k:${shortKey(key)}`);
  }

  /** A place, or a short wait for one; what is not admitted is answered here, and what has no client any more not at all. */
  #admit(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    const limits = request[LIMITS];
    const admission = this.#admission;
    if (!limits || !admission) {
      done();
      return;
    }
    const release = limits.isGone ? undefined : admission.tryEnter(limits.class);
    if (release) {
      limits.release = release;
      done();
      return;
    }
    const forsake = (): void => request[STATE]?.forsake?.();
    if (limits.isGone) {
      forsake();
      return;
    }
    const refuse = (): void => {
      this.#refuse(request, reply, this.#overload());
    };
    if (admission.refusesAtOnce(limits.class)) {
      refuse();
      return;
    }
    // It is called by whoever gives its place back, in the context of that one's request.
    const enter = AsyncLocalStorage.bind(done);
    const stages = request[STATE]?.context.stages;
    const waitsSinceMs = stages ? performance.now() : 0;
    const onWaited = (): void => {
      limits.leave = undefined;
      stages?.add('queue', performance.now() - waitsSinceMs);
    };
    const leave = admission.wait(
      limits.class,
      (given) => {
        onWaited();
        limits.release = given;
        enter();
      },
      () => {
        onWaited();
        refuse();
      },
    );
    limits.leave = () => {
      leave();
      forsake();
    };
  }

  /** The client is gone, or has its answer. */
  #onClose(limits: RequestLimits, reply: FastifyReply): void {
    limits.isGone = true;
    limits.leave?.();
    limits.leave = undefined;
    this.#slowBodies.end(limits);
    if (!limits.release) return;
    // Still worked on: the work takes its place until it is done.
    if (reply.sent) limits.release();
    else limits.late = setTimeout(limits.release, PLACE_MAX_MS).unref();
  }

  #onSend(request: FastifyRequest, payload: unknown): void {
    const limits = request[LIMITS];
    if (!limits?.release) return;
    clearTimeout(limits.late);
    // A stream is work still, until it has ended.
    const isWhole = payload == null || typeof payload === 'string' || Buffer.isBuffer(payload);
    if (isWhole || limits.isGone) limits.release();
  }

  #onError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const refused = refusalOf(error, () => this.#retryAfter());
    if (!refused) throw error; // to Fastify's own handler
    if (refused.status >= 500) request.log.error({ err: error }, error.message);
    return this.#refuse(request, reply, refused);
  }

  #refuse(request: FastifyRequest, reply: FastifyReply, refused: Refusal): FastifyReply {
    this.#count(refused.code, request[LIMITS]?.address);
    // A refusal shows nothing of the database, and must not ask it how far the client has seen.
    if (request[STATE]) request[STATE].carried = undefined;
    const { type, body } = renderRefusal(refused, acceptOf(request, refused), this.#options.page);
    if (refused.retryAfter !== undefined) reply.header('retry-after', refused.retryAfter);
    return reply.code(refused.status).type(type).send(body);
  }

  #overload(): Refusal {
    return refusal('ERR_LIMIT_OVERLOAD', { retryAfter: this.#retryAfter() });
  }

  /** Apart, so that those who were refused together don't come back together. */
  #retryAfter(): number {
    return 1 + Math.floor(this.#options.random() * RETRY_AFTER_MAX_S);
  }

  #partitionOf(request: GuardedRequest): string {
    return this.#addresses.partitionOf(this.#addresses.find(request));
  }

  #count(code: RefusalCode, address: string | undefined): void {
    this.#log?.note(code, address);
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
  }

  #figures(): LimitsFigures {
    return {
      classes: this.#admission?.figures(),
      refused: Object.fromEntries(this.#refused),
      slowReaders: this.#slowReaders?.cutOff ?? 0,
      slowBodies: this.#slowBodies.cutOff,
    };
  }
}

/**
 * What was asked for. Not by `request.headers`, which a cached handler's request watches: whether somebody is refused is no
 * part of an answer. The refusal of a cached route may be shared by others, and is problem details for all.
 */
function acceptOf(request: FastifyRequest, { status }: Refusal): string | undefined {
  const isShared = status >= 500 && request.routeOptions.config[ROUTE] !== undefined;
  return isShared ? undefined : request[LIMITS]?.accept;
}

/** As it may stand in a String of structured fields, and in a key. */
function policyName(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]|["\\]/g, '_').slice(0, 100);
}

/** Of a length that every store takes. */
function shortKey(text: string): string {
  return /^[\w.@:-]{1,64}$/.test(text) ? text : hash('sha256', text, 'base64url');
}

const plugin: FastifyPluginCallback<LimitsOptions> = (app, options, done) => {
  try {
    new LimitsPlugin(options).register(app);
    done();
  } catch (error) {
    done(error as Error);
  }
};

/**
 * Limits what clients may take. Register it after the vazao plugin, if that is used, and before everything else; give
 * `fastify(…)` the options of `serverOptions()` for what must hold before there is a request.
 */
export const limitsPlugin: FastifyPluginCallback<LimitsOptions> = fp(plugin, { fastify: '5.x', name: 'vazao-limits' });
