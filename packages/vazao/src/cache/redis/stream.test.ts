/** The feed of one host in another, by way of a stream in a real Redis, with a real PostgreSQL. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { INSERTED_POSITION_SQL, parsePosition } from '../../feed/index.ts';
import { untilPassed } from '../../feed/recorder.ts';
import { until } from '../../testing/cached-app.ts';
import { createTestDatabase, type TestDatabase } from '../../testing/database.ts';
import {
  commitsOf,
  createStreamSetting,
  epochsOf,
  STREAM_SECRET,
  type StreamSetting,
  termOf,
} from '../../testing/streamed-host.ts';
import { startRedisServer } from '../../torture/parts/redis-server.ts';
import { startTcpProxy } from '../../torture/parts/tcp-proxy.ts';
import { openConnection } from './connection.ts';
import { signMessage } from './stream-entry.ts';
import { streamKeysOf } from './stream-keys.ts';

const redis = await startRedisServer();
after(() => redis.close());

interface Setting extends StreamSetting {
  readonly database: TestDatabase;
  insert(...numbers: readonly number[]): Promise<void>;
}

async function createSetting(): Promise<Setting> {
  const database = await createTestDatabase();
  await database.pool.query('create table t (id int primary key, n text); alter table t replica identity full');
  const setting = await createStreamSetting(database, redis.url);
  return {
    ...setting,
    database,
    async insert(...numbers) {
      for (const n of numbers) await database.pool.query(`insert into t values ($1::int, 'text')`, [n]);
    },
    async [Symbol.asyncDispose]() {
      await setting[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}

test('commits arrive as the other feed tells them, in order, also where several read', async () => {
  await using setting = await createSetting();
  const host = await setting.write({ term: termOf(1) });
  const one = await setting.read();
  await until('it is fresh', () => one.feed.isFresh());
  const begun = host.told.length;
  await setting.insert(1, 2, 3);
  const other = await setting.read();
  await until('the other is fresh', () => other.feed.isFresh());
  await setting.database.pool.query(`begin; update t set n = 'x' where id < 3; delete from t where id = 3; commit`);
  await setting.database.pool.query('alter table t add column more int; insert into t values (9, null, 9)');
  await setting.database.pool.query(`insert into t select n, repeat('y', 1000) from generate_series(100, 900) n`);
  for (const { feed } of [one, other]) await untilPassed(feed, setting.database.pool);
  const expected = commitsOf(host.told.slice(begun));
  assert.ok(expected.length >= 6);
  assert.deepEqual(commitsOf(one.heard), expected);
  assert.deepEqual(commitsOf(other.heard), expected.slice(-commitsOf(other.heard).length));
  assert.equal(commitsOf(other.heard).length, expected.length - 3, 'the other has joined after three');
  assert.deepEqual([...epochsOf(one.heard), ...epochsOf(other.heard)], ['start', 'start'], 'nobody began anew');
  await until('in step', () => one.feed.isFresh() && other.feed.isFresh());
  assert.deepEqual(one.feed.published, host.feed.published);
  const { source, origin, slot, systemId, publication } = one.feed.status();
  assert.deepEqual([source, origin, slot, systemId], ['stream', 'wal', undefined, host.feed.status().systemId]);
  assert.equal(publication, 'vazao');
});

test('a host that reads opens no replication slot, and one that nobody reads writes nothing', async () => {
  await using setting = await createSetting();
  const host = await setting.write({ term: termOf(1) });
  await setting.insert(1);
  await untilPassed(host.feed, setting.database.pool);
  assert.equal(await redis.command('exists', `${setting.namespace}stream`), '0');
  const { feed } = await setting.read();
  await until('it is fresh', () => feed.isFresh());
  const { rows } = await setting.database.pool.query(`select
    (select count(*)::int from pg_replication_slots where database = current_database()) as slots,
    (select count(*)::int from pg_stat_replication r join pg_stat_activity a using (pid) where a.datname = current_database()) as senders,
    (select count(*)::int from pg_stat_activity where datname = current_database() and application_name like 'vazao feed (position)') as probes`);
  assert.deepEqual(rows, [{ slots: 1, senders: 1, probes: 1 }]);
  assert.equal(host.writer.begun, 1);
  await feed.close();
});

test('whoever waits for a position is served at once, and not by the next heartbeat', async () => {
  await using setting = await createSetting();
  await setting.write({ term: termOf(1) });
  const { feed } = await setting.read();
  await until('it is fresh', () => feed.isFresh());
  const writer = await setting.database.client();
  await writer.query('set synchronous_commit = off');
  const startedAtMs = performance.now();
  for (let n = 0; n < 20; n++) {
    // Nothing flushes it, unless something is written after it that is flushed.
    await writer.query(`insert into t values ($1, 'text')`, [n]);
    const { rows } = await writer.query(`select ${INSERTED_POSITION_SQL} as position`);
    assert.ok(await feed.waitFor(parsePosition(rows[0].position), 10_000));
  }
  assert.ok(performance.now() - startedAtMs < 20 * 100, 'less than the log writer and the heartbeats take');
});

test('a hole in the stream begins an epoch, and what comes after is whole again', async () => {
  await using setting = await createSetting();
  await using proxy = await startTcpProxy(redis.url);
  const host = await setting.write({ term: termOf(1) });
  const { feed, heard } = await setting.read({ redisUrl: proxy.through(redis.url) });
  await until('it is fresh', () => feed.isFresh());
  const length = async (): Promise<number> => Number(await redis.command('xlen', `${setting.namespace}stream`));
  const untilLonger = async (by: number): Promise<void> => {
    const before = await length();
    await until('more is written', async () => (await length()) >= before + by);
  };
  proxy.pause();
  await untilLonger(2); // what waits for the next entry has been given it, and it is on its way
  await setting.insert(1);
  await untilPassed(host.feed, setting.database.pool);
  await untilLonger(1);
  await redis.command('xtrim', `${setting.namespace}stream`, 'maxlen', '0');
  proxy.resume();
  await until('an epoch', () => epochsOf(heard).length >= 3);
  assert.deepEqual(epochsOf(heard).slice(0, 3), ['start', 'stream lost', 'stream lost'], 'the loss, and the hello');
  await until('it is fresh again', () => feed.isFresh());
  await setting.insert(2);
  await untilPassed(feed, setting.database.pool);
  assert.deepEqual(commitsOf(heard), commitsOf(host.told).slice(-1), 'what was in the hole is not told later');
});

test('a reader that is so slow that the stream is trimmed before it has read begins an epoch', async () => {
  await using setting = await createSetting();
  await using proxy = await startTcpProxy(redis.url);
  const host = await setting.write({ term: termOf(1), entriesMax: 8 });
  const { feed, heard } = await setting.read({ redisUrl: proxy.through(redis.url) });
  await until('it is fresh', () => feed.isFresh());
  proxy.pause();
  await setting.insert(...Array.from({ length: 60 }, (_, n) => n));
  await untilPassed(host.feed, setting.database.pool);
  assert.ok(Number(await redis.command('xlen', `${setting.namespace}stream`)) <= 8);
  proxy.resume();
  await until('an epoch', () => epochsOf(heard).length >= 2);
  await until('it is fresh again', () => feed.isFresh());
  await setting.insert(100);
  await untilPassed(feed, setting.database.pool);
  assert.deepEqual(commitsOf(heard).at(-1), commitsOf(host.told).at(-1));
});

test('the stream is bounded in bytes', async () => {
  await using setting = await createSetting();
  const host = await setting.write({ term: termOf(1), bytesMax: 200_000 });
  const { feed, heard } = await setting.read();
  await until('it is fresh', () => feed.isFresh());
  const fill = `insert into t select n, repeat('z', 60000) from generate_series($1::int, $1::int + 1) n`;
  for (let n = 0; n < 20; n += 2) await setting.database.pool.query(fill, [n]);
  await untilPassed(host.feed, setting.database.pool);
  await untilPassed(feed, setting.database.pool);
  assert.ok(Number(await redis.command('memory', 'usage', `${setting.namespace}stream`)) < 600_000);
  assert.equal(commitsOf(heard).length, 10);
});

test('another host leads: an epoch, and its feed is told from there', async () => {
  await using setting = await createSetting();
  const first = await setting.write({ term: termOf(1) });
  const second = await setting.write();
  const { feed, heard } = await setting.read();
  await until('it is fresh', () => feed.isFresh());
  await setting.insert(1);
  await untilPassed(feed, setting.database.pool);
  await first.close();
  second.term = termOf(2);
  await until('an epoch', () => epochsOf(heard).length > 1);
  await until('it is fresh again', () => feed.isFresh());
  await setting.insert(2);
  await untilPassed(feed, setting.database.pool);
  assert.deepEqual(commitsOf(heard).slice(-1), commitsOf(second.told).slice(-1));
});

test('a host that no longer leads can append nothing', async () => {
  await using setting = await createSetting();
  const deposed = await setting.write({ term: termOf(1) });
  const { feed, heard } = await setting.read();
  await until('it is fresh', () => feed.isFresh());
  const leader = await setting.write({ term: termOf(2) });
  // The first one still believes that it leads, and tries again and again.
  await until('the second one writes', () => leader.writer.isWriting);
  await until('the first one was refused', () => !deposed.writer.isWriting);
  await until('it is fresh again', () => feed.isFresh());
  const { begun } = deposed.writer;
  const epochs = epochsOf(heard).length;
  await until('it has tried again', () => deposed.writer.begun >= begun + 3);
  await setting.insert(1);
  await untilPassed(feed, setting.database.pool);
  assert.equal(epochsOf(heard).length, epochs, 'what it tries is not seen by anybody');
  assert.equal(leader.writer.begun, 1);
});

test('a writer that goes on from another place than the last entry is refused', async () => {
  const { stream, ...others } = streamKeysOf('{refused}');
  const connection = await openConnection({ url: redis.url, callTimeoutMs: 5_000 });
  after(() => connection.close());
  await until('a connection', () => connection.isReady);
  const keys = [others.meta, stream, others.told, others.wanted, others.newcomer];
  const tell = async (term: string, incarnation: string, first: number, ...bodies: string[]): Promise<string> => {
    const pairs = bodies.flatMap((body) => ['signature', body]);
    return String(
      ((await connection.call('tell', keys, [term, incarnation, first, 100, 60_000, ...pairs])) as [Buffer])[0],
    );
  };
  assert.equal(await tell(termOf(2), 'a', 1, 'one', 'two'), 'ok');
  assert.equal(await tell(termOf(2), 'a', 2, 'again'), 'lost');
  assert.equal(await tell(termOf(2), 'a', 4, 'too far'), 'lost');
  assert.equal(await tell(termOf(2), 'b', 3, 'of another'), 'lost');
  assert.equal(await tell(termOf(1), 'a', 3, 'of a term before'), 'fenced');
  assert.equal(await tell(termOf(1), 'c', 1, 'of a term before'), 'fenced');
  assert.equal(await tell(termOf(2), 'a', 3, 'three'), 'ok');
  assert.equal(await redis.command('xlen', stream), '3');
  await redis.flush();
  assert.equal(await tell(termOf(2), 'a', 4, 'four'), 'lost', 'Redis has forgotten');
});

for (const [what, interrupt] of [
  ['flushed', () => redis.flush()],
  ['killed, and starts empty', () => redis.restart({ empty: true })],
] as const) {
  test(`Redis is ${what}: an epoch, and it goes on by itself`, async () => {
    await using setting = await createSetting();
    const host = await setting.write({ term: termOf(1) });
    const { feed, heard } = await setting.read();
    await until('it is fresh', () => feed.isFresh());
    const { begun } = host.writer;
    await interrupt();
    await until('the writer began anew', () => host.writer.begun > begun);
    await until('an epoch', () => epochsOf(heard).length > 1);
    await until('it is fresh again', () => feed.isFresh());
    await setting.insert(1);
    await untilPassed(feed, setting.database.pool);
    assert.deepEqual(commitsOf(heard), commitsOf(host.told).slice(-1));
  });
}

test('entries with a time before those that were read, as from a Redis whose clock is behind, are read all the same', async () => {
  await using setting = await createSetting();
  const host = await setting.write({ term: termOf(1) });
  const { feed, heard } = await setting.read();
  await until('it is fresh', () => feed.isFresh());
  const { stream } = streamKeysOf(setting.namespace);
  const hour = 3_600_000;
  await redis.command('xadd', stream, `${Date.now() + hour}-0`, 'incarnation', 'a', 'number', '1');
  await until('an epoch', () => epochsOf(heard).length > 1);
  await until('it is fresh again', () => feed.isFresh());
  // It was read, and the next one stands long before it.
  await redis.command('del', stream);
  await until('it is not fresh', () => !feed.isFresh());
  await until('it is fresh again', () => feed.isFresh());
  await setting.insert(1);
  await untilPassed(feed, setting.database.pool);
  assert.deepEqual(commitsOf(heard), commitsOf(host.told).slice(-1));
});

test('while Redis is gone nothing is fresh', async () => {
  await using setting = await createSetting();
  await setting.write({ term: termOf(1) });
  const { feed } = await setting.read();
  await until('it is fresh', () => feed.isFresh());
  redis.pause();
  try {
    await until('it is not fresh', () => !feed.isFresh());
    await setting.insert(1);
    const { rows } = await setting.database.pool.query('select pg_sleep(1.2)');
    assert.equal(rows.length, 1);
    assert.equal(feed.isFresh(), false);
  } finally {
    redis.resume();
  }
  await until('it is fresh again', () => feed.isFresh());
});

test('without an answer of the database nothing is proven, whatever the stream tells', async () => {
  await using setting = await createSetting();
  const host = await setting.write({ term: termOf(1) });
  await using proxy = await startTcpProxy(setting.database.url);
  const { feed, heard } = await setting.read({ databaseUrl: proxy.through(setting.database.url) });
  await until('it is fresh', () => feed.isFresh());
  proxy.pause();
  await until('it is not fresh', () => !feed.isFresh());
  await setting.insert(1);
  await until('the commit arrives', () => commitsOf(heard).length === 1);
  const { position } = feed;
  await until('heartbeats arrive', () => feed.position > position && host.feed.isFresh());
  assert.equal(feed.isFresh(), false);
  proxy.resume();
  await until('it is fresh again', () => feed.isFresh());
  assert.equal(epochsOf(heard).length, 1);
});

test('the other host reads an outbox: fresh also while nobody writes and a transaction is open', async () => {
  await using setting = await createSetting();
  const host = await setting.write({ term: termOf(1), source: 'outbox' });
  const { feed, heard } = await setting.read();
  await until('it is fresh', () => feed.isFresh());
  assert.deepEqual([feed.status().source, feed.status().origin], ['stream', 'outbox']);
  await setting.insert(1, 2);
  await untilPassed(feed, setting.database.pool);
  assert.deepEqual(commitsOf(heard), commitsOf(host.told).slice(-commitsOf(heard).length));
  assert.ok(commitsOf(heard).length > 0);
  const writer = await setting.database.client();
  await writer.query(`begin; insert into t values (3, 'open')`);
  const freshness = heard.filter(({ name }) => name === 'freshness').length;
  await until('it goes on being fresh', () => {
    assert.ok(feed.isFresh());
    return heard.filter(({ name, args }) => name === 'freshness' && Number(args[0]) > 0).length >= freshness + 25;
  });
  await writer.query('commit');
});

test('entries that were written with another secret count as a hole', async () => {
  await using setting = await createSetting();
  await setting.write({ term: termOf(1) });
  const stranger = await setting.read({ secret: 'y'.repeat(32) });
  const { feed, heard, problems } = await setting.read();
  await until('it is fresh', () => feed.isFresh());
  await until('the stranger complains', () => stranger.problems.some(({ message }) => /VAZAO_SECRET/.test(message)));
  assert.deepEqual([stranger.feed.epoch, stranger.feed.isFresh()], [0, false]);
  assert.deepEqual(problems, []);
  const { stream } = streamKeysOf(setting.namespace);
  const body = Buffer.from('anything');
  const signature = signMessage({ incarnation: 'a', number: 1, body }, stream, STREAM_SECRET).toString('latin1');
  await redis.command(
    'xadd',
    stream,
    '*',
    'incarnation',
    'a',
    'number',
    '2',
    'signature',
    signature,
    'body',
    'anything',
  );
  await until('an epoch', () => epochsOf(heard).length > 1);
  await until('it is fresh again', () => feed.isFresh());
});
