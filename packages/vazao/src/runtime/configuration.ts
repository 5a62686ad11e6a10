/**
 * Configuration comes from the environment, and the file `.env`, and is checked before anything starts: each variable by
 * itself, by the table `variables.ts`, and then what they say together.
 */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { FeedSource } from '../feed/index.ts';
import { RuntimeError } from './errors.ts';
import { type LimitConfiguration, readLimits } from './limit-variables.ts';
import { SHARES_PORT } from './listen.ts';
import {
  CACHE_DEFAULT_BYTES,
  cacheWithoutRoom,
  detectMemory,
  leastMemory,
  type MemoryShares,
  shareMemory,
  workersFor,
} from './memory.ts';
import { didYouMean } from './nearest.ts';
import * as known from './variables.ts';
import { type LogLevel, VARIABLES, type Variable } from './variables.ts';

export type Environment = 'development' | 'production';

export interface Configuration {
  readonly environment: Environment;
  readonly host: string;
  readonly port: number;
  /** Undefined: an embedded PostgreSQL. */
  readonly databaseUrl: string | undefined;
  /** Of physical replicas, to compute answers of cached routes on. */
  readonly databaseReplicaUrls: readonly string[];
  readonly databasePoolMax: number;
  /** Where the changes of the database come from. */
  readonly feedSource: FeedSource | 'auto';
  /** Of the source `outbox`: writers call the feed. */
  readonly feedNotify: boolean;
  /** Workers of a supervisor; cache and pool are shared out among them. 0: the process that was started serves itself. */
  readonly workers: number;
  /** A worker is replaced when it has answered about so many requests; 0: never for that. */
  readonly workerRequestsMax: number;
  /** A worker whose event loop stands still for so long is cut off; 0: never. */
  readonly workerTimeoutMs: number;
  /** Absolute. */
  readonly dataFolder: string;
  /** Undefined in development: one is made and kept in the data folder. */
  readonly secret: string | undefined;
  /** False: every answer is computed, as if no route were cached. */
  readonly isCacheOn: boolean;
  /** What the processes that serve may take together; half of the machine, or what the container allows, if nothing is said. */
  readonly memoryLimitBytes: number;
  /** Undefined: no bounds, in development and where what was found is less than WORKERS need. */
  readonly memory: MemoryShares | undefined;
  readonly cacheSizeMaxBytes: number;
  /** 0: no audit. */
  readonly cacheAuditOneIn: number;
  /** Who sends it may read `/metrics`; undefined: who is on this machine. */
  readonly metricsToken: string | undefined;
  /** The second tier of the cache; undefined: none. */
  readonly redisUrl: string | undefined;
  /** What tells releases of the application apart that share the second tier; undefined: a hash of its folder. */
  readonly release: string | undefined;
  /** What clients and statements may take. */
  readonly limits: LimitConfiguration;
  readonly logLevel: LogLevel;
  readonly debug: boolean;
}

/** Reads the environment. `root` is the folder that relative folders start from. Throws {@link RuntimeError}. */
export function readConfiguration(
  environment: Environment,
  variables: Readonly<Record<string, string | undefined>>,
  root: string,
): Configuration {
  assertNamesKnown(variables);
  const read = <T>(variable: Variable<T>): T | undefined => readVariable(variable, variables);
  assertEnvironmentAgrees(environment, read(known.NODE_ENV));
  const secret = read(known.SECRET);
  const readReplicaUrls = (): readonly string[] => {
    const urls = read(known.DATABASE_REPLICA_URLS) ?? [];
    if (urls.length > 0 && read(known.DATABASE_URL) === undefined)
      throw invalid('DATABASE_REPLICA_URLS is set without DATABASE_URL; name the primary that they are replicas of.');
    return urls;
  };
  const memoryLimit = read(known.MEMORY_LIMIT);
  const memoryLimitBytes = memoryLimit ?? detectMemory();
  const workers = resolveWorkers(environment, read(known.WORKERS), memoryLimitBytes);
  const cacheSize = read(known.CACHE_SIZE);
  const memory = environment === 'production' ? shareMemory(memoryLimitBytes, workers, cacheSize) : undefined;
  if (environment === 'production' && !memory && memoryLimit !== undefined) {
    throw tooLittle(memoryLimit, workers, cacheSize);
  }
  if (environment === 'production' && workers === 0 && (read(known.WORKER_REQUESTS_MAX) ?? 0) > 0) {
    throw invalid(
      'WORKER_REQUESTS_MAX is set, but one process alone can’t be replaced without a gap. Set WORKERS to 1 or more, or WORKER_REQUESTS_MAX=0.',
    );
  }
  if (environment === 'production' && secret === undefined) {
    throw invalid(
      `VAZAO_SECRET is not set, and production needs it (${known.SECRET.allowed}). For a trial on your own machine use \`vazao dev\`.`,
    );
  }
  return {
    environment,
    host: read(known.HOST) ?? '127.0.0.1',
    port: read(known.PORT) ?? 8080,
    databaseUrl: read(known.DATABASE_URL),
    databaseReplicaUrls: readReplicaUrls(),
    databasePoolMax: read(known.DATABASE_POOL) ?? 10,
    feedSource: readFeedSource(read(known.FEED), read(known.REDIS_URL)),
    feedNotify: read(known.FEED_NOTIFY) ?? false,
    workers,
    workerRequestsMax: read(known.WORKER_REQUESTS_MAX) ?? 0,
    workerTimeoutMs: read(known.WORKER_TIMEOUT) ?? 60_000,
    dataFolder: resolve(root, read(known.DATA) ?? '.vazao'),
    secret,
    isCacheOn: read(known.CACHE) ?? true,
    memoryLimitBytes,
    memory,
    cacheSizeMaxBytes:
      cacheSize ??
      memory?.cacheBytes ??
      (environment === 'production' ? cacheWithoutRoom(memoryLimitBytes, workers) : CACHE_DEFAULT_BYTES),
    cacheAuditOneIn: read(known.CACHE_AUDIT) ?? 10_000,
    metricsToken: read(known.METRICS_TOKEN),
    redisUrl: read(known.REDIS_URL),
    release: read(known.RELEASE),
    limits: readLimits(read),
    logLevel: read(known.LOG_LEVEL) ?? (environment === 'production' ? 'info' : 'warn'),
    debug: read(known.DEBUG) ?? false,
  };
}

