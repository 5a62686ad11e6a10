/** What every store of sessions must do, on a real PostgreSQL and a real Redis. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { until } from '../../../testing/cached-app.ts';
import { createTestDatabase, type TestDatabase } from '../../../testing/database.ts';
import { type RedisServer, startRedisServer } from '../../../testing/redis.ts';
import { createSecurityTables } from '../tables.ts';
import { CLEAN_BATCH_MAX, createPostgresSessionStore } from './postgres-store.ts';
import { createRedisSessionStore } from './redis-store.ts';
import { LISTED_MAX, type SessionLifetimes, type SessionStore } from './store.ts';

const LONG: SessionLifetimes = { idleS: 600, absoluteS: 3_600 };
const hashes = (count: number): Buffer[] => Array.from({ length: count }, () => randomBytes(32));
const ana = { user: { id: 'ana', papel: 'admin' }, data: { cesta: [1, 2] } };

function holdsTheContract(create: (lifetimes: SessionLifetimes) => Promise<SessionStore>): void {
  test('a session is found as it was written, with its end', async () => {
    const store = await create(LONG);
    const [hash, other] = hashes(2) as [Buffer, Buffer];
    const begun = Date.now();
    await store.replace(undefined, hash, ana);
    const found = await store.find(hash);
    assert.deepEqual({ user: found?.user, data: found?.data }, ana);
    assert.ok(Math.abs(Number(found?.endsAt) - begun - 600_000) < 60_000);
    assert.equal(await store.find(other), undefined);
    assert.equal(await store.write(hash, { nota: 'é \u0000 \ud800' }), true);
    assert.deepEqual((await store.find(hash))?.user, ana.user);
    assert.deepEqual((await store.find(hash))?.data, { nota: 'é \u0000 \ud800' });
    assert.equal(await store.write(other, {}), false);
    await store.close();
  });

  test('a session that takes the place of another ends it, and one that was removed stays so', async () => {
    const store = await create(LONG);
    const [before, hash] = hashes(2) as [Buffer, Buffer];
    await store.replace(undefined, before, { user: undefined, data: { cesta: [3] } });
    assert.equal((await store.find(before))?.user, undefined);
    await store.replace(before, hash, ana);
    assert.equal(await store.find(before), undefined);
    await store.remove(hash);
    assert.equal(await store.find(hash), undefined);
    assert.equal(await store.write(hash, {}), false);
    await store.remove(hash);
    await store.close();
  });

  test("all sessions of a user end together, and nobody else's", async () => {
    const store = await create(LONG);
    const [one, two, other, nobody] = hashes(4) as [Buffer, Buffer, Buffer, Buffer];
    const bia = { user: { id: 'bia' }, data: {} };
    for (const hash of [one, two]) await store.replace(undefined, hash, bia);
    await store.replace(undefined, other, { user: { id: 'bia2' }, data: {} });
    await store.replace(undefined, nobody, { user: undefined, data: {} });
    await store.removeAll('bia');
    await store.removeAll('nobody has this id');
    for (const hash of [one, two]) assert.equal(await store.find(hash), undefined);
    for (const hash of [other, nobody]) assert.ok(await store.find(hash));
    await store.close();
  });

  test("the sessions of a user are listed, the newest first, and nobody else's", async () => {
    const store = await create(LONG);
    const user = { id: `caio ${randomBytes(4).toString('hex')}` };
    const [first, second, gone, other] = hashes(4) as [Buffer, Buffer, Buffer, Buffer];
    const begun = Date.now();
    await store.replace(undefined, first, { user, data: { aparelho: 'casa' } });
    await delay(5); // two of one moment have no order
    await store.replace(undefined, second, { user, data: {} });
    await store.replace(undefined, gone, { user, data: {} });
    await store.replace(undefined, other, ana);
    await store.remove(gone);
    const listed = await store.list(user.id);
    assert.deepEqual(
      listed.map(({ handle, data }) => ({ handle, data })),
      [
        { handle: second.toString('base64url'), data: {} },
        { handle: first.toString('base64url'), data: { aparelho: 'casa' } },
      ],
    );
    for (const { startedAt, seenAt, endsAt } of listed) {
      assert.ok(Math.abs(startedAt - begun) < 60_000 && Math.abs(seenAt - begun) < 60_000);
      assert.ok(Math.abs(endsAt - begun - 600_000) < 60_000);
    }
    assert.deepEqual(await store.list('nobody has this id'), []);
    for (const hash of hashes(LISTED_MAX)) await store.replace(undefined, hash, { user, data: {} });
    assert.equal((await store.list(user.id)).length, LISTED_MAX);
    await store.close();
  });

  test('an idle session ends, and one that is used goes on until its time is over', async () => {
    const store = await create({ idleS: 1, absoluteS: 2.5 });
    const [idle, used] = hashes(2) as [Buffer, Buffer];
    const begun = performance.now();
    for (const hash of [idle, used]) await store.replace(undefined, hash, ana);
    let usedAt = performance.now();
    let pauseMs = 0;
    await until('the session ends', async () => {
      const found = await store.find(used);
      pauseMs = Math.max(pauseMs, performance.now() - usedAt);
      usedAt = performance.now();
      if (found) await delay(50);
      return !found;
    });
    assert.equal(await store.find(idle), undefined);
    // Where the machine stood still for so long that nobody used it, it was idle, too.
    if (pauseMs < 800) assert.ok(usedAt - begun > 2_000, `${usedAt - begun} ms`);
    await store.close();
  });
}

describe('sessions in PostgreSQL', () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase();
    await createSecurityTables(database.pool);
  });
  after(() => database?.[Symbol.asyncDispose]());

  holdsTheContract(async (lifetimes) => createPostgresSessionStore({ db: database.pool, ...lifetimes }));

  test("the table is unlogged, lies where no publication of ours looks, and holds neither ids nor hashes of users' secrets", async () => {
    const { rows } = await database.pool.query(
      "select relpersistence from pg_class where oid = 'vazao.sessions'::regclass",
    );
    assert.equal(rows[0].relpersistence, 'u');
    const { FIND_TABLES_SQL } = await import('../../../feed/sql/find-tables.ts');
    assert.deepEqual((await database.pool.query(FIND_TABLES_SQL, ['vazao'])).rows, []);
  });

  test('the idle time is moved on in steps, and never past the absolute end', async () => {
    const store = createPostgresSessionStore({ db: database.pool, ...LONG });
    const [hash] = hashes(1) as [Buffer];
    await store.replace(undefined, hash, ana);
    const seen = async (): Promise<number> => {
      const { rows } = await database.pool.query('select seen_at from vazao.sessions where id_hash = $1', [hash]);
      return rows[0].seen_at.getTime();
    };
    const age = (seconds: number): Promise<unknown> =>
      database.pool.query(
        `update vazao.sessions set seen_at = seen_at - make_interval(secs => $2),
           created_at = created_at - make_interval(secs => $2) where id_hash = $1`,
        [hash, seconds],
      );
    await age(30);
    const before = await seen();
    await store.find(hash);
    assert.equal(await seen(), before, 'a look-up within a tenth of the idle time writes nothing');
    await age(500);
    assert.ok(await store.find(hash));
    assert.ok((await seen()) > before);
    for (let n = 0; n < 5; n++) {
      await age(550);
      const found = await store.find(hash);
      assert.ok(found === undefined || found.endsAt <= Date.now() + 601_000);
    }
    await age(550);
    assert.equal(await store.find(hash), undefined, 'an hour is over');
    await store.close();
  });

  test('ended sessions are removed in bounded batches, by several at once', async () => {
    const store = createPostgresSessionStore({ db: database.pool, ...LONG });
    await database.pool.query('truncate vazao.sessions');
    await database.pool.query(
      `insert into vazao.sessions (id_hash, data, seen_at) select decode(md5(n::text), 'hex'), '{}', now() - interval '1 h'
       from generate_series(1, $1) n`,
      [CLEAN_BATCH_MAX * 2 + 1],
    );
    const [alive] = hashes(1) as [Buffer];
    await store.replace(undefined, alive, ana);
    let removed = 0;
    for (let n = 0; n < 4; n++) {
      const counts = await Promise.all([store.clean(), store.clean()]);
      for (const count of counts) assert.ok(count <= CLEAN_BATCH_MAX);
      removed += counts[0] + counts[1];
    }
    assert.equal(removed, CLEAN_BATCH_MAX * 2 + 1);
    assert.ok(await store.find(alive));
    await store.close();
  });
});

describe('sessions in Redis', () => {
  let server: RedisServer;
  let client: Redis;
  before(async () => {
    server = await startRedisServer();
    client = new Redis({ port: server.port, enableOfflineQueue: false, lazyConnect: true });
    client.on('error', () => {});
    await client.connect();
  });
  after(async () => {
    client?.disconnect();
    await server?.close();
  });

  holdsTheContract((lifetimes) => createRedisSessionStore({ client, ...lifetimes }));

  test('nothing is left without an end', async () => {
    // −1: it has no end; −2: it has ended since.
    for (const key of await client.keys('*')) assert.notEqual(await client.pttl(key), -1, key);
  });

  test('a Redis that evicts is refused', async () => {
    await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await assert.rejects(createRedisSessionStore({ client, ...LONG }), {
      code: 'ERR_SECURITY_OPTIONS',
      message: /allkeys-lru.*noeviction/,
    });
    await client.config('SET', 'maxmemory-policy', 'noeviction');
  });
});
