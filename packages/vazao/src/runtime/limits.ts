/** The limits of a process that serves, and where its counts are. */
import pg from 'pg';
import type { PoolBounds } from '../db/index.ts';
import {
  createChannelStore,
  createPostgresStore,
  createRedisStore,
  InsuredStore,
  type LimitsOptions,
  type RateStore,
  type ServerBounds,
} from '../http/index.ts';
import type { Application } from './application.ts';
import type { Configuration } from './configuration.ts';
import { describeError, RuntimeError } from './errors.ts';
import { processesOf } from './memory.ts';
import { RELEASE_TIMEOUT_MS, within } from './release.ts';
import { createStateRedis, STATE_SILENCE_MS } from './state-redis.ts';

/** A request waits for the counts no longer than this; then its process counts alone. */
const STORE_DEADLINE_MS = 50;
const STORE_FAILURES_MAX = 3;
const STORE_PAUSE_MS = 2_000;
/** Connections to the database, for counts alone. */
const STORE_POOL_MAX = 2;
/** Places for a connection of the pool: none of them is idle while another request is parsed or serialised. */
const PLACES_PER_CONNECTION = 1.5;
const PLACES_MIN = 6;
/** Who may wait for a connection, for each that there is. */
const WAITING_PER_CONNECTION = 20;

type LimitConfiguration = Configuration['limits'];

/** What the pool lets nobody do without end. */
export function poolBounds({ limits, databasePoolMax }: Configuration): PoolBounds {
  return {
    statementMs: limits.statementTimeoutMs,
    transactionMs: limits.transactionTimeoutMs,
    idleInTransactionMs: limits.idleTransactionTimeoutMs,
    waitMs: limits.databaseWaitMs,
    waitingMax: databasePoolMax * WAITING_PER_CONNECTION,
  };
}

/** What a client may send, and in which time. */
export function serverBounds({ limits }: Configuration): ServerBounds {
  const { bodyMaxBytes, requestTimeoutMs, answerTimeoutMs } = limits;
  return { bodyMaxBytes, requestTimeoutMs, answerTimeoutMs };
}

interface LimitParts {
  readonly configuration: Configuration;
  readonly application: Application;
  readonly databaseUrl: string;
  /** How many processes of this host serve. */
  readonly processes: () => number;
}

/** The options of the limits' plugin; undefined: they are off. Throws {@link RuntimeError}. */
export async function openLimits(
  { configuration, application, databaseUrl, processes }: LimitParts,
  acquired: AsyncDisposableStack,
): Promise<LimitsOptions | undefined> {
  const { limits, databasePoolMax, workers } = configuration;
  if (!limits.isOn || application.limits === false) return undefined;
  const { rates, admission, ...own } = application.limits ?? {};
  const shared = await openStore(limits, workers > 0, databaseUrl, acquired);
  const store =
    shared &&
    new InsuredStore(shared, {
      deadlineMs: STORE_DEADLINE_MS,
      failuresMax: STORE_FAILURES_MAX,
      pauseMs: STORE_PAUSE_MS,
      processes,
    });
  const derived = Math.max(PLACES_MIN, Math.ceil(databasePoolMax * PLACES_PER_CONNECTION));
  const inFlightMax = limits.inFlightMax && Math.max(4, Math.floor(limits.inFlightMax / processesOf(workers)));
  return {
    ...own,
    ...(limits.trustProxy.length > 0 && { trustProxy: limits.trustProxy }),
    admission:
      admission === false ? false : { inFlightMax: derived, ...admission, ...(inFlightMax && { inFlightMax }) },
    // What the environment says wins: it knows the place where the application runs.
    rates: { ...rates, ...defined(limits.rates) },
    store,
  };
}

/** Undefined: this process counts alone. */
async function openStore(
  { store: named, stateRedisUrl }: LimitConfiguration,
  hasSupervisor: boolean,
  databaseUrl: string,
  acquired: AsyncDisposableStack,
): Promise<RateStore | undefined> {
  const kind = named ?? (stateRedisUrl === undefined ? 'memory' : 'redis');
  // Also of a single worker: another takes its place, and the counts go on.
  if (kind === 'memory') return hasSupervisor ? createChannelStore(process) : undefined;
  if (kind === 'postgres') return openPostgresStore(databaseUrl);
  if (stateRedisUrl === undefined)
    throw new RuntimeError(
      'ERR_RUNTIME_CONFIGURATION',
      'VAZAO_LIMIT_STORE is "redis", but VAZAO_STATE_REDIS_URL is not set. Name a Redis that evicts nothing, or take another store.',
    );
  const client = await createStateRedis(stateRedisUrl, 'A common store of the limits', acquired);
  client.connect().catch(() => {}); // it tries again by itself
  return createRedisStore(client);
}

/** Throws {@link RuntimeError}. */
async function openPostgresStore(databaseUrl: string): Promise<RateStore> {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: STORE_POOL_MAX,
    application_name: 'vazao limits',
    connectionTimeoutMillis: STATE_SILENCE_MS,
    query_timeout: STATE_SILENCE_MS,
    statement_timeout: STATE_SILENCE_MS, // kept by the server, which a dead link does not reach
  });
  try {
    return await createPostgresStore(pool);
  } catch (cause) {
    await within(RELEASE_TIMEOUT_MS, pool.end());
    const reason = describeError(cause).replace(/\.$/, '');
    throw new RuntimeError(
      'ERR_RUNTIME_CONFIGURATION',
      `The database can't hold the counts of the limits: ${reason}. Mend that, or set VAZAO_LIMIT_STORE to another store than postgres.`,
      { cause },
    );
  }
}

/** Without what is not said, so that it takes nothing's place. */
export function defined<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}
