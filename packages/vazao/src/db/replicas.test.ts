import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Cache, isShown, untilShown } from '../cache/index.ts';
import { createFeed } from '../feed/index.ts';
import { createReplicatedDatabase, type ReplicatedDatabase } from '../testing/replicated-database.ts';
import { startTcpProxy } from '../testing/tcp-proxy.ts';
import { untilTold } from '../torture/parts/bounded.ts';
import { startCluster } from '../torture/parts/postgres-cluster.ts';
import { runInContext } from './context.ts';
import { Pool } from './pool.ts';
import type { ReplicaFigures } from './replica.ts';

const FOUND_MS = 60_000;

const readOne = async ({ db }: ReplicatedDatabase, id: number): Promise<number> =>
  (await db.query('select v from t where id = $1', [id])).rows[0]?.v;

const isReplayed = (snapshot: object | undefined): boolean => snapshot !== undefined && 'replayedTo' in snapshot;

const untilFigures = (
  { db }: ReplicatedDatabase,
  what: string,
  is: (figures: ReplicaFigures) => boolean,
): Promise<true> => untilTold(what, () => db.replicas().every(is), FOUND_MS);

const untilReady = (base: ReplicatedDatabase): Promise<true> =>
  untilFigures(base, 'ready', ({ state }) => state === 'ready');

