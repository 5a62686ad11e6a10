/**
 * One process that serves one application.
 *
 *   database → migrations → seed → feed → cache → pool → HTTP
 *
 * Each step registers its release; releases run in the opposite order, at the end and also when a later step fails.
 */
import fastify, { type FastifyInstance } from 'fastify';
import { Cache } from '../cache/index.ts';
import { Pool } from '../db/index.ts';
import { createFeed, type Feed, FeedError, setReplicaIdentityFull } from '../feed/index.ts';
import { type CacheValue, vazaoPlugin } from '../http/index.ts';
import type { Application } from './application.ts';
import type { Configuration } from './configuration.ts';
import { connectDatabase, type Database, openDatabase } from './database.ts';
import { toDatabaseError } from './database-errors.ts';
import { RuntimeError } from './errors.ts';
import { registerHealth } from './health.ts';
import { assertPortFree, listen } from './listen.ts';
import { loggerOptions } from './log.ts';
import { migrate } from './migrate.ts';
import { resolveSecret } from './secret.ts';
import { seedOnce } from './seed.ts';
import { listPlainTables } from './tables.ts';

export interface StartOptions {
  readonly application: Application;
  readonly configuration: Configuration;
  /** Told of each step, and of how far a long one is (0 to 1). */
  readonly onProgress?: ((label: string, fraction?: number) => void) | undefined;
  /** Something without which the server can't go on failed after the start. The caller closes and ends the process. */
  readonly onCrash?: ((error: Error) => void) | undefined;
  /** Ends a start that is under way: it rejects with the reason when everything is released. */
  readonly signal?: AbortSignal | undefined;
}

export interface RunningServer extends AsyncDisposable {
  readonly url: string;
  /** A command line that opens the database. */
  readonly psql: string;
  readonly app: FastifyInstance;
  /** Finishes what is in flight (bounded), then releases everything. */
  close(): Promise<void>;
  /** Ends what would outlive this process, at once and synchronously. */
  kill(): void;
}

/** How long requests in flight may go on once the server closes. */
const DRAIN_DEVELOPMENT_MS = 700;
const DRAIN_PRODUCTION_MS = 10_000;
/** A release that hangs, such as a connection to a database that is gone, must not keep the next from running. */
const RELEASE_TIMEOUT_MS = 500;

/** Starts everything; resolves when the server answers. Throws {@link RuntimeError}, or the reason of the signal. */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  const { application, configuration } = options;
  const signal = options.signal ?? new AbortController().signal;
  const onProgress = options.onProgress ?? (() => {});
  const onCrash = options.onCrash ?? (() => {});
  await using acquired = new AsyncDisposableStack();

  await assertPortFree(configuration);
  const secret = await resolveSecret(configuration);
  const database = acquired.use(
    await openDatabase({ configuration, name: application.name, onProgress, onCrash, signal }),
  );
  await prepareSchema(database, application, configuration, onProgress, signal);
  signal.throwIfAborted();

  onProgress('following the changes of the database');
  const feed = await startFeed(database, acquired);
  const cache = new Cache<CacheValue>({ feed, sizeMaxBytes: configuration.cacheSizeMaxBytes });
  const db = new Pool({
    connectionString: database.url,
    max: configuration.databasePoolMax,
    application_name: `vazao ${application.name}`,
    cache: cache as Cache<unknown>,
    feed,
  });
  db.on('error', () => {}); // an idle connection was lost: the pool opens another when it needs one
  acquired.defer(() => within(RELEASE_TIMEOUT_MS, db.end()));
  await db.prepare();
  signal.throwIfAborted();

  onProgress('starting the application');
  const app = fastify({ logger: loggerOptions(configuration) ?? false, forceCloseConnections: 'idle' });
  const drainMs = configuration.environment === 'production' ? DRAIN_PRODUCTION_MS : DRAIN_DEVELOPMENT_MS;
  acquired.defer(() => closeApp(app, drainMs));
  const context = { db, environment: configuration.environment, secret };
  const url = await failAs(application, async () => {
    await app.register(vazaoPlugin, {
      cache,
      feed,
      db,
      identify: application.identify?.(context),
      explain: configuration.environment === 'development',
    });
    await application.register(app, context);
    registerHealth(app, { db, feed, cache });
    await app.ready();
    signal.throwIfAborted();
    return listen(app, configuration);
  });

  const release = acquired.move();
  const close = (): Promise<void> => release.disposeAsync();
  return { url, psql: database.psql, app, close, kill: () => database.kill(), [Symbol.asyncDispose]: close };
}

/** Migrates, and in development fills, the database over one connection of its own. */
async function prepareSchema(
  database: Database,
  application: Application,
  configuration: Configuration,
  onProgress: (label: string, fraction?: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const client = await connectDatabase(database.url).catch((error) => {
    throw toDatabaseError(error, database.url);
  });
  try {
    const before = new Set(await listPlainTables(client));
    const applied = await migrate({ client, folder: application.migrations, onProgress, signal });
    // The feed tells old rows apart only where the log carries them whole. Tables that were there before are their owner's.
    if (applied.length > 0) {
      await setReplicaIdentityFull(
        client,
        (await listPlainTables(client)).filter((table) => !before.has(table)),
      );
    }
    if (configuration.environment === 'development') await seedOnce({ client, application, onProgress, signal });
  } finally {
    await within(RELEASE_TIMEOUT_MS, client.end());
  }
}

async function startFeed(database: Database, acquired: AsyncDisposableStack): Promise<Feed> {
  const feed = createFeed({ connection: database.url });
  acquired.defer(() => within(RELEASE_TIMEOUT_MS, feed.close()));
  try {
    await feed.start();
    return feed;
  } catch (cause) {
    if (!(cause instanceof FeedError)) throw cause;
    throw new RuntimeError(
      'ERR_RUNTIME_FEED',
      `The changes of the database can't be followed. ${cause.message.replace(/[.\s]*$/, '')}. \`vazao doctor\` checks the rest.`,
      { cause },
    );
  }
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
      {
        cause,
      },
    );
  }
}

/** Stops accepting, lets requests in flight finish, and cuts off those that take too long. */
async function closeApp(app: FastifyInstance, drainMs: number): Promise<void> {
  const cutOff = setTimeout(() => app.server.closeAllConnections(), drainMs);
  try {
    await within(drainMs + RELEASE_TIMEOUT_MS, app.close());
  } finally {
    clearTimeout(cutOff);
  }
}

/** Waits for the step, but no longer; a failure of it is no reason to stop releasing. */
async function within(timeoutMs: number, step: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  step.then(
    () => resolve(),
    () => resolve(),
  );
  await promise;
  clearTimeout(timer);
}
