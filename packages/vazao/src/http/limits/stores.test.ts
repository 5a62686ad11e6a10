/** Where counts are kept: one contract for all, and what happens when a store is gone. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { createTestDatabase } from '../../testing/database.ts';
import { startRedisServer } from '../../testing/redis.ts';
import { startTcpProxy } from '../../testing/tcp-proxy.ts';
import { Fence } from './fence.ts';
import { attachCounter, createChannelStore, createPostgresStore, createRedisStore, InsuredStore } from './index.ts';
import { MemoryStore } from './memory-store.ts';
import type { RatePolicy, RateStore } from './rate-store.ts';
import { WindowCounter } from './window-counter.ts';

/** Two processes that count together. */
type Pair = readonly [RateStore, RateStore];

/** As the channel between two processes: by value, and later. */
function createPeers(): [End, End] {
  const ends: [End, End] = [new End(), new End()];
  for (const [index, end] of ends.entries()) {
    end.send = (message) => {
      const copy = structuredClone(message);
      setImmediate(() => ends[1 - index]?.emit('message', copy));
    };
  }
  return ends;
}

class End extends EventEmitter {
  readonly connected = true;
  send(_message: object): void {}
}

const stores: Readonly<Record<string, (acquired: AsyncDisposableStack) => Promise<Pair>>> = {
  async memory() {
    const store = new MemoryStore();
    return [store, store];
  },
  async 'the supervisor'() {
    const counter = new MemoryStore();
    const connect = (): RateStore => {
      const [worker, supervisor] = createPeers();
      attachCounter(counter, supervisor);
      return createChannelStore(worker);
    };
    return [connect(), connect()];
  },
  async PostgreSQL(acquired) {
    const database = acquired.use(await createTestDatabase());
    const connect = async (): Promise<RateStore> => {
      const store = await createPostgresStore(new pg.Pool({ connectionString: database.url, max: 2 }));
      acquired.defer(() => store.close?.());
      return store;
    };
    const pair = await Promise.all([connect(), connect()]);
    const { rows } = await database.pool.query(
      `select relpersistence from pg_class where relname = 'vazao_rate_limits'`,
    );
    assert.deepEqual(rows, [{ relpersistence: 'u' }], 'unlogged');
    return pair;
  },
  async Redis(acquired) {
    const server = acquired.use(await startRedisServer());
    const connect = async (): Promise<RateStore> => {
      const client = new Redis(server.url);
      acquired.defer(() => client.disconnect());
      await new Promise((resolve) => client.once('ready', resolve));
      return createRedisStore(client);
    };
    return [await connect(), await connect()];
  },
};

for (const [name, create] of Object.entries(stores)) {
  test(`${name}: two processes count together, each key and policy for itself, in windows`, async () => {
    await using acquired = new AsyncDisposableStack();
    const [one, other] = await create(acquired);
    const policy: RatePolicy = { name: 'test', requests: 3, windowMs: 60_000 };
    const consumed = async (store: RateStore, key: string, points = 1, of = policy): Promise<number> =>
      (await store.consume(of, key, points)).consumed;
    assert.equal(await consumed(one, 'a'), 1);
    assert.equal(await consumed(other, 'a'), 2);
    assert.equal(await consumed(one, 'a'), 3);
    assert.ok((await consumed(other, 'a')) > 3);
    assert.ok((await consumed(one, 'a')) > 3, 'also where it is refused from memory');
    assert.equal(await consumed(one, 'b', 2), 2);
    assert.equal(await consumed(one, 'a', 1, { ...policy, name: 'other' }), 1);
    const { resetMs } = await one.consume(policy, 'b', 1);
    assert.ok(resetMs > 0 && resetMs <= 60_000, `${resetMs}`);
    const short = { name: 'short', requests: 1, windowMs: 1_000 };
    assert.equal(await consumed(one, 'c', 1, short), 1);
    // The window ends by the clock of the store.
    const deadline = Date.now() + 60_000;
    while ((await consumed(other, 'c', 1, short)) !== 1) {
      assert.ok(Date.now() < deadline, 'a new window');
      await delay(200);
    }
  });
}

test('PostgreSQL: of processes that start at the same moment one makes the table', async () => {
  await using database = await createTestDatabase();
  for (let round = 0; round < 10; round++) {
    await database.pool.query('drop table if exists vazao_rate_limits');
    const pools = Array.from({ length: 6 }, () => new pg.Pool({ connectionString: database.url, max: 1 }));
    await Promise.all(pools.map((pool) => pool.query('select 1')));
    const made = await Promise.allSettled(pools.map(createPostgresStore));
    await Promise.all(pools.map((pool) => pool.end()));
    assert.deepEqual(
      made.flatMap((one) => (one.status === 'rejected' ? [one.reason.code] : [])),
      [],
    );
  }
});

