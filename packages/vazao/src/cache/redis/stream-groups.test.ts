/** The stream in a cluster, and in a master that sentinels watch over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { untilPassed } from '../../feed/recorder.ts';
import { until } from '../../testing/cached-app.ts';
import { createTestDatabase } from '../../testing/database.ts';
import { commitsOf, createStreamSetting, epochsOf, termOf } from '../../testing/streamed-host.ts';
import { startRedisCluster, startRedisSentinel } from '../../torture/parts/redis-groups.ts';

const CREATE = 'create table t (n int); alter table t replica identity full';

test('a cluster of three masters', async () => {
  await using cluster = await startRedisCluster();
  await using database = await createTestDatabase();
  await database.pool.query(CREATE);
  const redisUrl = `redis-cluster://${cluster.servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  await using setting = await createStreamSetting(database, redisUrl);
  const host = await setting.write({ term: termOf(1) });
  const { feed, heard } = await setting.read();
  await until('it is fresh', () => feed.isFresh());
  await database.pool.query('insert into t values (1)');
  await untilPassed(feed, database.pool);
  assert.deepEqual(commitsOf(heard), commitsOf(host.told).slice(-1));
});

test('a master that fails is followed by its replica: an epoch', async () => {
  await using group = await startRedisSentinel();
  await using database = await createTestDatabase();
  await database.pool.query(CREATE);
  await using setting = await createStreamSetting(
    database,
    `redis-sentinel://127.0.0.1:${group.sentinel.port}/${group.masterName}`,
  );
  const host = await setting.write({ term: termOf(1) });
  const { feed, heard } = await setting.read();
  await until('it is fresh', () => feed.isFresh());
  await group.master.kill();
  await until('it is not fresh', () => !feed.isFresh());
  await until('the failover', async () => (await group.findMasterPort()) === group.replica.port);
  await until('it is fresh again', () => feed.isFresh());
  assert.ok(epochsOf(heard).length > 1);
  await database.pool.query('insert into t values (1)');
  await untilPassed(feed, database.pool);
  assert.deepEqual(commitsOf(heard), commitsOf(host.told).slice(-1));
});
