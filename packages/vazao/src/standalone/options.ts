import type pg from 'pg';
import { type Duration, parseDuration } from '../cache/index.ts';
import type { DeclaredFunction } from '../db/index.ts';
import type { FeedOptions } from '../feed/index.ts';
import { type Codec, jsonCodec, structuredCodec } from './codec.ts';
import { CacheError } from './errors.ts';

export interface CreateCacheOptions {
  /** Of the primary. Where a pooler (PgBouncer) stands before it, give `feed.connection` the way past it. */
  readonly connectionString: string;
  /** More options of the pool, as `pg.Pool` takes them. @defaultValue those of `pg`: at most 10 connections */
  readonly pool?: Omit<pg.PoolConfig, 'connectionString'> | undefined;
  /** Where changes come from, and of which tables: as `createFeed` of `vazao/feed` takes it. @defaultValue the strongest source that the database allows */
  readonly feed?: Partial<FeedOptions> | undefined;
  /** Connection strings of streaming replicas on which values are computed. @defaultValue none */
  readonly replicaUrls?: readonly string[] | undefined;
  /** Functions in PL/pgSQL or C, and what each depends on: as `Pool` of `vazao/db` takes them. @defaultValue none */
  readonly declaredFunctions?: readonly DeclaredFunction[] | undefined;
  /** Bytes of keys, values and book-keeping; the least recently used go first. @defaultValue 256 MiB */
  readonly sizeMaxBytes?: number | undefined;
  /** Larger values are given and not kept. @defaultValue 1 MiB */
  readonly valueMaxBytes?: number | undefined;
  /** How values become bytes: structured clone (keeps Dates, Maps, Buffers), JSON, or one of your own. @defaultValue `'structured'` */
  readonly codec?: 'structured' | 'json' | Codec | undefined;
  /** After this time, in milliseconds, a computation is no longer cared for, and those who wait for it compute for themselves. @defaultValue 30,000 */
  readonly fillMaxMs?: number | undefined;
  /** How long a value waits until the feed has told what it shows, and a read until it has told what this process has written, in milliseconds. @defaultValue 2,000 */
  readonly waitMaxMs?: number | undefined;
  /** Told of what goes wrong without harm: a weaker feed, a value that can't be kept. @defaultValue `process.emitWarning` */
  readonly onProblem?: ((problem: Error) => void) | undefined;
}

export interface ReadOptions {
  /** The oldest that a value may get although no row behind it changed. Needed where a statement depends on time. @defaultValue no limit */
  readonly ttl?: Duration | undefined;
  /** How long a dropped value may still be given while one computation of the next runs. @defaultValue 0 */
  readonly staleFor?: Duration | undefined;
  /** How long a dropped value may still be given when the computation throws. @defaultValue 0 */
  readonly staleIfError?: Duration | undefined;
  /** The value shows whatever was committed before this position: what `trackWrites` of `vazao/db` told, here or on another host. @defaultValue what this process has written */
  readonly after?: bigint | undefined;
}

export interface ResolvedReadOptions {
  readonly ttlMs: number | undefined;
  readonly staleForMs: number;
  readonly staleIfErrorMs: number;
  readonly after: bigint | undefined;
}

export const VALUE_MAX_BYTES_DEFAULT: number = 1024 * 1024;
export const FILL_MAX_MS_DEFAULT = 30_000;
/** Longer than the lease of a feed: whoever waits sees the feed move on, or not be fresh any more. */
export const WAIT_MAX_MS_DEFAULT = 2_000;

const READ_OPTIONS = ['ttl', 'staleFor', 'staleIfError', 'after'];
const NONE: ResolvedReadOptions = { ttlMs: undefined, staleForMs: 0, staleIfErrorMs: 0, after: undefined };

/** Throws {@link CacheError}. */
export function resolveReadOptions(options: ReadOptions | undefined): ResolvedReadOptions {
  if (!options) return NONE;
  for (const name of Object.keys(options)) {
    if (READ_OPTIONS.includes(name)) continue;
    throw new CacheError('ERR_CACHE_OPTIONS', `The option ${name} is not known; there are ${READ_OPTIONS.join(', ')}.`);
  }
  const { ttl, staleFor, staleIfError, after } = options;
  if (after !== undefined && typeof after !== 'bigint')
    throw new CacheError('ERR_CACHE_OPTIONS', 'The option after is a position, a bigint: what `trackWrites` tells.');
  return {
    ttlMs: readDuration('ttl', ttl),
    staleForMs: readDuration('staleFor', staleFor) ?? 0,
    staleIfErrorMs: readDuration('staleIfError', staleIfError) ?? 0,
    after,
  };
}

function readDuration(name: string, duration: Duration | undefined): number | undefined {
  if (duration === undefined) return undefined;
  const ms = parseDuration(duration);
  if (ms !== undefined) return ms;
  throw new CacheError(
    'ERR_CACHE_OPTIONS',
    `The option ${name} is ${JSON.stringify(duration)}; write milliseconds, or a number with ms, s, m, h or d, such as '15m'.`,
  );
}

export function resolveCodec(codec: CreateCacheOptions['codec']): Codec {
  if (codec === undefined || codec === 'structured') return structuredCodec;
  if (codec === 'json') return jsonCodec;
  if (typeof codec.encode === 'function' && typeof codec.decode === 'function') return codec;
  throw new CacheError('ERR_CACHE_OPTIONS', "The option codec is 'structured', 'json', or has encode and decode.");
}
