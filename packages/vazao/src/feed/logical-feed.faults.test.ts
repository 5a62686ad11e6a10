import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createTestDatabase } from '../testing/database.ts';
import { startTcpProxy, type Which } from '../testing/tcp-proxy.ts';
import { describeChanges, record, until, untilPassed } from './recorder.ts';

const database = await createTestDatabase();
const { pool } = database;
await pool.query('create table t (id int primary key, v text)');

const isStream: Which = (startup) => startup.includes('replication\0database');
const isControl: Which = (startup) => !isStream(startup);
/** Quick to notice and to come back, so that the tests are. */
const QUICK = {
  heartbeatMs: 25,
  leaseMs: 200,
  silenceMs: 600,
  reconnectMinMs: 10,
  reconnectMaxMs: 50,
  connectTimeoutMs: 500,
};

async function slots(): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    'select count(*)::int as count from pg_replication_slots where database = current_database()',
  );
  return rows[0]?.count ?? 0;
}

async function sessions(): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select application_name as name from pg_stat_activity where datname = current_database() and application_name like 'vazao feed%'`,
  );
  return rows.map((row) => row.name);
}

describe('faults', () => {
  after(async () => {
    await database[Symbol.asyncDispose]();
  });

  test('an idle feed stays fresh, and close leaves neither slot nor connection', async () => {
    const { feed } = record({ connection: database.url, ...QUICK, leaseMs: 1_000 });
    await feed.start();
    assert.equal(await slots(), 1);
    assert.deepEqual((await sessions()).sort(), ['vazao feed (heartbeat)', 'vazao feed (stream)']);
    const started = performance.now();
    while (performance.now() - started < 1_500) {
      await new Promise((resolve) => setTimeout(resolve, 7));
      assert.ok(feed.isFresh());
    }
    await feed.close();
    assert.equal(feed.isFresh(), false);
    assert.equal(await slots(), 0);
    assert.deepEqual(await sessions(), []);
    assert.equal(feed.status().state, 'closed');
    await assert.rejects(feed.start(), { code: 'ERR_FEED_CLOSED' });
  });

  test('a killed walsender is a gap: not fresh, a new epoch before any commit, then all is well', async () => {
    await using recorder = record({ connection: database.url, ...QUICK });
    const { feed, log } = recorder;
    await feed.start();
    await recorder.during(pool, () =>
      pool.query(`insert into t values (1, 'a') on conflict (id) do update set v = 'a'`),
    );
    const sequence = recorder.commits.at(-1)?.sequence ?? 0;
    const waiting = feed.waitFor(feed.position + 1_000_000_000n, 20_000);
    const lost = new Promise<boolean>((resolve) => {
      const off = feed.on('problem', () => {
        resolve(feed.isFresh());
        off();
      });
    });
    await pool.query(`select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1`, [
      feed.status().slot,
    ]);
    assert.equal(await lost, false, 'not fresh from the moment of the loss');
    assert.equal(await waiting, false);
    await until(() => feed.isFresh(), 'fresh again');
    const commits = await recorder.during(pool, () => pool.query(`update t set v = 'b'`));
    assert.deepEqual(describeChanges(commits), ['update public.t 1,? > 1,b']);
    assert.equal(commits[0]?.sequence, sequence + 1);
    assert.equal(feed.epoch, 2);
    assert.ok(log.indexOf('epoch 2 stream lost') < log.indexOf(`commit ${sequence + 1}`));
    assert.equal(await slots(), 1);
    assert.equal(feed.status().lastError?.code, 'ERR_FEED_STREAM');
  });

  test('without a control connection freshness runs out by itself; the stream goes on, without a gap', async () => {
    await using proxy = await startTcpProxy(database.url);
    await using recorder = record({ connection: proxy.through(database.url), ...QUICK });
    const { feed } = recorder;
    await feed.start();
    proxy.cut(isControl);
    await until(() => !feed.isFresh(), 'lapsed');
    const commits = await recorder.during(pool, () => pool.query(`update t set v = 'c'`));
    assert.equal(commits.length, 1, 'changes still arrive');
    assert.equal(feed.isFresh(), false);
    proxy.resume();
    await until(() => feed.isFresh(), 'fresh again');
    assert.equal(feed.epoch, 1);
  });

  test('a control connection that hangs is replaced', async () => {
    await using proxy = await startTcpProxy(database.url);
    await using recorder = record({ connection: proxy.through(database.url), ...QUICK });
    await recorder.feed.start();
    proxy.pause(isControl);
    await until(() => !recorder.feed.isFresh(), 'lapsed');
    await until(() => recorder.problems.length > 0, 'noticed');
    proxy.resume();
    await until(() => recorder.feed.isFresh(), 'fresh again');
    assert.equal(recorder.feed.epoch, 1);
  });

  test('a stream that hangs is not fresh within the lease, is given up, and replaced', async () => {
    await using proxy = await startTcpProxy(database.url);
    await using recorder = record({ connection: proxy.through(database.url), ...QUICK, silenceMs: 2_000 });
    const { feed } = recorder;
    await feed.start();
    proxy.pause(isStream);
    await until(() => !feed.isFresh(), 'lapsed');
    assert.equal(feed.status().state, 'streaming', 'by the lease, long before it is given up');
    await until(() => feed.lagMs > 100, 'the lag grows while a heartbeat is overdue');
    await until(() => feed.status().state !== 'streaming', 'given up');
    assert.equal(feed.status().lastError?.code, 'ERR_FEED_STREAM');
    proxy.resume();
    await until(() => feed.isFresh(), 'fresh again');
    assert.equal(feed.epoch, 2);
  });

  test('a stream that was held up for a while delivers everything, in order, in the same epoch', async () => {
    await using proxy = await startTcpProxy(database.url);
    await using recorder = record({ connection: proxy.through(database.url), ...QUICK, silenceMs: 10_000 });
    const { feed, commits } = recorder;
    await feed.start();
    await pool.query('truncate t');
    await untilPassed(feed, pool);
    const before = commits.length;
    proxy.pause(isStream);
    for (let id = 0; id < 100; id++) await pool.query('insert into t values ($1)', [id]);
    await until(() => !feed.isFresh(), 'lapsed');
    assert.equal(commits.length, before);
    proxy.resume();
    await untilPassed(feed, pool);
    assert.deepEqual(
      describeChanges(commits.slice(before)),
      Array.from({ length: 100 }, (_, id) => `insert public.t ${id},null`),
    );
    await until(() => feed.isFresh(), 'fresh again');
    assert.equal(feed.epoch, 1);
  });

  test('a slow network shows as lag, and is fresh as long as it is faster than the lease', async () => {
    await using proxy = await startTcpProxy(database.url);
    await using recorder = record({ connection: proxy.through(database.url), ...QUICK, leaseMs: 2_000 });
    await recorder.feed.start();
    proxy.delay(30);
    await until(() => recorder.feed.isFresh() && recorder.feed.status().state === 'streaming', 'fresh');
    await recorder.during(pool, () => pool.query('insert into t values (1000)'));
    assert.equal(recorder.feed.epoch, 1);
  });

  test('a consumer that blocks the process loses freshness, not changes', async () => {
    await using recorder = record({ connection: database.url, ...QUICK });
    const { feed } = recorder;
    await feed.start();
    await until(() => feed.isFresh(), 'fresh');
    let blocked = 0;
    const off = feed.on('commit', () => {
      if (blocked++ > 0) return;
      const end = performance.now() + 1_500;
      while (performance.now() < end);
      assert.equal(feed.isFresh(), false);
    });
    await pool.query('truncate t');
    const commits = await recorder.during(pool, async () => {
      for (let id = 0; id < 200; id++) await pool.query('insert into t values ($1)', [id]);
    });
    off();
    assert.ok(commits.length >= 200);
    assert.equal(feed.epoch, 1, 'a busy process is no silent stream');
    await until(() => feed.isFresh(), 'fresh again');
  });

  test('a listener that throws ends the stream: the next epoch tells everybody', async () => {
    await using recorder = record({ connection: database.url, ...QUICK });
    const { feed } = recorder;
    await feed.start();
    const off = feed.on('commit', () => {
      throw new Error('consumer');
    });
    await pool.query('insert into t values (5000)');
    await until(() => feed.epoch === 2, 'epoch');
    off();
    assert.equal(feed.status().lastError?.code, 'ERR_FEED_LISTENER');
    await until(() => feed.isFresh(), 'fresh again');
  });

  test('a database that is away for a while: attempts are spaced, and the feed comes back', async () => {
    await using proxy = await startTcpProxy(database.url);
    await using recorder = record({ connection: proxy.through(database.url), ...QUICK });
    const { feed } = recorder;
    await feed.start();
    proxy.cut();
    await until(() => recorder.problems.length >= 5, 'some attempts');
    assert.equal(feed.isFresh(), false);
    assert.equal(await feed.waitFor(feed.position + 1n, 20_000), false, 'nobody waits for a stream that is not there');
    await pool.query('insert into t values (6000)');
    proxy.resume();
    await until(() => feed.isFresh(), 'fresh again');
    assert.equal(feed.epoch, 2);
    assert.equal(proxy.count, 2);
    await until(async () => (await slots()) === 1, 'slots of lost streams are gone');
  });

  test('closing at any moment of the start leaves nothing behind', async () => {
    for (let step = 0; step < 30; step++) {
      const { feed } = record({ connection: database.url, ...QUICK });
      const starting = feed.start();
      const result = starting.then(
        () => 'started',
        (error: { code: string }) => error.code,
      );
      await new Promise((resolve) => setTimeout(resolve, step * 3));
      await feed.close();
      assert.ok(['started', 'ERR_FEED_CLOSED'].includes(await result), await result);
    }
    await until(async () => (await slots()) === 0 && (await sessions()).length === 0, 'nothing left');
  });

  test('a transaction that stays open holds up the slot: the start fails in time, names it, and leaves nothing', async () => {
    const writer = await database.client();
    await writer.query('begin; insert into t values (7000)');
    const { rows } = await writer.query<{ pid: number }>('select pg_backend_pid() as pid');
    {
      await using recorder = record({ connection: database.url, ...QUICK, slotTimeoutMs: 300 });
      await assert.rejects(recorder.feed.start(), {
        code: 'ERR_FEED_SLOT_TIMEOUT',
        message: new RegExp(`pg_terminate_backend\\(${rows[0]?.pid}\\)`),
      });
      assert.equal(recorder.feed.status().state, 'stopped');
    }
    const { feed } = record({ connection: database.url, ...QUICK });
    const starting = assert.rejects(feed.start(), { code: 'ERR_FEED_CLOSED' });
    await until(async () => (await sessions()).includes('vazao feed (stream)'), 'it waits for the slot');
    await feed.close();
    await starting;
    await until(async () => (await slots()) === 0 && (await sessions()).length === 0, 'nothing left');
    await writer.query('rollback');
  });

  test('a start that cannot reach the database says so', async () => {
    const url = new URL(database.url);
    url.port = '1';
    await assert.rejects(record({ connection: url.href }).feed.start(), { code: 'ERR_FEED_CONNECTION' });
    url.port = new URL(database.url).port;
    url.password = 'wrong';
    url.username = 'nobody';
    await assert.rejects(record({ connection: url.href }).feed.start(), { code: 'ERR_FEED_AUTHENTICATION' });
    assert.throws(() => record({ connection: database.url, heartbeatMs: 1_000, leaseMs: 1_000 }), {
      code: 'ERR_FEED_OPTIONS',
    });
  });
});
