/**
 * What a pool lets nobody do without end: wait for a connection, run a statement, keep a transaction open. Without these
 * bounds a few slow statements take all connections, and everything behind them waits until its clients have left.
 */
import type pg from 'pg';
import { PoolBusyError } from './errors.ts';

export interface PoolBounds {
  /** How long a statement may take; PostgreSQL then cancels it (SQLSTATE 57014). 0: no bound. @defaultValue 0 */
  readonly statementMs?: number | undefined;
  /** How long a transaction may take, from PostgreSQL 17 on; its session is then ended. 0: no bound. @defaultValue 0 */
  readonly transactionMs?: number | undefined;
  /** How long a transaction may stand open without a statement; its session is then ended. 0: no bound. @defaultValue 0 */
  readonly idleInTransactionMs?: number | undefined;
  /** How long to wait for a connection before {@link PoolBusyError}. 0: no bound. @defaultValue 0 */
  readonly waitMs?: number | undefined;
  /** How many may wait for one; further ones get {@link PoolBusyError} at once. @defaultValue no bound */
  readonly waitingMax?: number | undefined;
}

/** `transaction_timeout` came with PostgreSQL 17. */
const VERSION_WITH_TRANSACTION_TIMEOUT = 170_000;
/** The message of pg's pool, which gives its error no code. */
const WAITED_TOO_LONG = 'timeout exceeded when trying to connect';

/** The bounds that pg's own options can say. */
export function boundedConfig(config: pg.PoolConfig, bounds: PoolBounds): pg.PoolConfig {
  const { statementMs, idleInTransactionMs, waitMs } = bounds;
  return {
    ...config,
    ...(statementMs && { statement_timeout: statementMs }),
    ...(idleInTransactionMs && { idle_in_transaction_session_timeout: idleInTransactionMs }),
    ...(waitMs && { connectionTimeoutMillis: waitMs }),
  };
}

/**
 * What new connections say of the bound on transactions, added to what they say already; undefined where the server knows
 * no such bound, or none is wanted.
 */
export function transactionOption(
  serverVersion: number,
  { transactionMs }: PoolBounds,
  before: string | undefined,
): string | undefined {
  if (!transactionMs || serverVersion < VERSION_WITH_TRANSACTION_TIMEOUT) return undefined;
  return `${before === undefined ? '' : `${before} `}-c transaction_timeout=${transactionMs}`;
}

type Counts = Pick<pg.Pool, 'idleCount' | 'totalCount' | 'waitingCount'> & {
  readonly options: { readonly max: number };
};

/** The error for who need not begin to wait; undefined: there is a connection, or room to wait. */
export function findBusy(
  pool: Counts,
  { waitingMax = Number.POSITIVE_INFINITY }: PoolBounds,
): PoolBusyError | undefined {
  if (pool.idleCount > 0 || pool.totalCount < pool.options.max || pool.waitingCount < waitingMax) return undefined;
  return new PoolBusyError(`${pool.waitingCount} wait for one of the ${pool.options.max} connections to the database.`);
}

/** What a connection that could not be had is told as. */
export function asBusy(error: unknown, pool: Counts, { waitMs }: PoolBounds): unknown {
  // With a connection less than the most it is the server that did not let us in.
  if ((error as Error)?.message !== WAITED_TOO_LONG || pool.totalCount < pool.options.max) return error;
  return new PoolBusyError(
    `None of the ${pool.options.max} connections to the database came free within ${waitMs} ms.`,
    { cause: error },
  );
}