function readFeedSource(source: FeedSource | 'auto' = 'auto', redisUrl: string | undefined): FeedSource | 'auto' {
  if (source !== 'stream' || redisUrl !== undefined) return source;
  throw invalid(
    'VAZAO_FEED is stream, which is read from Redis, and REDIS_URL is not set. Set it to the Redis of the other servers, or VAZAO_FEED to another source.',
  );
}

function tooLittle(limit: number, workers: number, cacheSize: number | undefined): RuntimeError {
  const cache = cacheSize === undefined ? '' : ` and CACHE_SIZE=${formatSize(cacheSize)}`;
  const fitting = workersFor(limit);
  const doesFit = fitting < workers && shareMemory(limit, fitting, undefined) !== undefined;
  const fewer = doesFit && cacheSize === undefined ? `, or set WORKERS=${fitting}` : '';
  return invalid(
    `MEMORY_LIMIT is ${formatSize(limit)}, which is too little for WORKERS=${workers}${cache}. Give at least ${formatSize(leastMemory(workers, cacheSize))}${fewer}${cacheSize === undefined ? '' : ', or lower CACHE_SIZE'}.`,
  );
}

/** How many processes `vazao start` would serve with. Throws {@link RuntimeError}. */
export function countWorkers(variables: Readonly<Record<string, string | undefined>>): number {
  const memoryLimitBytes = readVariable(known.MEMORY_LIMIT, variables) ?? detectMemory();
  return resolveWorkers('production', readVariable(known.WORKERS, variables), memoryLimitBytes);
}

function resolveWorkers(environment: Environment, wanted: number | undefined, memoryBytes: number): number {
  const isProduction = environment === 'production';
  if (wanted === undefined || wanted <= 1) {
    if (!SHARES_PORT) return 0; // a worker's socket is its supervisor's
    return wanted ?? (isProduction ? Math.min(availableParallelism(), workersFor(memoryBytes)) : 1);
  }
  if (isProduction && SHARES_PORT) return wanted;
  throw invalid(
    isProduction
      ? `WORKERS is ${wanted}, but several processes share a port only on Linux, with Node 26.4 or later. Set WORKERS=0, and start several servers behind a proxy.`
      : `WORKERS is ${wanted}, but \`vazao dev\` serves in one process; use \`vazao start\`, or unset WORKERS.`,
  );
}

function readVariable<T>(
  variable: Variable<T>,
  variables: Readonly<Record<string, string | undefined>>,
): T | undefined {
  const text = variables[variable.name]?.trim();
  if (text === undefined || text === '') return undefined; // Compose and CI pass empty strings for "not set"
  const value = variable.parse(text);
  if (value !== undefined) return value;
  const shown = variable.isSecret ? 'has a value that is not allowed' : `is ${JSON.stringify(text)}`;
  throw invalid(`${variable.name} ${shown}; allowed is ${variable.allowed}.`);
}

function assertNamesKnown(variables: Readonly<Record<string, string | undefined>>): void {
  const ours = VARIABLES.map(({ name }) => name).filter((name) => name.startsWith('VAZAO_'));
  for (const name of Object.keys(variables)) {
    if (!name.startsWith('VAZAO_') || ours.includes(name)) continue;
    throw invalid(`${name} is set, but there is no such variable${didYouMean(name, ours)}`);
  }
}

function assertEnvironmentAgrees(environment: Environment, nodeEnvironment: string | undefined): void {
  const agreeing = environment === 'production' ? ['production'] : ['development', 'test'];
  if (nodeEnvironment === undefined || agreeing.includes(nodeEnvironment)) return;
  const command = environment === 'production' ? '`vazao start` is for production' : '`vazao dev` is for development';
  const other = environment === 'production' ? '`vazao dev`' : '`vazao start`';
  throw invalid(`NODE_ENV is "${nodeEnvironment}", but ${command}; use ${other}, or unset NODE_ENV.`);
}

function invalid(message: string): RuntimeError {
  return new RuntimeError('ERR_RUNTIME_CONFIGURATION', message);
}

/** As it would be written: `512 MB`. */
export function formatSize(bytes: number): string {
  const megabytes = bytes / 1024 ** 2;
  const isWholeGigabytes = megabytes >= 1024 && megabytes % 1024 === 0;
  return isWholeGigabytes ? `${megabytes / 1024} GB` : `${Math.ceil(megabytes)} MB`;
}
