/** Two hosts on one database and one Redis. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { PostgresLeaderLock } from '../../db/index.ts';
import { FLUSHED_POSITION_SQL, parsePosition } from '../../feed/index.ts';
import { until } from '../../testing/cached-app.ts';
import { createTestDatabase, type TestDatabase } from '../../testing/database.ts';
import { SharedHost, type SharedHostOptions } from '../../testing/shared-host.ts';
import { startRedisServer } from '../../torture/parts/redis-server.ts';
import { startTcpProxy, type TcpProxy } from '../../torture/parts/tcp-proxy.ts';

const redis = await startRedisServer();
after(() => redis.close());

const ONE = 'select id, nome from itens where id = 1';

interface Setting extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly url: string;
  readonly hosts: readonly [SharedHost, SharedHost];
  /** One host more. */
  start(other?: Partial<SharedHostOptions>): Promise<SharedHost>;
  write(text: string): Promise<void>;
  /** Waits until each host's feed has passed all that was committed, and the relay as well. */
  settled(): Promise<void>;
}

async function createSetting({
  feedProxy,
  more = '',
  ...options
}: Partial<SharedHostOptions> & { readonly feedProxy?: TcpProxy; readonly more?: string } = {}): Promise<Setting> {
  const database = await createTestDatabase();
  await database.pool.query(`
    create table itens (id int primary key, nome text not null, grupo int);
    alter table itens replica identity full;
    insert into itens select n, 'n' || n, n % 3 from generate_series(1, 9) n; ${more}`);
  feedProxy?.pointTo(database.url);
  const feedUrl = feedProxy?.through(database.url);
  // Patient: on a busy machine what takes too long would not be stored, and nobody would find it.
  const start = (other: Partial<SharedHostOptions> = {}): Promise<SharedHost> =>
    SharedHost.start({ database, redisUrl: redis.url, feedUrl, callTimeoutMs: 5_000, ...options, ...other });
  const hosts = [await start(), await start()] as const;
  const leader = (): SharedHost | undefined => hosts.find(({ relay }) => relay?.status.epoch !== undefined);
  await until('an open epoch', () => leader() !== undefined);
  await until('Redis', () => hosts.every(({ tier }) => tier?.isAvailable));
  return {
    database,
    url: database.url,
    hosts,
    start,
    write: async (text) => void (await database.pool.query(text)),
    async settled() {
      const { rows } = await database.pool.query(`select ${FLUSHED_POSITION_SQL} as position`);
      const position = parsePosition(rows[0].position);
      for (const { feed } of hosts) assert.ok(await feed.waitFor(position, 60_000), 'the feed passes');
      await until('the relay passes', () => (leader()?.relay?.status.position ?? 0n) >= position);
    },
    async [Symbol.asyncDispose]() {
      for (const host of hosts) await host[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}

const stored = (host: SharedHost, count: number): Promise<void> =>
  until(`${count} stored`, () => (host.tier?.figures().stored ?? 0) >= count);

test('what one host has computed another serves, until a change touches it', async () => {
  await using setting = await createSetting();
  const [one, other] = setting.hosts;
  assert.equal((await one.read(ONE)).from, 'computed');
  await stored(one, 1);
  assert.deepEqual(await other.read(ONE), { text: '[{"id":1,"nome":"n1"}]', from: 'second' });
  assert.equal((await other.read(ONE)).from, 'first');

  await setting.write(`update itens set nome = 'other' where id = 2`);
  await setting.settled();
  assert.equal((await other.read(ONE)).from, 'first', 'another row');
  await setting.write(`update itens set nome = 'new' where id = 1`);
  await setting.settled();
  assert.deepEqual(await other.read(ONE), { text: '[{"id":1,"nome":"new"}]', from: 'computed' });
  await stored(other, 1);
  assert.deepEqual(await one.read(ONE), { text: '[{"id":1,"nome":"new"}]', from: 'second' });
});

/** Asks two equal hosts, and one that differs, in the same epoch: the answer of the first is for the second alone. */
async function assertApart({ hosts }: Setting, different: SharedHost, expected: string): Promise<void> {
  const [one, other] = hosts;
  await until('Redis', () => different.tier?.isAvailable === true);
  const opened = (): number => [...hosts, different].reduce((sum, { relay }) => sum + (relay?.status.opened ?? 0), 0);
  const before = opened();
  const { text } = await one.read(ONE);
  await stored(one, 1);
  assert.deepEqual(await different.read(ONE), { text: expected, from: 'computed' });
  await stored(different, 1);
  assert.deepEqual(await other.read(ONE), { text, from: 'second' });
  assert.equal(opened(), before, 'it is one epoch: nothing else keeps them apart');

  // Nor does one wait for what the other computes.
  const asked = await one.tier?.get('a key', () => one.cache.coveredFrom);
  assert.equal(asked?.kind, 'miss');
  const startedAtMs = performance.now();
  assert.equal((await different.tier?.get('a key', () => different.cache.coveredFrom))?.kind, 'miss');
  assert.ok(performance.now() - startedAtMs < PATIENCE_MS / 2, 'it does not wait');
  if (asked?.kind === 'miss') one.tier?.release(asked.ticket);
}

const PATIENCE_MS = 20_000;

test('hosts with other code have answers of their own', async () => {
  await using setting = await createSetting({ waitMaxMs: PATIENCE_MS });
  await using different = await setting.start({ codeVersion: 'another' });
  await assertApart(setting, different, '[{"id":1,"nome":"n1"}]');
});

test('hosts that read another schema have answers of their own, since a statement means another there', async () => {
  const more = `create schema theirs; create table theirs.itens (like itens including all);
    alter table theirs.itens replica identity full; insert into theirs.itens values (1, 'theirs')`;
  await using setting = await createSetting({ more, waitMaxMs: PATIENCE_MS });
  const { database } = setting;
  const url = new URL(database.url);
  url.searchParams.set('options', '-c search_path=theirs');
  await using different = await setting.start({ database: { ...database, url: url.href }, feedUrl: database.url });
  assert.notEqual(different.db.schema?.hash, setting.hosts[0].db.schema?.hash);
  assert.equal(setting.hosts[1].db.schema?.hash, setting.hosts[0].db.schema?.hash);
  await assertApart(setting, different, '[{"id":1,"nome":"theirs"}]');
});

test('an answer that the relay has not told to be old is tried against what the own feed has told', async () => {
  await using proxy = await startTcpProxy(redis.url);
  await using setting = await createSetting({ relayUrl: proxy.through(redis.url) });
  const [one, other] = setting.hosts;
  await one.read(ONE);
  await stored(one, 1);
  proxy.pause();
  await setting.write(`update itens set nome = 'new' where id = 1`);
  const { feed } = other;
  const { position } = feed;
  await feed.waitFor(position + 1n, 5_000);
  await until('the feed has told', async () => (await other.read(ONE)).text.includes('new'));
  proxy.resume();
});

test('a key is computed once among the hosts', async () => {
  await using setting = await createSetting({ waitMaxMs: 3_000, callTimeoutMs: 1_000 });
  const text = `select count(*)::int as n from itens a, itens b, itens c, itens d, itens e where a.grupo = 1`;
  const answers = await Promise.all(setting.hosts.map((host) => host.read(text)));
  assert.deepEqual(answers.map(({ from }) => from).sort(), ['computed', 'second']);
});

test('a leader that goes is followed by the other host, in the same epoch', async (context) => {
  await using setting = await createSetting();
  const [one, other] = setting.hosts;
  await one.read(ONE);
  await stored(one, 1);
  const leader = one.relay?.status.role === 'leader' ? one : other;
  const follower = leader === one ? other : one;
  await until('the follower could take over', () => {
    const { coveredFrom } = follower.relay?.status ?? {};
    return coveredFrom !== undefined && coveredFrom <= (leader.relay?.status.position ?? 0n);
  });
  const { epoch, term } = leader.relay?.status ?? {};
  const begin = performance.now();
  await leader.relay?.close();
  await until('a new leader', () => follower.relay?.status.epoch !== undefined);
  context.diagnostic(`taken over after ${Math.round(performance.now() - begin)} ms`);
  assert.equal(follower.relay?.status.epoch, epoch);
  assert.ok((follower.relay?.status.term ?? '') > (term ?? ''));
  assert.equal((await other.read(ONE)).from, 'second');
});

test('a leader that hangs is ended, and another takes over', async (context) => {
  await using setting = await createSetting();
  const [one, other] = setting.hosts;
  for (const { relay } of setting.hosts) await relay?.close();
  // A process that holds the lock and does nothing more.
  await using hung = new PostgresLeaderLock({ connectionString: setting.url, name: one.namespace });
  let isEnded = false;
  const term = await hung.tryAcquire(() => {
    isEnded = true;
  });
  assert.ok(term);
  const begin = performance.now();
  const relay = await other.startRelay();
  await until('a new leader', () => relay.status.epoch !== undefined);
  context.diagnostic(`taken over after ${Math.round(performance.now() - begin)} ms, with the start of the relay`);
  await until('the hung one knows', () => isEnded);
  assert.ok((relay.status.term ?? '') > term);
});

test('a leader whose feed had a gap begins a new epoch: what it missed was never relayed', async () => {
  await using proxy = await startTcpProxy('postgres://127.0.0.1');
  await using setting = await createSetting({ feedProxy: proxy });
  const [one, other] = setting.hosts;
  await one.read(ONE);
  await stored(one, 1);
  proxy.cut();
  await until('both feeds are lost', () => setting.hosts.every(({ feed }) => !feed.isFresh()));
  await setting.write(`update itens set nome = 'new' where id = 1`);
  proxy.resume();
  await until('both feeds are back', () => setting.hosts.every(({ feed }) => feed.isFresh()));
  await setting.settled();
  for (const host of [one, other]) assert.match((await host.read(ONE)).text, /new/);
});

test('whoever leads without having seen what came between begins a new epoch', async () => {
  await using setting = await createSetting();
  const [one] = setting.hosts;
  await one.read(ONE);
  await stored(one, 1);
  for (const { relay } of setting.hosts) await relay?.close();
  await setting.write(`update itens set nome = 'new' where id = 1`);
  await using late = await setting.start();
  await until('it leads', () => late.relay?.status.epoch !== undefined);
  await until('it relays', () => (late.relay?.status.position ?? 0n) >= late.cache.coveredFrom);
  assert.match((await late.read(ONE)).text, /new/);
  assert.equal(late.relay?.status.opened, 1);
});

test('a Redis that was flushed, or starts empty, gets a new epoch', async () => {
  await using setting = await createSetting();
  const [one, other] = setting.hosts;
  await one.read(ONE);
  await stored(one, 1);
  await redis.flush();
  const leader = one.relay?.status.role === 'leader' ? one : other;
  const { opened } = leader.relay?.status ?? { opened: 0 };
  await until('a new epoch', () => (leader.relay?.status.opened ?? 0) > opened);
  await redis.restart({ empty: true });
  await until('another', () => (leader.relay?.status.opened ?? 0) > opened + 1);
  await until('Redis', () => setting.hosts.every(({ tier }) => tier?.isAvailable));
  const computed = await other.read(ONE);
  assert.equal(computed.from, 'computed');
});

test('a change of the schema begins a new epoch', async () => {
  await using setting = await createSetting();
  const [one, other] = setting.hosts;
  await one.read(ONE);
  await stored(one, 1);
  const opened = (): number => setting.hosts.reduce((sum, { relay }) => sum + (relay?.status.opened ?? 0), 0);
  const before = opened();
  await setting.write('alter table itens add column preco int');
  await until('a new epoch', () => opened() > before);
  await until('the schema is known', () => one.db.schema !== undefined && other.db.schema !== undefined);
  assert.equal((await other.read(ONE)).from, 'computed');
});

test('without Redis requests go on, and it comes back by itself', async () => {
  const callTimeoutMs = 500;
  await using setting = await createSetting({ callTimeoutMs });
  const [one, other] = setting.hosts;
  redis.pause();
  try {
    const times: number[] = [];
    for (let id = 1; id <= 9; id++) {
      const begin = performance.now();
      assert.equal((await one.read(`select nome from itens where id = ${id}`)).from, 'computed');
      times.push(performance.now() - begin);
    }
    assert.equal(one.tier?.isAvailable, false, 'the breaker has opened');
    assert.ok(Math.max(...times.slice(4)) < callTimeoutMs, `${times}`);
  } finally {
    redis.resume();
  }
  await until('Redis', () => setting.hosts.every(({ tier }) => tier?.isAvailable));
  await setting.settled();
  await one.read(ONE);
  const before = one.tier?.figures().stored ?? 0;
  await until('stored', async () => {
    await one.read(
      `select nome from itens where id = ${2 + Math.floor(Math.random() * 7)} and grupo < ${Math.random()}`,
    );
    return (one.tier?.figures().stored ?? 0) > before;
  });
  void other;
});

test('what was not written with the secret, or was changed, is a miss', async () => {
  await using setting = await createSetting({ secret: 'a secret' });
  const [one, other] = setting.hosts;
  await one.read(ONE);
  await stored(one, 1);
  const names = (await redis.command('keys', `${one.namespace}e:*`)).split('\n');
  assert.equal(names.length, 1);
  await redis.command('hset', names[0] as string, 'value', 'forged');
  assert.equal((await other.read(ONE)).from, 'computed');
});
