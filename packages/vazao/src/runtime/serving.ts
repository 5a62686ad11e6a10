/**
 * One process that serves: cache → pool → HTTP, on a feed that somebody else has started.
 *
 * Each step registers its release with the stack; the caller disposes of it at the end, and also when a later step fails.
 */
import { getHeapStatistics } from 'node:v8';
import type { FastifyInstance } from 'fastify';
import { Cache } from '../cache/index.ts';
import { Pool } from '../db/index.ts';
import type { Feed } from '../feed/index.ts';
import { type CacheValue, limitsPlugin, serverOptions, vazaoPlugin } from '../http/index.ts';
import { answerUnroutable, securityPlugin } from '../http/security/index.ts';
import { loadPeer } from '../peer/index.ts';
import { createCollector, type ProcessFigures, registerMetrics, type SeatFigures } from '../telemetry/index.ts';
import type { Application } from './application.ts';
import { CachePressure, type UsedMemory } from './cache-pressure.ts';
import type { Configuration } from './configuration.ts';
import type { Drain } from './drain.ts';
import { RuntimeError } from './errors.ts';
import { registerHealth, type WorkerFigures } from './health.ts';
import { defined, openLimits, poolBounds, serverBounds } from './limits.ts';
import { listen } from './listen.ts';
import { loggerOptions } from './log.ts';
import { RELEASE_TIMEOUT_MS, within } from './release.ts';
import { openSecondTier } from './second-tier.ts';
import { openSessions } from './sessions.ts';

export interface ServingOptions {
  readonly application: Application;
  /** `cacheSizeMaxBytes` and `databasePoolMax` are those of this process. */
  readonly configuration: Configuration;
  readonly secret: string;
  readonly databaseUrl: string;
  readonly feed: Feed;
  /** Descriptors of one bound socket to listen on. @defaultValue a socket of its own */
  readonly listeningFds?: readonly number[] | undefined;
  readonly drain: Drain;
  /** Shown by `/health`. */
  readonly findWorkers: () => WorkerFigures;
  /** Of all workers, this one among them, for `/metrics`; undefined when they can't be had. */
  readonly findFigures: (own: ProcessFigures) => Promise<readonly SeatFigures[] | undefined>;
  readonly signal: AbortSignal;
}

export interface Serving {
  readonly url: string;
  readonly app: FastifyInstance;
  readonly collect: () => ProcessFigures;
}

/** How often the memory of the process is looked at. */
const LOOK_MS = 1_000;

function usedMemory(): UsedMemory {
  const { used_heap_size: heapBytes, heap_size_limit: heapMaxBytes } = getHeapStatistics();
  return { rssBytes: process.memoryUsage.rss(), heapBytes, heapMaxBytes };
}

/** Resolves when the application answers. Throws {@link RuntimeError}, or the reason of the signal. */
export async function serveApplication(options: ServingOptions, acquired: AsyncDisposableStack): Promise<Serving> {
  const { application, configuration, secret, databaseUrl, feed, drain, signal } = options;
  const { fastify } = await loadPeer<typeof import('fastify')>('fastify', 'Serving an application');
  const cache = new Cache<CacheValue>({ feed, sizeMaxBytes: configuration.cacheSizeMaxBytes });
  const { memory } = configuration;
  if (memory) {
    const pressure = new CachePressure(cache, memory);
    const looking = setInterval(() => pressure.look(usedMemory()), LOOK_MS).unref();
    acquired.defer(() => clearInterval(looking));
  }
  const db = new Pool({
    connectionString: databaseUrl,
    replicaUrls: configuration.databaseReplicaUrls,
    max: configuration.databasePoolMax,
    application_name: `vazao ${application.name}`,
    cache: cache as Cache<unknown>,
    feed,
    declaredFunctions: application.declaredFunctions,
    bounds: poolBounds(configuration),
  });
  db.on('error', () => {}); // an idle connection was lost: the pool opens another when it needs one
  acquired.defer(() => within(RELEASE_TIMEOUT_MS, db.end()));
  await db.prepare();
  const secondTier = await openSecondTier({ configuration, application, feed, db, secret }, acquired);
  const processes = (): number => options.findWorkers().alive;
  const limits = await openLimits({ configuration, application, databaseUrl, processes }, acquired);
  signal.throwIfAborted();

  const app = fastify({
    ...serverOptions(serverBounds(configuration)),
    logger: loggerOptions(configuration) ?? false,
    forceCloseConnections: 'idle',
    frameworkErrors: answerUnroutable,
    return503OnClosing: false,
  });
  acquired.defer(() => drain.close(app));
  const context = { db, environment: configuration.environment, secret };
  return await failAs(application, async () => {
    const onProblem = (error: Error): void => app.log.warn(error, 'ended sessions stay for now');
    const sessions = await openSessions({ application, configuration, db, secret, onProblem }, acquired);
    if (!configuration.isCacheOn) computeAll(app);
    await app.register(vazaoPlugin, {
      cache,
      feed,
      db,
      secondTier,
      secret,
      audit: configuration.cacheAuditOneIn > 0 && { oneIn: configuration.cacheAuditOneIn },
      identify: [sessions?.identify, application.identify?.(context)].filter((one) => one !== undefined),
      refresh: application.refresh,
      live: application.live !== false && { ...application.live, ...defined(configuration.limits.streams) },
      explain: configuration.environment === 'development',
      timing: { visibleTo: configuration.environment === 'development' ? 'everybody' : 'token' },
    });
    if (limits) await app.register(limitsPlugin, limits);
    const { security = {} } = application;
    if (security !== false) {
      const tellErrors = configuration.environment === 'development';
      await app.register(securityPlugin, { ...security, sessions, tellErrors });
    }
    await application.register(app, context);
    const { source, schemaWatch, passedOver = [] } = feed.status();
    for (const { source: stronger, message } of passedOver) {
      app.log.warn(`the feed is of source ${source}; ${stronger} would be stronger. ${message}`);
    }
    if (secondTier && schemaWatch === 'fingerprint') {
      app.log.warn(
        'answers are not shared by way of REDIS_URL: there are no event triggers, and this role may not create them. `vazao doctor` says what mends it.',
      );
    }
    registerHealth(app, { db, feed, cache, secondTier, findWorkers: options.findWorkers });
    const { collect } = acquired.use(
      createCollector({ app, feed, cache, db, secondTier, findRelay: () => options.findWorkers().relay }),
    );
    registerMetrics(app, { token: configuration.metricsToken, findWorkers: () => options.findFigures(collect()) });
    drain.prepare(app);
    await app.ready();
    drain.watch(app);
    signal.throwIfAborted();
    return { ...(await listen(app, { ...configuration, fds: options.listeningFds })), app, collect };
  });
}

/** Before the plugin sees a route, its wish to be cached is taken away. */
function computeAll(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if (route.config?.cache) route.config = { ...route.config, cache: false };
  });
}

/** What the application throws while it registers becomes a sentence that names it. */
async function failAs<T>(application: Application, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    if (cause instanceof RuntimeError || (cause as Error)?.name === 'AbortError') throw cause;
    const message = (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, '');
    throw new RuntimeError(
      'ERR_RUNTIME_APPLICATION',
      `The application ${application.name} did not start: ${message}.`,
      { cause },
    );
  }
}
