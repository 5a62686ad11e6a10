import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseInfo } from '../../cache/redis/probe.ts';
import { startRedisServer } from '../../torture/parts/redis-server.ts';
import { checkRedis } from './redis.ts';

test('Redis is found, and what would be better is said, with the command', async () => {
  assert.deepEqual(await checkRedis(undefined, {}), []);
  await using redis = await startRedisServer();
  const check = async (): Promise<string> => {
    const [found] = await checkRedis(undefined, { redisUrl: redis.url });
    return `${found?.level}: ${found?.detail} ${found?.remedy.join('; ')}`;
  };
  assert.match(
    await check(),
    /^advice: (Redis|Valkey) [7-9]\.\S+ is reachable, and has no bound on its memory.*maxmemory-policy/,
  );
  await redis.command('config', 'set', 'maxmemory', '100mb');
  assert.match(await check(), /^advice: .*noeviction.*CONFIG SET maxmemory-policy allkeys-lru/);
  await redis.command('config', 'set', 'maxmemory-policy', 'allkeys-lru');
  assert.match(await check(), /^ok: .*forgets by allkeys-lru/);
  await redis.command('replicaof', '127.0.0.1', '1');
  assert.match(await check(), /^advice: .*is a replica/);
  await redis.kill();
  assert.match(await check(), /^advice: Redis can't be reached, so each process keeps to itself: .*REDIS_URL/);
});

test('Valkey is told apart, and counted by the version of the commands that it speaks', () => {
  const info = 'redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\nrole:master\r\nmaxmemory:0\r\n';
  const { product, version, majorVersion } = parseInfo(info);
  assert.deepEqual({ product, version, majorVersion }, { product: 'Valkey', version: '8.1.0', majorVersion: 7 });
  assert.equal(parseInfo('redis_version:6.2.6').majorVersion, 6);
});