describe('a fill on a replica', { timeout: 600_000 }, () => {
  let base: ReplicatedDatabase;
  let key = 0;

  before(async () => {
    base = await createReplicatedDatabase();
  });
  after(async () => {
    await base?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await base.settled();
    await base.cluster.untilReplayed(base.cluster.node('replica'));
    await untilReady(base);
  });

  test('is computed there, kept, and dropped exactly', async () => {
    const { cache, writer } = base;
    const work = async () => (await base.db.query('select v as exactly from t where id = $1', [1])).rows[0].exactly;
    const { value, outcome, snapshot } = await base.fill('/exactly', work);
    assert.deepEqual([value, outcome, isReplayed(snapshot)], [10, 'stored', true]);
    assert.deepEqual(await base.countCalls('exactly'), { primary: 0, replica: 1 });
    await writer.query('update t set v = 21 where id = 2');
    await base.settled();
    assert.ok(cache.get('/exactly'), 'another row');
    await writer.query('update t set v = 11 where id = 1');
    await base.settled();
    assert.equal(cache.get('/exactly'), undefined);
    assert.equal((await base.fill('/exactly', work)).value, 11);
  });

  test('uncached statements, writes and what follows them go to the primary', async () => {
    await base.db.query('select v as uncached from t where id = 1');
    const { value, outcome } = await base.fill('/writes', async () => {
      await base.db.query('update t set v = v + 1 where id = 3');
      return (await base.db.query('select v as uncached from t where id = 3')).rows[0].uncached;
    });
    assert.deepEqual([value, outcome], [31, 'write']);
    assert.deepEqual(await base.countCalls('uncached'), { primary: 2, replica: 0 });
    const lone = base.cache.lone('/lone', 'audit', 'Computed past the cache.');
    const session = base.db.openSession(lone);
    await runInContext({ fill: session, position: 0n }, async () => {
      await base.db.query('select id, v as lonely from t where id = 1');
    });
    session.close();
    assert.deepEqual(await base.countCalls('lonely'), { primary: 1, replica: 0 });
  });

  test('a replica that stands still serves while it misses nothing, then the primary does, and nothing old is kept', async () => {
    const { cluster, writer } = base;
    const replica = cluster.node('replica');
    await cluster.pauseReplay(replica);
    const still = await base.fill('/still', () => readOne(base, 4));
    assert.deepEqual([still.value, still.outcome, isReplayed(still.snapshot)], [40, 'stored', true]);
    await writer.query('update t set v = 41 where id = 4');
    await base.settled();
    const next = await base.fill('/still', () => readOne(base, 4));
    assert.deepEqual([next.value, next.outcome, isReplayed(next.snapshot)], [41, 'stored', false]);
    await untilTold(
      'left alone for being behind',
      async () => {
        const { value } = await base.fill(`/behind${key++}`, () => readOne(base, 4));
        assert.equal(value, 41);
        return base.db.replicas()[0]?.reason === 'behind';
      },
      FOUND_MS,
    );
    await cluster.resumeReplay(replica);
    await untilReady(base);
    const last = await base.fill('/again', () => readOne(base, 4));
    assert.deepEqual([last.value, isReplayed(last.snapshot)], [41, true]);
  });

  test('under a role that the replica has not replayed, the primary answers', async () => {
    const { cluster, writer, db } = base;
    await writer.query('grant select on t to public');
    await base.settled();
    await cluster.untilReplayed(cluster.node('replica'));
    await untilReady(base);
    await cluster.pauseReplay(cluster.node('replica'));
    await writer.query('create role novato');
    const read = async () => {
      const client = await db.connect();
      await client.query('begin');
      await client.query('set local role novato');
      const { rows } = await client.query('select v from t where id = 1000');
      await client.query('commit');
      client.release();
      return rows[0].v;
    };
    await untilTold(
      'it is kept',
      async () => {
        const { value, outcome } = await base.fill(`/role${key++}`, read);
        assert.equal(value, 10_000);
        return outcome === 'stored';
      },
      FOUND_MS,
    );
    await cluster.resumeReplay(cluster.node('replica'));
  });

  test('a schema that the replica has not replayed is not read there', async () => {
    const { cluster, writer } = base;
    await writer.query('create view w as select id, v from t');
    await base.settled();
    const read = async () => (await base.db.query('select v from w where id = 5')).rows[0].v;
    await untilTold(
      'the view is cached',
      async () => (await base.fill(`/w${key++}`, read)).outcome === 'stored',
      FOUND_MS,
    );
    await cluster.untilReplayed(cluster.node('replica'));
    await cluster.pauseReplay(cluster.node('replica'));
    await writer.query('create or replace view w as select id, v + 1 as v from t');
    await base.settled();
    await untilTold(
      'the new view is cached',
      async () => {
        const { value, outcome } = await base.fill(`/w${key++}`, read);
        assert.equal(value, 51);
        return outcome === 'stored';
      },
      FOUND_MS,
    );
    await cluster.resumeReplay(cluster.node('replica'));
  });

  test('a server that has just started shows nothing older than its start', async () => {
    const { cluster, writer } = base;
    await cluster.pauseReplay(cluster.node('replica'));
    await writer.query('update t set v = 161 where id = 16');
    const connectionString = cluster.primary.urlOf('app');
    await using feed = createFeed({ connection: connectionString });
    const cache = new Cache<unknown>({ feed });
    const replicaUrls = [cluster.node('replica').urlOf('app')];
    const db = new Pool({ connectionString, max: 2, cache, feed, replicaUrls });
    await feed.start();
    await db.prepare();
    assert.equal(db.replicas()[0]?.reason, 'behind');
    const joined = cache.join('/start');
    assert.ok(joined.role === 'leader');
    const session = db.openSession(joined.fill);
    const value = await runInContext({ fill: session, position: 0n }, () => readOne({ ...base, db }, 16));
    session.close();
    cache.fail(joined.fill);
    await db.end();
    await cluster.resumeReplay(cluster.node('replica'));
    assert.equal(value, 161);
  });

  test('other settings of the server: left alone, and used again when they are the same', async () => {
    const replica = base.cluster.node('replica');
    await replica.set({ extra_float_digits: '0' });
    await untilTold(
      'left alone for its settings',
      async () => {
        const { outcome } = await base.fill(`/settings${key++}`, () => readOne(base, 6));
        assert.equal(outcome, 'stored');
        return base.db.replicas()[0]?.reason === 'settings';
      },
      FOUND_MS,
    );
    await replica.set({ extra_float_digits: '1' });
    await untilReady(base);
  });

  /** Rows die on the primary, and the replica's replay of their removal ends what still sees them. */
  const provokeConflict = async (): Promise<void> => {
    await base.writer.query('update t set v = v where id > 900');
    await base.writer.query('vacuum (freeze) t');
  };
  const conflicts = (): number => base.db.replicas()[0]?.refused.conflict ?? 0;

  test('a conflict with the replay under the first statement: the primary answers, and nobody notices', async () => {
    const before = conflicts();
    const slow =
      'select count(*) as slowly from t a, t b, generate_series(1, 400) n where a.id <= n and b.v is not null';
    const filled = base.fill('/conflict', async () => (await base.db.query(slow)).rows[0].slowly);
    await untilTold(
      'the statement runs on the replica',
      async () =>
        (await base.cluster.node('replica').query(`select from pg_stat_activity where query = '${slow}'`)).length > 0,
      FOUND_MS,
    );
    await provokeConflict();
    const { value, outcome, snapshot } = await filled;
    assert.equal(Number(value), 80_200_000);
    assert.equal(conflicts(), before + 1);
    assert.deepEqual([outcome, isReplayed(snapshot)], ['stored', false]);
  });

  test('a conflict after rows were given: the answer goes on if they are the same on the primary', async () => {
    const before = conflicts();
    const { value, outcome, snapshot } = await base.fill('/given', async () => {
      const first = await readOne(base, 7);
      await provokeConflict();
      await untilTold('the conflict', () => conflicts() > before, FOUND_MS);
      return [first, await readOne(base, 8), await readOne(base, 7)];
    });
    assert.deepEqual(value, [70, 80, 70]);
    assert.deepEqual([outcome, isReplayed(snapshot)], ['stored', false]);
    await base.writer.query('update t set v = v + 1 where id = 7');
    await base.settled();
    assert.equal(base.cache.get('/given'), undefined, 'what the replica had answered is part of what was read');
  });

  test('a conflict after rows were given that have changed: the statement fails, with a code', async () => {
    const before = conflicts();
    const filled = base.fill('/changed', async () => {
      const first = await readOne(base, 9);
      await base.writer.query('update t set v = 91 where id = 9');
      await provokeConflict();
      await untilTold('the conflict', () => conflicts() > before, FOUND_MS);
      return [first, await readOne(base, 9)];
    });
    await assert.rejects(filled, { code: 'ERR_DB_REPLICA_CONFLICT', statusCode: 503, headers: { 'retry-after': '1' } });
    assert.equal((await base.fill('/changed', () => readOne(base, 9))).value, 91);
  });

  test('a statement that fails by its own fault fails as on the primary', async () => {
    const settled = await base.fill('/fails', () =>
      Promise.allSettled([readOne(base, 10), base.db.query('select 1 / (id - id) from t'), readOne(base, 11)]),
    );
    const [one, failed, two] = settled.value as PromiseSettledResult<unknown>[];
    assert.equal(one?.status === 'fulfilled' && one.value, 100);
    assert.equal(failed?.status === 'rejected' && failed.reason.code, '22012');
    assert.equal(two?.status === 'fulfilled' && two.value, 110);
    assert.equal(settled.outcome, 'statement-failed');
  });

  test('a replica that dies under a fill: the primary goes on; it is used again when it is back', async () => {
    const replica = base.cluster.node('replica');
    const { value, outcome } = await base.fill('/dies', async () => {
      const first = await readOne(base, 12);
      await replica.kill();
      return [first, ...(await Promise.all([readOne(base, 13), readOne(base, 12)]))];
    });
    assert.deepEqual([value, outcome], [[120, 130, 120], 'stored']);
    await untilFigures(base, 'left alone', ({ reason }) => reason === 'gone');
    assert.equal((await base.fill('/dead', () => readOne(base, 14))).outcome, 'stored');
    await replica.start();
    await untilReady(base);
    await base.cluster.untilReplayed(replica);
    assert.ok(isReplayed((await base.fill('/back', () => readOne(base, 15))).snapshot));
  });

  test('connections are given back, and none is left in a transaction', async () => {
    await Promise.all(
      Array.from({ length: 50 }, async (_, n) => {
        const { outcome } = await base.fill(`/many${n}`, () => readOne(base, n + 1));
        assert.equal(outcome, 'stored');
      }),
    );
    await untilTold(
      'all sessions are idle',
      async () => {
        const rows = await base.cluster
          .node('replica')
          .query<{ state: string }>(
            "select state from pg_stat_activity where datname = 'app' and backend_type = 'client backend'",
          );
        assert.ok(rows.length <= 5);
        return rows.every(({ state }) => state === 'idle');
      },
      FOUND_MS,
    );
  });
});

