/** The second tier of the cache, in Redis. Loads `ioredis` when it is first used, and not before. */

export { RedisTierError, type RedisTierErrorCode } from './errors.ts';
export type { LeaderLock } from './leader-lock.ts';
export { type Codec, namespaceOf, type SecondTierOptions } from './options.ts';
export { probeRedis, REDIS_MAJOR_MIN, type RedisFacts } from './probe.ts';
export { isRedisUrl } from './redis-url.ts';
export {
  createRelay,
  type Relay,
  type RelayFeed,
  type RelayFigures,
  type RelayOptions,
  type RelayStatus,
} from './relay.ts';
export {
  type Asked,
  type Candidate,
  createSecondTier,
  type SecondTier,
  type SecondTierFigures,
  type Storing,
  type Ticket,
} from './second-tier.ts';
export { createStreamReader, type StreamReader, type StreamReaderOptions } from './stream-reader.ts';
export { createStreamWriter, type StreamWriter, type StreamWriterOptions } from './stream-writer.ts';
export type { FindTable } from './tags.ts';
