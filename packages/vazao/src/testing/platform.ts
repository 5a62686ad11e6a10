/** Feed, cache, pool and a listening Fastify on a test database: everything that runs in production, in one process. */
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify';
import pg from 'pg';
import { Cache } from '../cache/index.ts';
import { Pool, type PoolOptions } from '../db/index.ts';
import {
  createFeed,
  type Feed,
  type FeedOptions,
  FLUSHED_POSITION_SQL,
  parsePosition,
  setReplicaIdentityFull,
} from '../feed/index.ts';
import { type CacheValue, type PluginOptions, vazaoPlugin } from '../http/index.ts';
import type { TestDatabase } from './database.ts';
import { untilUnsuspected } from './unsuspected.ts';

export interface TestPlatform extends AsyncDisposable {
  readonly feed: Feed;
  readonly cache: Cache<CacheValue>;
  readonly db: Pool;
  readonly app: FastifyInstance;
  /** Registers routes; call before {@link TestPlatform.listen}. */
  listen(): Promise<string>;
  /** Waits until the feed has passed everything committed so far. */
  settled(): Promise<void>;
  /** Where it listens. */
  readonly origin: string;
  get(path: string, headers?: Record<string, string>): Promise<TestAnswer>;
}

export interface TestAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly cacheStatus: string;
}

export interface TestPlatformOptions {
  /** SQL that creates the tables; each gets REPLICA IDENTITY FULL. */
  readonly schema: string;
  readonly plugin?: Partial<PluginOptions> | undefined;
  readonly feed?: Partial<FeedOptions> | undefined;
  readonly pool?: Pick<PoolOptions, 'declaredFunctions' | 'connectionString'> | undefined;
  readonly cacheBytes?: number | undefined;
  readonly fastify?: FastifyServerOptions | undefined;
  /** Puts something between the feed and all who listen to it. */
  readonly wrapFeed?: ((feed: Feed) => Feed) | undefined;
}

export async function createTestPlatform(database: TestDatabase, options: TestPlatformOptions): Promise<TestPlatform> {
  await database.pool.query(options.schema);
  const { rows } = await database.pool.query(
    `select oid::regclass::text as name from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace`,
  );
  const client = await database.client();
  await setReplicaIdentityFull(
    client,
    rows.map(({ name }) => name),
  );
  await client.end();

  const { wrapFeed = (feed) => feed } = options;
  const feed = wrapFeed(createFeed({ connection: database.url, ...options.feed }));
  const cache = new Cache<CacheValue>({ feed, sizeMaxBytes: options.cacheBytes });
  const db = new Pool({
    connectionString: database.url,
    ...options.pool,
    max: 10,
    cache: cache as Cache<unknown>,
    feed,
  });
  db.on('error', () => {});
  await feed.start();
  await untilUnsuspected(feed);
  await db.prepare();
  const app = Fastify(options.fastify ?? {});
  await app.register(vazaoPlugin, { cache, feed, db, ...options.plugin });
  let origin = '';
  return {
    feed,
    cache,
    db,
    app,
    async listen() {
      origin = await app.listen({ host: '127.0.0.1', port: 0 });
      return origin;
    },
    get origin() {
      return origin;
    },
    async settled() {
      const {
        rows: [row],
      } = await database.pool.query(`select ${FLUSHED_POSITION_SQL} as position`);
      if (!(await feed.waitFor(parsePosition(row.position), 5_000)))
        throw new Error('The feed did not pass the last commit within 5 s.');
    },
    async get(path, headers = {}) {
      const response = await fetch(origin + path, { headers });
      return {
        status: response.status,
        headers: response.headers,
        text: await response.text(),
        cacheStatus: response.headers.get('cache-status') ?? '',
      };
    },
    async [Symbol.asyncDispose]() {
      await app.close();
      await db.end();
      await feed.close();
    },
  };
}

/** A plain pool on the same database: "somebody else's hand". */
export function createForeignPool(database: TestDatabase): pg.Pool {
  const pool = new pg.Pool({ connectionString: database.url, max: 5 });
  pool.on('error', () => {});
  return pool;
}