test('what a replica shows before the primary does is held back', { timeout: 480_000 }, async () => {
  await using base = await createReplicatedDatabase({
    standbys: [{ name: 'replica' }, { name: 'slow', synchronous: true }],
    replicas: ['replica'],
  });
  const { cluster, feed, db, cache, writer } = base;
  await base.settled();
  await untilReady(base);
  const slow = cluster.node('slow');
  await cluster.pauseReplay(slow);
  const client = await writer.connect();
  await using released = new AsyncDisposableStack();
  released.defer(() => client.release(true));
  await client.query("set synchronous_commit = 'remote_apply'");
  let committed = false;
  const delivered = new Promise<void>((resolve) => void feed.on('commit', () => resolve()));
  const commit = client.query('update t set v = 99 where id = 1').then(() => {
    committed = true;
  });
  await delivered;
  const joined = cache.join('/ahead');
  assert.ok(joined.role === 'leader');
  const session = db.openSession(joined.fill);
  const value = await runInContext({ fill: session, position: 0n }, () => readOne(base, 1));
  session.close();
  const [onPrimary] = (await writer.query('select v from t where id = 1')).rows;
  assert.equal(committed, false);
  assert.equal(onPrimary.v, 10);
  if (value === 99) {
    assert.equal(isShown(joined.fill, cache), false);
    assert.equal(await untilShown(joined.fill, cache, feed, 300), false);
  } else assert.equal(isReplayed(joined.fill.snapshot), false, 'the primary was asked');
  cache.fail(joined.fill);
  // By now a heartbeat has shown that the primary is slow to show its commits.
  assert.equal((await base.fill('/not-ahead', () => readOne(base, 1))).value, 10);
  await cluster.resumeReplay(slow);
  await commit;
  await base.settled();
  assert.equal(value, 99);
  const later = await base.fill('/later', () => readOne(base, 1));
  assert.deepEqual([later.value, later.outcome, isReplayed(later.snapshot)], [99, 'stored', true]);
});

