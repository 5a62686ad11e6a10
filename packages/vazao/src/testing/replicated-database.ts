/** A primary with standbys, a feed, a cache and a pool that reads from them: for tests and benchmarks of replicas. */
import assert from 'node:assert/strict';
import pg from 'pg';
import { Cache, isShown, untilShown } from '../cache/index.ts';
import { Pool, type PoolOptions, runInContext } from '../db/index.ts';
import { createFeed, type Feed, FLUSHED_POSITION_SQL, parsePosition, setReplicaIdentityFull } from '../feed/index.ts';
import { type ClusterOptions, type PostgresCluster, startCluster } from '../torture/parts/postgres-cluster.ts';

export interface Filled<T> {
  readonly value: T;
  /** 'stored', or why not. */
  readonly outcome: string;
  /** `replayedTo` for a replica's. */
  readonly snapshot: object | undefined;
}

export interface ReplicatedDatabase extends AsyncDisposable {
  readonly cluster: PostgresCluster;
  readonly feed: Feed;
  readonly cache: Cache<unknown>;
  readonly db: Pool;
  /** Somebody else's hand, on the primary. */
  readonly writer: pg.Pool;
  /** Ends when the feed has told all that was written before, and a heartbeat has shown it to be visible. */
  settled(): Promise<void>;
  /** As the HTTP plugin does: the session ends with the answer, which waits until it may be shown. */
  fill<T>(key: string, work: () => Promise<T>, pool?: Pool): Promise<Filled<T>>;
  /** How often a statement that holds the text was run, on each server. */
  countCalls(text: string): Promise<Record<string, number>>;
}

const SETTINGS = {
  shared_preload_libraries: 'pg_stat_statements',
  max_standby_streaming_delay: '0',
  hot_standby_feedback: 'off',
  wal_receiver_status_interval: '100ms',
};

export interface ReplicatedDatabaseOptions {
  /** One is called `replica` unless others are named. */
  readonly standbys?: ClusterOptions['standbys'];
  /** Of which standbys the pool is told; all, unless said. */
  readonly replicas?: readonly string[] | undefined;
  readonly pool?: Partial<PoolOptions> | undefined;
  /** Puts something between the feed and all who listen to it. */
  readonly wrapFeed?: ((feed: Feed) => Feed) | undefined;
}

/** The table is `t (id int primary key, v int)`, with rows 1 to 1000 of value 10 × id. */
export async function createReplicatedDatabase(options: ReplicatedDatabaseOptions = {}): Promise<ReplicatedDatabase> {
  const { standbys = [{ name: 'replica' }], wrapFeed = (feed) => feed } = options;
  await using acquired = new AsyncDisposableStack();
  const cluster = acquired.use(await startCluster({ standbys, settings: SETTINGS }));
  await cluster.primary.query('create database app');
  const url = cluster.primary.urlOf('app');
  const writer = acquired.adopt(new pg.Pool({ connectionString: url, max: 4 }), (pool) => pool.end());
  writer.on('error', () => {});
  await writer.query(`create extension pg_stat_statements;
    create table t (id int primary key, v int) with (autovacuum_enabled = off);
    insert into t select n, n * 10 from generate_series(1, 1000) n`);
  const client = new pg.Client(url);
  await client.connect();
  await setReplicaIdentityFull(client, ['t']);
  await client.end();
  for (const standby of cluster.standbys) await cluster.untilReplayed(standby);
  const feed = wrapFeed(acquired.use(createFeed({ connection: url })));
  const cache = new Cache<unknown>({ feed });
  const names = options.replicas ?? standbys.map(({ name }) => name);
  const replicaUrls = names.map((name) => cluster.node(name).urlOf('app'));
  const db = acquired.adopt(
    new Pool({ connectionString: url, max: 5, cache, feed, replicaUrls, ...options.pool }),
    (pool) => pool.end(),
  );
  db.on('error', () => {});
  await feed.start();
  await db.prepare();
  const release = acquired.move();
  return {
    cluster,
    feed,
    cache,
    db,
    writer,
    async settled() {
      const { rows } = await writer.query(`select ${FLUSHED_POSITION_SQL} as position`);
      const heartbeat = new Promise<void>((resolve) => {
        const stop = feed.on('snapshot', () => {
          stop();
          resolve();
        });
      });
      assert.ok(await feed.waitFor(parsePosition(rows[0].position), 5_000));
      await heartbeat;
    },
    async fill<T>(key: string, work: () => Promise<T>, pool: Pool = db): Promise<Filled<T>> {
      const joined = cache.join(key);
      assert.ok(joined.role === 'leader');
      const { fill } = joined;
      const session = pool.openSession(fill);
      try {
        const value = await runInContext({ fill: session, position: 0n }, work);
        session.close();
        if (!isShown(fill, cache) && !(await untilShown(fill, cache, feed, 5_000)))
          fill.abandon('feed-behind', 'The feed did not reach the snapshot.');
        const completed = cache.complete(fill, { key, value, valueBytes: 10 });
        return { value, outcome: completed.stored ? 'stored' : completed.why.code, snapshot: fill.snapshot };
      } catch (error) {
        session.close();
        cache.fail(fill);
        throw error;
      }
    },
    async countCalls(text) {
      const counts: Record<string, number> = {};
      for (const node of [cluster.primary, ...cluster.standbys]) {
        if (!node.isRunning) continue;
        const server = new pg.Client(node.urlOf('app'));
        await server.connect();
        const { rows } = await server.query(
          `select coalesce(sum(calls), 0)::int as calls from pg_stat_statements where query like '%' || $1 || '%' and query not like '%pg_stat_statements%'`,
          [text],
        );
        counts[node.name] = rows[0].calls;
        await server.end();
      }
      return counts;
    },
    [Symbol.asyncDispose]: () => release.disposeAsync(),
  };
}
