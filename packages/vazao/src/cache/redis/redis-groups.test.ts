/** A cluster, and a master that sentinels watch over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createTestDatabase, type TestDatabase } from '../../testing/database.ts';
import { SharedHost } from '../../testing/shared-host.ts';
import { startRedisCluster, startRedisSentinel } from '../../torture/parts/redis-groups.ts';
import { isRedisUrl, parseRedisUrl } from './redis-url.ts';

const TEXT = 'select id from itens where id = 1';

async function within(ms: number, what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await isTrue())) {
    assert.ok(performance.now() < deadline, `${what} within ${ms} ms`);
    await delay(20);
  }
}

async function createItems(): Promise<TestDatabase> {
  const database = await createTestDatabase();
  await database.pool.query(
    'create table itens (id int primary key); alter table itens replica identity full; insert into itens values (1)',
  );
  return database;
}

/** One host computes and stores, the other finds. */
async function share(one: SharedHost, other: SharedHost): Promise<void> {
  await within(60_000, 'an open epoch', () => [one, other].some(({ relay }) => relay?.status.epoch !== undefined));
  await within(60_000, 'Redis', () => [one, other].every(({ tier }) => tier?.isAvailable));
  await within(60_000, 'an answer of the other host', async () => {
    for (const host of [one, other]) host.cache.purge(TEXT);
    await one.read(TEXT);
    await delay(50);
    return (await other.read(TEXT)).from === 'second';
  });
}

test('a cluster of three masters', async () => {
  await using cluster = await startRedisCluster();
  await using database = await createItems();
  const redisUrl = `redis-cluster://${cluster.servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  await using one = await SharedHost.start({ database, redisUrl, callTimeoutMs: 500 });
  await using other = await SharedHost.start({ database, redisUrl, callTimeoutMs: 500 });
  await share(one, other);
});

test('a master that fails is followed by its replica', async () => {
  await using group = await startRedisSentinel();
  await using database = await createItems();
  const redisUrl = `redis-sentinel://127.0.0.1:${group.sentinel.port}/${group.masterName}`;
  await using one = await SharedHost.start({ database, redisUrl, callTimeoutMs: 500 });
  await using other = await SharedHost.start({ database, redisUrl, callTimeoutMs: 500 });
  await share(one, other);
  await group.master.kill();
  assert.equal(JSON.parse((await one.read('select count(*)::int as n from itens')).text)[0].n, 1);
  await within(60_000, 'the failover', async () => (await group.findMasterPort()) === group.replica.port);
  await share(one, other);
});

test('addresses', () => {
  assert.deepEqual(parseRedisUrl('redis://user:p%40ss@cache:6380/2'), {
    kind: 'redis',
    username: 'user',
    password: 'p@ss',
    hosts: [{ host: 'cache', port: 6380 }],
    path: '2',
  });
  assert.deepEqual(parseRedisUrl('redis-sentinel://:pass@a,b:26380/main')?.hosts, [
    { host: 'a', port: 26379 },
    { host: 'b', port: 26380 },
  ]);
  for (const url of ['redis://[::1]:6379', 'rediss://h', 'redis-cluster://a:1,b:2']) assert.ok(isRedisUrl(url), url);
  for (const url of [
    'http://h',
    'redis://a,b',
    'redis://h/x',
    'redis-sentinel://a:1',
    'redis-cluster://a/1',
    'redis://:%@h',
    '',
  ])
    assert.ok(!isRedisUrl(url), url);
});
