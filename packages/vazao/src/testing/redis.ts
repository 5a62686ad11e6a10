/** Real Redis servers, for tests. */
export {
  type RedisCluster,
  type RedisSentinel,
  startRedisCluster,
  startRedisSentinel,
} from '../torture/parts/redis-groups.ts';
export { type RedisOptions, type RedisServer, startRedisServer } from '../torture/parts/redis-server.ts';
