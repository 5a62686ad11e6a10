/** The cache without a web server: `vazao/cache`. Beside it the parts that it is made of, for who puts them together otherwise. */
export {
  Cache,
  type CacheFeed,
  type CacheFigures,
  type CacheOptions,
  type Drop,
  type Duration,
  type Entry,
  type ExplainedDrop,
  type ExplainedStatement,
  type NotStored,
  type StatementRecord,
} from '../cache/index.ts';
export type { Codec } from './codec.ts';
export { createCache } from './create-cache.ts';
export { CacheError, type CacheErrorCode } from './errors.ts';
export type { Key, KeyPart } from './key.ts';
export type { CreateCacheOptions, ReadOptions } from './options.ts';
export type { ExplainedRead, ValueCache } from './value-cache.ts';
