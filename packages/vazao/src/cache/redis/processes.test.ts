/** Hosts in processes of their own, which are killed while they compute, and while they lead. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../testing/cached-app.ts';
import { createTestDatabase, type TestDatabase } from '../../testing/database.ts';
import { SharedHost } from '../../testing/shared-host.ts';
import { HostProcess } from '../../testing/shared-host-process.ts';
import { startRedisServer } from '../../torture/parts/redis-server.ts';
import { parsePosition } from './functions.ts';
import { LEASE_MS_DEFAULT, WAIT_MAX_MS_DEFAULT } from './options.ts';

const redis = await startRedisServer();
after(() => redis.close());

const ONE = 'select id, nome from itens where id = 1';
/** Far beyond what any of it takes: whoever waits so long does not wait for the bound. */
const WAIT_MAX_MS = 60_000;
const LEASE_MS = 1_000;

async function createDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase();
  await database.pool.query(`
    create table itens (id int primary key, nome text not null);
    alter table itens replica identity full;
    insert into itens values (1, 'n1');`);
  return database;
}

/** Until it is released, reads of the table take for ever. */
async function lockTable(database: TestDatabase): Promise<AsyncDisposable & { release(): Promise<void> }> {
  const client = await database.client();
  await client.query('begin; lock table itens in access exclusive mode');
  const release = async (): Promise<void> => void (await client.query('rollback'));
  return { release, [Symbol.asyncDispose]: release };
}

async function countComputing(database: TestDatabase): Promise<number> {
  const { rows } = await database.pool.query(
    `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return rows[0].n;
}

const patient = { callTimeoutMs: 2_000, waitMaxMs: WAIT_MAX_MS, leaseMs: LEASE_MS };

test('a computation that takes several leases is done once among processes', async () => {
  await using database = await createDatabase();
  const options = { redisUrl: redis.url, ...patient };
  await using here = await SharedHost.start({ ...options, database });
  await using there = await HostProcess.start({ ...options, databaseUrl: database.url });
  await until('a leader', () => there.isLeading || here.relay?.status.epoch !== undefined);
  await using lock = await lockTable(database);
  there.ask(ONE);
  await until('it computes', async () => (await countComputing(database)) === 1);
  const asked = here.read(ONE);
  const end = performance.now() + 3 * LEASE_MS;
  while (performance.now() < end) {
    assert.equal(await countComputing(database), 1, 'one computes');
    await delay(50);
  }
  await lock.release();
  assert.deepEqual(await asked, { text: '[{"id":1,"nome":"n1"}]', from: 'second' });
  await until('there', () => there.answers.length === 1);
  assert.equal(there.answers[0]?.from, 'computed');
});

test('a process that is killed while it computes hands over when its lease ends', async () => {
  await using database = await createDatabase();
  const options = { redisUrl: redis.url, ...patient };
  await using here = await SharedHost.start({ ...options, database });
  await using there = await HostProcess.start({ ...options, databaseUrl: database.url });
  await until('a leader', () => there.isLeading || here.relay?.status.epoch !== undefined);
  await using lock = await lockTable(database);
  there.ask(ONE);
  await until('it computes', async () => (await countComputing(database)) === 1);
  const begin = performance.now();
  const asked = here.read(ONE);
  await there.kill();
  // Its statement goes on in PostgreSQL, which does not notice; ours comes beside it.
  await until('we compute', async () => (await countComputing(database)) === 2);
  assert.ok(performance.now() - begin < WAIT_MAX_MS / 2);
  await lock.release();
  assert.deepEqual(await asked, { text: '[{"id":1,"nome":"n1"}]', from: 'computed' });
});

test('by default a process waits for a second of computing, and once more where the first one dies', () => {
  assert.ok(WAIT_MAX_MS_DEFAULT > 1_000 + LEASE_MS_DEFAULT);
});

test('a host that is killed while it relays is followed by another, in the same epoch', async (context) => {
  await using database = await createDatabase();
  const options = { redisUrl: redis.url, ...patient };
  await using there = await HostProcess.start({ ...options, databaseUrl: database.url });
  await until('it leads', () => there.isLeading);
  await using here = await SharedHost.start({ ...options, database });
  const epoch = async (): Promise<string> => redis.command('hget', `${here.namespace}meta`, 'epoch');
  const before = await epoch();
  await until('we could go on from where it has relayed to', async () => {
    const { coveredFrom } = here.relay?.status ?? {};
    const relayed = parsePosition(await redis.command('hget', `${here.namespace}meta`, 'position'));
    return coveredFrom !== undefined && relayed !== undefined && coveredFrom <= relayed;
  });
  const begin = performance.now();
  await there.kill();
  await until('we lead', () => here.relay?.status.epoch !== undefined);
  context.diagnostic(`taken over after ${Math.round(performance.now() - begin)} ms`);
  assert.equal(await epoch(), before);
  await database.pool.query(`update itens set nome = 'new' where id = 1`);
  const { position } = here.feed;
  await until('and relay', () => (here.relay?.status.position ?? 0n) > position);
});
