import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { untilTold } from './bounded.ts';
import { startRedisCluster, startRedisSentinel } from './redis-groups.ts';
import { startRedisServer } from './redis-server.ts';

const BOUND_MS = 60_000;

test('a Redis is empty after a crash, or as it was saved, on the same port', async () => {
  await using redis = await startRedisServer();
  const { port, pid = 0 } = redis;
  await redis.command('set', 'a', 'saved');
  await redis.save();
  await redis.command('set', 'a', 'newer');
  await redis.restart({ empty: false });
  assert.equal(await redis.command('get', 'a'), 'saved');
  assert.notEqual(redis.pid, pid);
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  await redis.restart({ empty: true });
  assert.equal(await redis.command('get', 'a'), '');
  assert.equal(redis.port, port);
  await redis.command('set', 'b', '1');
  await redis.flush();
  assert.equal(await redis.command('dbsize'), '0');
  await redis.stop();
  assert.equal(redis.isRunning, false);
  await assert.rejects(redis.command('ping'), { code: 'ERR_PART_PROGRAM', message: /refused/ });
});

test('a paused Redis answers when it goes on', async () => {
  await using redis = await startRedisServer();
  redis.pause();
  let answered = false;
  const answer = redis.command('ping').finally(() => {
    answered = true;
  });
  await assert.rejects(
    untilTold('an answer', () => answered, 100),
    { code: 'ERR_PART_TIMEOUT' },
  );
  redis.resume();
  assert.equal(await answer, 'PONG');
});

test('a full Redis refuses or evicts, and a password is asked for', async () => {
  await using full = await startRedisServer({ memoryMaxBytes: 2 * 1024 ** 2, password: 'secret1' });
  assert.match(full.url, /^redis:\/\/:secret1@127\.0\.0\.1:\d+$/);
  await fill(full); // a script that has begun with room may write on
  await assert.rejects(fill(full), { code: 'ERR_PART_PROGRAM', message: /OOM command not allowed/ });
  await full.command('config', 'set', 'maxmemory-policy', 'allkeys-lru');
  await fill(full);
  assert.match(await full.command('info', 'stats'), /evicted_keys:[1-9]/);
  await assert.rejects(startRedisServer({ password: 'a b' }), { code: 'ERR_PART_OPTION' });
  await assert.rejects(startRedisServer({ settings: ['no-such-setting 1'] }), {
    code: 'ERR_PART_START',
    message: /Bad directive/,
  });
});

async function fill(redis: { command(...words: string[]): Promise<string> }): Promise<void> {
  await redis.command('set', 'first', '1');
  const script = `for n = 1, 4000 do redis.call('set', 'k' .. n, string.rep('x', 1000)) end`;
  await redis.command('eval', script, '0');
}

test('a cluster of three shares the slots', async () => {
  await using cluster = await startRedisCluster();
  const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
  const [first] = cluster.servers;
  assert.ok(first);
  const owners = await Promise.all(
    keys.map(async (key) => {
      await first.command('-c', 'set', key, key);
      const sizes = await Promise.all(cluster.servers.map((server) => server.command('get', key).catch(() => 'MOVED')));
      assert.equal(sizes.filter((answer) => answer === key).length, 1, key);
      return sizes.indexOf(key);
    }),
  );
  assert.deepEqual([...new Set(owners)].sort(), [0, 1, 2]);
});

test('a sentinel makes the replica the master when the master is gone', async (context) => {
  await using group = await startRedisSentinel();
  assert.equal(await group.findMasterPort(), group.master.port);
  await group.master.command('set', 'a', '1');
  // WAIT would count what its own connection has written: nothing.
  await untilTold('it is replicated', async () => (await group.replica.command('get', 'a')) === '1', BOUND_MS);
  await group.master.kill();
  // Else the port may become that of another Redis, of another test: the replica would follow it, and be as empty.
  const nobody = createServer((socket) => socket.destroy()).listen(group.master.port, '127.0.0.1');
  context.after(() => nobody.close());
  await untilTold(
    'the replica is the master',
    async () => (await group.findMasterPort()) === group.replica.port,
    BOUND_MS,
  );
  await untilTold('it takes writes', () => group.replica.command('set', 'b', '2').catch(() => false), BOUND_MS);
  assert.equal(await group.replica.command('get', 'a'), '1');
});
