import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createTestDatabase } from '../../testing/database.ts';
import { startTcpProxy } from '../../testing/tcp-proxy.ts';
import { INSERTED_POSITION_SQL, parsePosition } from '../position.ts';
import { describeChanges, record, until, untilPassed } from '../recorder.ts';

const database = await createTestDatabase();
const { pool } = database;
await pool.query('create table t (id int primary key, v text)');

const OPTIONS = {
  connection: database.url,
  source: 'outbox',
  outbox: { pollMs: 10 },
  leaseMs: 1_000,
  reconnectMinMs: 10,
  reconnectMaxMs: 50,
  silenceMs: 1_000,
  connectTimeoutMs: 1_000,
} as const;

async function countConnections(): Promise<number> {
  const { rows } = await pool.query(
    `select from pg_stat_activity where datname = current_database() and application_name like 'vazao feed%'`,
  );
  return rows.length;
}

describe('the outbox', () => {
  after(() => database[Symbol.asyncDispose]());

  test('an idle feed stays fresh, and close leaves no connection', async () => {
    const { feed } = record(OPTIONS);
    await feed.start();
    const started = performance.now();
    while (performance.now() - started < 1_200) {
      await new Promise((resolve) => setTimeout(resolve, 7));
      assert.ok(feed.isFresh());
    }
    await feed.close();
    assert.equal(feed.isFresh(), false);
    await until(async () => (await countConnections()) === 0, 'no connection');
    await assert.rejects(feed.start(), { code: 'ERR_FEED_CLOSED' });
  });

  test('a transaction that stays open holds up nobody, and is told when it ends', async () => {
    await using recorder = record(OPTIONS);
    const { feed } = recorder;
    await feed.start();
    const slow = await database.client();
    await slow.query(`begin; insert into t values (1, 'slow')`);
    for (let id = 100; id < 120; id++) {
      const commits = await recorder.during(pool, () => pool.query('insert into t values ($1)', [id]));
      assert.deepEqual(describeChanges(commits), [`insert public.t ${id},null`]);
    }
    // Nothing is written any more, and the transaction is still open: the very end of the log is passed all the same.
    await untilPassed(feed, pool);
    await untilPassed(feed, pool);
    const before = feed.position;
    await slow.query(`update t set v = 'slower' where id = 1; commit`);
    await untilPassed(feed, pool);
    assert.deepEqual(describeChanges(recorder.commits.slice(-1)), [
      'insert public.t 1,slow',
      'update public.t 1,slow > 1,slower',
    ]);
    assert.ok((recorder.commits.at(-1)?.position ?? 0n) > before, 'a commit lies behind every position told before it');
    assert.equal(feed.epoch, 1);
  });

  test('no commit is told whose position was passed before, and none before one that it follows', async () => {
    // Slow polls, so that each finds transactions that followed one another.
    await using recorder = record({ ...OPTIONS, outbox: { pollMs: 100 } });
    const { feed } = recorder;
    await feed.start();
    let wrong = 0;
    feed.on('commit', ({ position }) => {
      if (position <= feed.position) wrong++;
    });
    await pool.query(`insert into t values (2000, '0')`);
    const clients = await Promise.all(Array.from({ length: 6 }, () => database.client()));
    await recorder.during(pool, () =>
      Promise.all(
        clients.map(async (client, writer) => {
          for (let step = 0; step < 40; step++) {
            // Numbered, and with a row of its own, long before it follows another.
            await client.query(`begin; insert into t values (${10_000 + writer * 100 + step}, 'own')`);
            await client.query('update t set v = (v::int + 1)::text where id = 2000');
            await client.query('commit');
          }
        }),
      ),
    );
    assert.equal(wrong, 0);
    const versions = describeChanges(recorder.commits)
      .filter((line) => line.startsWith('update public.t 2000,'))
      .map((line) => Number(line.split('> 2000,')[1]));
    assert.deepEqual(
      versions,
      Array.from({ length: 240 }, (_, index) => index + 1),
    );
  });

  test('an asynchronous commit is told before its position is passed, also while another transaction is open', async () => {
    await using recorder = record(OPTIONS);
    await recorder.feed.start();
    const slow = await database.client();
    const client = await database.client();
    await client.query('set synchronous_commit = off');
    for (const begin of ['select 1', 'begin; select pg_current_xact_id()']) {
      await slow.query(begin);
      const { rows } = await client.query<{ p: string }>(
        `insert into t select coalesce(max(id), 0) + 1, 'async' from t returning ${INSERTED_POSITION_SQL} as p`,
      );
      const after = await client.query<{ p: string }>(`select ${INSERTED_POSITION_SQL} as p`);
      assert.ok(parsePosition(after.rows[0]?.p ?? '') > parsePosition(rows[0]?.p ?? ''));
      assert.equal(await recorder.feed.waitFor(parsePosition(after.rows[0]?.p ?? ''), 5_000), true);
      assert.match(describeChanges(recorder.commits).at(-1) ?? '', /async$/);
    }
    await slow.query('rollback');
  });

  test('a connection that is lost is no gap: what was committed meanwhile is told, in the same epoch', async () => {
    await using proxy = await startTcpProxy(database.url);
    await using recorder = record({ ...OPTIONS, connection: proxy.through(database.url) });
    const { feed } = recorder;
    await feed.start();
    proxy.cut();
    await until(() => recorder.problems.length >= 3, 'attempts');
    await pool.query(`insert into t values (4000, 'meanwhile')`);
    await until(() => !feed.isFresh(), 'lapsed');
    assert.equal(await feed.waitFor(feed.position + 1_000n, 20_000), false);
    proxy.resume();
    await until(() => feed.isFresh(), 'fresh again');
    await untilPassed(feed, pool);
    assert.deepEqual(describeChanges(recorder.commits), ['insert public.t 4000,meanwhile']);
    assert.equal(feed.epoch, 1);
  });

  test('a poll that hangs is given up, and the feed is not fresh meanwhile', async () => {
    await using proxy = await startTcpProxy(database.url);
    await using recorder = record({
      ...OPTIONS,
      connection: proxy.through(database.url),
      leaseMs: 300,
      heartbeatMs: 50,
    });
    const { feed } = recorder;
    await feed.start();
    proxy.pause();
    await until(() => !feed.isFresh(), 'lapsed');
    await until(() => feed.status().state !== 'streaming', 'given up');
    proxy.resume();
    await until(() => feed.isFresh(), 'fresh again');
    assert.equal(feed.epoch, 1);
  });

  test('a host that was away for longer than changes are kept begins an epoch', async () => {
    const keepsBriefly = { ...OPTIONS, outbox: { pollMs: 10, retentionMs: 300 } };
    await using cleaner = record(keepsBriefly);
    await cleaner.feed.start();
    await using proxy = await startTcpProxy(database.url);
    await using recorder = record({ ...keepsBriefly, connection: proxy.through(database.url) });
    await recorder.feed.start();
    await untilPassed(recorder.feed, pool);
    proxy.cut();
    await until(() => recorder.problems.length >= 1, 'lost');
    await cleaner.during(pool, () => pool.query(`insert into t values (5000, 'missed')`));
    const deleted = async (): Promise<boolean> => (await pool.query('select from vazao.outbox')).rowCount === 0;
    await until(deleted, 'deleted');
    proxy.resume();
    await until(() => recorder.feed.epoch === 2 && recorder.feed.isFresh(), 'an epoch');
    assert.ok(recorder.log.includes('epoch 2 stream lost'));
    assert.equal(cleaner.feed.epoch, 1);
    const commits = await recorder.during(pool, () => pool.query(`update t set v = 'seen' where id = 5000`));
    assert.deepEqual(describeChanges(commits), ['update public.t 5000,missed > 5000,seen']);
  });

  test('an old transaction does not keep the outbox from being emptied', async () => {
    await using recorder = record({ ...OPTIONS, outbox: { pollMs: 10, retentionMs: 200 } });
    await recorder.feed.start();
    const slow = await database.client();
    await slow.query(`begin; insert into t values (5500, 'slow')`);
    await recorder.during(pool, () => pool.query('insert into t select i from generate_series(5600, 5700) i'));
    await until(async () => (await pool.query('select from vazao.outbox')).rowCount === 0, 'deleted');
    const commits = await recorder.during(pool, () => slow.query('commit'));
    assert.deepEqual(describeChanges(commits), ['insert public.t 5500,slow']);
    assert.equal(recorder.feed.epoch, 1);
  });

  test('without readers nothing is appended; who comes then suspects whoever was writing', async () => {
    // Polls when it is called, and not before.
    await using first = record({ ...OPTIONS, outbox: { pollMs: 60_000 }, leaseMs: 100_000 });
    await first.feed.start();
    const writer = await database.client();
    await pool.query(`select setval('vazao.outbox_lease', 1)`);
    await writer.query(`begin isolation level repeatable read; insert into t values (6000, 'unseen')`);
    const { rows } = await writer.query('select pg_current_xact_id()::text as xid');
    assert.equal((await pool.query('select from vazao.outbox where xid::text = $1', [rows[0].xid])).rowCount, 0);
    void first.feed.waitFor(first.feed.position + 1n, 1_000);
    await until(() => first.feed.epoch === 2 && first.feed.isFresh(), 'the lease had lapsed');
    await using second = record(OPTIONS);
    await second.feed.start();
    for (const { feed } of [first, second]) assert.ok(feed.suspects.has(BigInt(rows[0].xid)));
    // Its snapshot is older than the lease, which it sees all the same.
    await writer.query(`insert into t values (6001, 'seen')`);
    await writer.query('commit');
    await untilPassed(second.feed, pool);
    assert.deepEqual(describeChanges(second.commits), ['insert public.t 6001,seen']);
    await untilPassed(first.feed, pool);
    // Transactions of other databases of the server may be suspected, too, and take as long as they like.
    for (const { feed } of [first, second]) assert.ok(!feed.suspects.has(BigInt(rows[0].xid)), 'cleared');
  });

  test('a table that a writer holds is left out for as long, and others are not held up by it', async () => {
    const writer = await database.client();
    await pool.query('create table held (id int primary key)');
    await writer.query('begin; insert into held values (1)');
    await using recorder = record(OPTIONS);
    await recorder.feed.start();
    assert.deepEqual(
      recorder.feed.status().leftOut.map(({ table, reason }) => [table, reason]),
      [['public.held', 'locked']],
    );
    await writer.query('commit');
    await until(() => recorder.feed.status().tables.includes('public.held'), 'taken in');
    assert.ok(recorder.log.includes('schema'));
    await recorder.during(pool, () => pool.query('insert into held values (2)'));
    assert.deepEqual(
      describeChanges(recorder.commits).slice(-1),
      ['all public.held'],
      'its columns are known from here on',
    );
  });

  test('many feeds that start at one moment agree, and each tells everything', async () => {
    await pool.query('drop schema vazao cascade');
    const feeds = Array.from({ length: 4 }, () => record(OPTIONS));
    await Promise.all(feeds.map(({ feed }) => feed.start()));
    await pool.query('truncate t');
    for (const recorder of feeds) {
      await untilPassed(recorder.feed, pool);
      assert.deepEqual(describeChanges(recorder.commits).slice(-1), ['all public.t']);
    }
    await Promise.all(feeds.map(({ feed }) => feed.close()));
  });

  test('a listener that throws ends the session: the next epoch tells everybody', async () => {
    await using recorder = record(OPTIONS);
    const { feed } = recorder;
    await feed.start();
    const off = feed.on('commit', () => {
      throw new Error('consumer');
    });
    await pool.query('insert into t values (7000)');
    await until(() => feed.epoch === 2, 'epoch');
    off();
    assert.equal(feed.status().lastError?.code, 'ERR_FEED_LISTENER');
    await until(() => feed.isFresh(), 'fresh again');
  });

  test('closing at any moment of the start leaves nothing behind', async () => {
    for (let step = 0; step < 15; step++) {
      const { feed } = record(OPTIONS);
      const result = feed.start().then(
        () => 'started',
        (error: { code: string }) => error.code,
      );
      await new Promise((resolve) => setTimeout(resolve, step * 4));
      await feed.close();
      assert.ok(['started', 'ERR_FEED_CLOSED'].includes(await result), await result);
    }
    await until(async () => (await countConnections()) === 0, 'nothing left');
  });

  test('notifications make it faster than its polls', async () => {
    await using recorder = record({ ...OPTIONS, outbox: { pollMs: 60_000, notify: true }, leaseMs: 100_000 });
    await recorder.feed.start();
    const told = new Promise<void>((resolve) => recorder.feed.on('commit', () => resolve()));
    await pool.query('insert into t values (8000)');
    await told;
  });
});