test('a promoted replica, and a copy of another server, are never read from', { timeout: 480_000 }, async () => {
  await using base = await createReplicatedDatabase();
  await untilReady(base);
  await base.cluster.node('replica').query('select pg_promote(true, 30)');
  const { value, outcome, snapshot } = await base.fill('/promoted', () => readOne(base, 1));
  assert.deepEqual([value, outcome, isReplayed(snapshot)], [10, 'stored', false]);
  assert.equal(base.db.replicas()[0]?.reason, 'promoted');
  await using other = await startCluster({});
  await other.primary.query('create database app');
  await using stranger = await createReplicatedDatabase({
    standbys: [],
    replicas: [],
    pool: { replicaUrls: [other.primary.urlOf('app')] },
  });
  assert.equal(stranger.db.replicas()[0]?.reason, 'other-server');
  assert.equal((await stranger.fill('/stranger', () => readOne(stranger, 1))).outcome, 'stored');
});

test('a replica that hangs holds nobody up for long, and is used again afterwards', { timeout: 480_000 }, async () => {
  await using base = await createReplicatedDatabase({ replicas: [] });
  const { cluster, cache, feed } = base;
  const url = cluster.node('replica').urlOf('app');
  await using proxy = await startTcpProxy(url);
  const options = { connectionString: cluster.primary.urlOf('app'), max: 3, cache, feed };
  const db = new Pool({ ...options, replicaUrls: [proxy.through(url)] });
  const own = { ...base, db };
  try {
    await db.prepare();
    await untilReady(own);
    const work = async () => {
      const first = await readOne(own, 1);
      proxy.pause();
      return [first, await readOne(own, 2)];
    };
    const { value, outcome } = await base.fill('/hangs', work, db);
    assert.deepEqual([value, outcome], [[10, 20], 'stored']);
    assert.equal(db.replicas()[0]?.reason, 'gone');
    proxy.resume();
    await untilReady(own);
  } finally {
    await db.end();
  }
});
