import type { RedisFacts } from '../../cache/redis/index.ts';
import { describeError } from '../errors.ts';
import { advice, type Finding, ok } from './finding.ts';

const TIMEOUT_MS = 3_000;
const CHECK = 'redis';

/** Whether answers can be shared in REDIS_URL. The server runs without it, so nothing of it is a failure. */
export async function checkRedis(
  _client: unknown,
  { redisUrl }: { readonly redisUrl?: string | undefined },
): Promise<readonly Finding[]> {
  if (redisUrl === undefined) return [];
  const { probeRedis, REDIS_MAJOR_MIN } = await import('../../cache/redis/index.ts');
  try {
    return judge(await probeRedis(redisUrl, TIMEOUT_MS), REDIS_MAJOR_MIN);
  } catch (error) {
    if ((error as Error).message.startsWith('NOPERM')) {
      return [ok(CHECK, 'Redis is reachable; its user may not ask for INFO, so nothing is known of its memory')];
    }
    const remedy = 'Check REDIS_URL, the password in it, and `bind` and `protected-mode` of Redis.';
    return [advice(CHECK, `Redis can't be reached, so each process keeps to itself: ${describeError(error)}.`, remedy)];
  }
}

function judge({ product, version, ...facts }: RedisFacts, majorMin: number): readonly Finding[] {
  const name = `${product} ${version}`;
  if (facts.majorVersion < majorMin) {
    const remedy = `Use Redis ${majorMin}.0 or later, or Valkey.`;
    return [advice(CHECK, `${name} has no functions, so nothing is shared by it.`, remedy)];
  }
  if (facts.isReplica) {
    const remedy = 'Set REDIS_URL to the master, or to the sentinels: redis-sentinel://host:port,host:port/master';
    return [advice(CHECK, `${name} is a replica, which takes no writes.`, remedy)];
  }
  if (facts.memoryMaxBytes === 0) {
    const detail = `${name} is reachable, and has no bound on its memory.`;
    return [advice(CHECK, detail, 'CONFIG SET maxmemory 1gb', 'CONFIG SET maxmemory-policy allkeys-lru')];
  }
  if (facts.evictionPolicy === 'noeviction') {
    const detail = `${name} is reachable, and takes in nothing more when it is full (noeviction).`;
    return [advice(CHECK, detail, 'CONFIG SET maxmemory-policy allkeys-lru')];
  }
  return [ok(CHECK, `${name} is reachable, and forgets by ${facts.evictionPolicy} when it is full`)];
}
