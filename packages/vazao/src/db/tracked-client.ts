/**
 * A `pg.Client` that knows what its statements may have done: written something, or changed the session. After a write
 * has been committed it asks, on the same connection, where the log stands.
 */
import pg from 'pg';
import { parseLsn } from '../feed/index.ts';
import type { Analysis } from './analysis.ts';
import { COMMITTED_POSITION_SQL } from './committed-position.ts';
import { currentContext, type WorkContext } from './context.ts';
import { answer, readStatement, type Statement } from './statement.ts';

type Result = pg.QueryResult & { position?: bigint };

// pg's overloads of `query` can't be overridden with one signature; the class is typed as pg's own to the outside.
const BaseClient = pg.Client as unknown as new (
  config: TrackedClientConfig,
) => Omit<pg.Client, 'query'> & {
  query(...args: unknown[]): unknown;
  getTransactionStatus(): string | null;
  pipeline: boolean;
};

export interface TrackedClientConfig extends pg.ClientConfig {
  readonly analysis?: Analysis | undefined;
}

export class TrackedClient extends BaseClient {
  readonly #analysis: Analysis | undefined;
  /** A statement since the last idle moment may have written. */
  #wrote = false;
  /** A statement may have changed settings of the session since they were last compared. */
  sessionUnsure = true;

  constructor(config: TrackedClientConfig) {
    super(config);
    this.#analysis = config.analysis;
  }

  override query(...args: unknown[]): unknown {
    const statement = readStatement(args);
    const effect = statement && this.#analysis ? this.#analysis.effectOf(statement.text) : 'unknown';
    if (effect === 'session' || effect === 'unknown') this.sessionUnsure = true;
    const context = currentContext();
    if (!context || !statement) return super.query(...args);
    if (effect !== 'read' && effect !== 'transaction') this.#wrote = true;
    if (!this.#wrote) return super.query(...args);
    return answer(this.#queryAndAskPosition(statement, context), statement.callback);
  }

  /** Sends without looking at what it does: for statements that were looked at before. */
  send(config: pg.QueryConfig | string): Promise<Result> {
    return super.query(config) as Promise<Result>;
  }

  async #queryAndAskPosition(statement: Statement, context: WorkContext): Promise<Result> {
    const result = await this.send(statement.config);
    if (!this.#wrote || this.getTransactionStatus() !== 'I') return result;
    this.#wrote = false;
    if (result.command === 'ROLLBACK') return result;
    const { rows } = await this.send(`select ${COMMITTED_POSITION_SQL} as position`);
    const position = parseLsn(rows[0].position);
    if (position > context.position) context.position = position;
    result.position = position;
    return result;
  }
}
