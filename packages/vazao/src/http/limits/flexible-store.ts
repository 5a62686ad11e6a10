/** Counts in Redis or PostgreSQL, by `rate-limiter-flexible`. */
import type pg from 'pg';
import type { RateLimiterPostgres, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { loadPeer } from '../../peer/index.ts';
import type { RatePolicy, RateStore } from './rate-store.ts';
import type { Count } from './window-counter.ts';

type Limiter = RateLimiterPostgres | RateLimiterRedis;
type Library = typeof import('rate-limiter-flexible');

/** Policies are as many as routes that have their own. */
const LIMITERS_MAX = 1_000;

/** @param open - makes the limiter of one policy */
class FlexibleStore implements RateStore {
  readonly #open: (policy: RatePolicy) => Limiter;
  readonly #onClose: () => Promise<void>;
  readonly #limiters = new Map<string, Limiter>();

  constructor(open: (policy: RatePolicy) => Limiter, onClose: () => Promise<void>) {
    this.#open = open;
    this.#onClose = onClose;
  }

  async consume(policy: RatePolicy, key: string, points: number): Promise<Count> {
    const id = `${policy.name} ${policy.requests} ${policy.windowMs}`;
    let limiter = this.#limiters.get(id);
    if (!limiter) {
      if (this.#limiters.size >= LIMITERS_MAX) this.#limiters.clear();
      limiter = this.#open(policy);
      this.#limiters.set(id, limiter);
    }
    try {
      return toCount(await limiter.consume(key, points));
    } catch (refused) {
      if (refused instanceof Error) throw refused;
      const { consumed, resetMs } = toCount(refused as RateLimiterRes);
      // Refused from its memory of blocked keys, it does not tell the count.
      return { consumed: Math.max(consumed, policy.requests + 1), resetMs };
    }
  }

  close(): Promise<void> {
    return this.#onClose();
  }
}

function toCount({ consumedPoints, msBeforeNext }: RateLimiterRes): Count {
  return { consumed: consumedPoints, resetMs: Math.max(0, msBeforeNext) };
}

/** @param client - of `ioredis`, without an offline queue; the caller closes it */
export async function createRedisStore(client: object): Promise<RateStore> {
  const { RateLimiterRedis } = await load();
  const open = (policy: RatePolicy): Limiter =>
    new RateLimiterRedis({ ...common(policy), storeClient: client, rejectIfRedisNotReady: true });
  return new FlexibleStore(open, async () => {});
}

/** In the database itself, for everybody who may write there. */
const TABLE = 'vazao_rate_limits';
/** Unlogged: after a crash the counts begin anew, and no count costs a write to the log, which the feed would read. */
const CREATE_TABLE_SQL = `create unlogged table if not exists ${TABLE} (key varchar(255) primary key, points integer not null default 0, expire bigint)`;

/** Another process made it at the same moment, which "if not exists" does not see: the row of the relation, or of its type, or the name. */
const MADE_BY_ANOTHER: ReadonlySet<string | undefined> = new Set(['23505', '42710', '42P07']);

/** @param pool - of its own, and small: the limits must not wait for, nor take, the connections of the application. It is closed with the store */
export async function createPostgresStore(pool: pg.Pool): Promise<RateStore> {
  const { RateLimiterPostgres } = await load();
  pool.on('error', () => {}); // an idle connection was lost: the next count opens another
  // Asked first: a statement that defines something makes the feed read the schema again, even if it does nothing.
  const { rows } = await pool.query(`select to_regclass($1) is not null as "isThere"`, [TABLE]);
  if (!rows[0].isThere) {
    await pool.query(CREATE_TABLE_SQL).catch((error: { code?: string }) => {
      if (!MADE_BY_ANOTHER.has(error.code)) throw error;
    });
  }
  const open = (policy: RatePolicy): Limiter =>
    new RateLimiterPostgres({
      ...common(policy),
      storeClient: pool,
      storeType: 'pool',
      tableName: TABLE,
      tableCreated: true,
    });
  return new FlexibleStore(open, () => pool.end());
}

interface CommonOptions {
  readonly keyPrefix: string;
  readonly points: number;
  readonly duration: number;
  readonly inMemoryBlockOnConsumed: number;
}

function common({ name, requests, windowMs }: RatePolicy): CommonOptions {
  return {
    keyPrefix: `vazao:limit:${name}`,
    points: requests,
    duration: Math.ceil(windowMs / 1_000),
    // Who has used all up is refused from memory: a flood of refused requests does not reach the store.
    inMemoryBlockOnConsumed: requests + 1,
  };
}

/** A CommonJS package, whose names an import by a variable may find under `default` alone. */
async function load(): Promise<Library> {
  const loaded = await loadPeer<Library & { readonly default?: Library }>(
    'rate-limiter-flexible',
    'A common store of the limits',
  );
  return loaded.default ?? loaded;
}
