/** Faults of the second tier. None of them may cost a request. */
import { setTimeout as delay } from 'node:timers/promises';
import type { FaultKind, FaultWorld } from './fault.ts';
import type { RedisServer } from './parts/redis-server.ts';
import type { Random } from './random.ts';
import type { Stage } from './stage.ts';

const needsRedis = ({ stage }: FaultWorld): string | undefined =>
  stage.knows('REDIS_URL') ? undefined : 'no second tier in Redis (REDIS_URL)';

export const REDIS_FAULTS: readonly FaultKind[] = [
  redisFault('redis-killed', async ({ redis }, random) => {
    await redis.kill();
    await delay(random.between(200, 1_500));
    await redis.restart({ empty: true });
  }),
  redisFault('redis-frozen', async ({ redis }, random) => {
    redis.pause();
    await delay(random.between(200, 2_000));
    redis.resume();
  }),
  redisFault('redis-flushed', async ({ redis }) => {
    await redis.flush();
  }),
  redisFault('redis-read-only', async ({ redis }, random) => {
    // A replica of a server that is not there: it keeps what it has, and refuses every write.
    await redis.command('replicaof', '127.0.0.1', '1');
    await delay(random.between(200, 1_500));
    await redis.command('replicaof', 'no', 'one');
  }),
  redisFault('redis-evicting', async ({ redis }, random) => {
    // Any key may go: answers, tags, and what says how far the relay is.
    const [before, used] = await Promise.all([readMemoryLimit(redis), readMemoryUsed(redis)]);
    await redis.command('config', 'set', 'maxmemory-policy', 'allkeys-random');
    await redis.command('config', 'set', 'maxmemory', String(Math.round(used * random.between(0.9, 0.99))));
    await delay(random.between(100, 800));
    await redis.command('config', 'set', 'maxmemory', before);
    await redis.command('config', 'set', 'maxmemory-policy', 'allkeys-lru');
  }),
  redisFault('redis-full', async ({ redis }, random) => {
    const before = await readMemoryLimit(redis);
    await redis.command('config', 'set', 'maxmemory-policy', 'noeviction');
    await redis.command('config', 'set', 'maxmemory', '1mb');
    await delay(random.between(200, 1_500));
    await redis.command('config', 'set', 'maxmemory', before);
    await redis.command('config', 'set', 'maxmemory-policy', 'allkeys-lru');
  }),
  // One host is without it, whether it leads or not, while the other one goes on.
  redisFault('redis-split', async ({ redisProxy }, random) => {
    await redisProxy.tell(random.next() < 0.5 ? 'cut' : 'pause');
    await delay(random.between(200, 2_000));
    await redisProxy.tell('resume');
  }),
  redisFault('redis-slow', async ({ redisProxy }, random) => {
    await redisProxy.delay(random.between(2, 100));
    await delay(random.between(300, 2_000));
    await redisProxy.tell('resume');
  }),
];

function redisFault(name: string, run: (stage: Stage, random: Random) => Promise<void>): FaultKind {
  return {
    name,
    excuses: false,
    typicalMs: 1_000,
    missing: needsRedis,
    plan: () => ({ takes: ['redis'], detail: '', run: ({ stage }, random) => run(stage, random) }),
  };
}

async function readMemoryLimit(redis: RedisServer): Promise<string> {
  return (await redis.command('config', 'get', 'maxmemory')).split('\n')[1] ?? '0';
}

async function readMemoryUsed(redis: RedisServer): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.command('info', 'memory'))?.[1] ?? 0);
}