test('keys are bounded: the one that was not counted for the longest is forgotten', () => {
  const counter = new WindowCounter(1_000, 2, () => 0);
  counter.consume('a', 1);
  counter.consume('b', 1);
  counter.consume('a', 1);
  counter.consume('c', 1);
  assert.equal(counter.consume('a', 1).consumed, 3);
  assert.equal(counter.consume('b', 1).consumed, 1);
});

test('a store that does not answer holds nobody up: each process allows its part, and asks again later', async () => {
  let calls = 0;
  let isBack = false;
  const hanging: RateStore = {
    consume: () => {
      calls++;
      return isBack ? Promise.resolve({ consumed: 1, resetMs: 1_000 }) : new Promise(() => {});
    },
  };
  const store = new InsuredStore(hanging, { deadlineMs: 20, failuresMax: 2, pauseMs: 200, processes: () => 4 });
  const policy = { name: 'test', requests: 8, windowMs: 60_000 };
  const consume = async (): Promise<number> => (await store.consume(policy, 'a', 1)).consumed;
  assert.deepEqual([await consume(), await consume()], [4, 8], 'what all four together may have counted');
  assert.equal(calls, 2);
  assert.deepEqual([await consume(), await consume()], [12, 16]);
  assert.equal(calls, 2, 'after two failures it is left alone');
  assert.equal(store.isAvailable, false);
  isBack = true;
  const deadline = Date.now() + 60_000;
  while ((await consume()) !== 1) {
    assert.ok(Date.now() < deadline, 'it is asked again');
    await delay(20);
  }
  assert.equal(store.isAvailable, true);
});

test('a real Redis that dies costs a request no error and no wait', async () => {
  const server = await startRedisServer();
  const client = new Redis(server.url, { enableOfflineQueue: false, maxRetriesPerRequest: 0 });
  client.on('error', () => {});
  await new Promise((resolve) => client.once('ready', resolve));
  const store = new InsuredStore(await createRedisStore(client), {
    deadlineMs: 50,
    failuresMax: 3,
    pauseMs: 1_000,
    processes: () => 1,
  });
  const policy = { name: 'test', requests: 10, windowMs: 60_000 };
  assert.equal((await store.consume(policy, 'a', 1)).consumed, 1);
  await server[Symbol.asyncDispose]();
  assert.equal((await store.consume(policy, 'a', 1)).consumed, 2, 'this process had counted, too');
  assert.equal((await store.consume(policy, 'a', 1)).consumed, 3);
  client.disconnect();
});

test('a real PostgreSQL that stalls, and one that is cut off, cost a request no error and no wait, and are used again', async () => {
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy(database.url);
  await using acquired = new AsyncDisposableStack();
  const pool = new pg.Pool({
    connectionString: proxy.through(database.url),
    max: 2,
    connectionTimeoutMillis: 1_000,
    query_timeout: 1_000,
  });
  pool.on('error', () => {});
  acquired.defer(() => pool.end());
  const shared = await createPostgresStore(pool);
  const store = new InsuredStore(shared, { deadlineMs: 50, failuresMax: 3, pauseMs: 200, processes: () => 2 });
  let name = '';
  const count = async (): Promise<number> =>
    (await store.consume({ name, requests: 1_000, windowMs: 60_000 }, 'a', 1)).consumed;
  const isCounting = async (): Promise<void> => {
    const deadline = Date.now() + 60_000;
    do {
      assert.ok(Date.now() < deadline, 'the store counts');
      await delay(20);
      await count();
    } while (!store.isAvailable);
  };
  for (const fail of ['pause', 'cut'] as const) {
    name = fail;
    await isCounting();
    proxy[fail]();
    // Nobody hears of it, and the limit holds all the same, by this process's part.
    const counts: number[] = [];
    for (let asked = 0; asked < 20; asked++) counts.push(await count());
    assert.equal(store.isAvailable, false, fail);
    assert.ok(
      counts.every((one, at) => at === 0 || one > (counts[at - 1] ?? 0)),
      `${fail}: ${counts}`,
    );
    proxy.resume();
    await isCounting();
  }
});

test('fences of several processes hear of each other', async () => {
  const store = new MemoryStore();
  const policy = { name: 'address', requests: 10, windowMs: 60_000 };
  const fences = [new Fence(policy, store, 60_000), new Fence(policy, store, 60_000)] as const;
  const pass = (which: 0 | 1, times: number): number =>
    Array.from({ length: times }, () => fences[which].pass('a')).filter((waitMs) => waitMs === 0).length;
  assert.equal(pass(0, 6), 6);
  await fences[0].tell();
  assert.equal(pass(1, 3), 3);
  await fences[1].tell();
  assert.equal(pass(1, 3), 1, 'nine were counted');
  assert.ok(fences[1].pass('a') > 0 && fences[1].pass('b') === 0);
  await fences[1].tell();
  assert.equal(pass(0, 5), 4, 'it has not heard since');
  await fences[0].tell();
  assert.equal(pass(0, 1), 0);
  for (const fence of fences) fence.close();
});
