/**
 * A `pg.Client` that knows what its statements may have done: written something, or changed the session. After a write
 * has been committed it asks, on the same connection, where the log stands; and on another one when this one broke
 * meanwhile, for the write may be committed all the same.
 *
 *   nothing written ──write or unknown──► written ──idle again──► position asked, nothing written
 *                                            └──rolled back, or failed──► nothing written
 *
 * A statement of unknown effect (several in one text, CALL, DO) may commit and go on, and COMMIT may begin the next
 * transaction (AND CHAIN). What such a one leaves open is not forgotten by a ROLLBACK that comes later.
 */
import { AsyncResource } from 'node:async_hooks';
import type { Socket } from 'node:net';
import pg from 'pg';
import { parsePosition, UNKNOWN_POSITION } from '../feed/index.ts';
import type { Analysis, Effect } from './analysis.ts';
import { COMMITTED_POSITION_SQL, INSERTED_POSITION_SQL } from './committed-position.ts';
import { currentContext, runWithoutContext, type WorkContext } from './context.ts';
import { isSqlState } from './sql-state.ts';
import { answer, readStatement, readText, type Statement, sendNoticed } from './statement.ts';
import { timeStatement } from './time-statement.ts';

type Result = pg.QueryResult & { position?: bigint };

// pg's overloads of `query` can't be overridden with one signature; the class is typed as pg's own to the outside.
const BaseClient = pg.Client as unknown as new (
  config: TrackedClientConfig,
) => Omit<pg.Client, 'query'> & {
  query(...args: unknown[]): unknown;
  getTransactionStatus(): string | null;
  readonly connection: NodeJS.EventEmitter & {
    readonly stream: Pick<Socket, 'cork' | 'destroy' | 'destroyed' | 'uncork'>;
  };
  readonly readyForQuery: boolean | undefined;
  pipeline: boolean;
};

export interface TrackedClientConfig extends pg.ClientConfig {
  readonly analysis?: Analysis | undefined;
}

/** For connecting, and for the answer, when the position is asked on a connection of its own. */
const ELSEWHERE_TIMEOUT_MS = 1_000;

export class TrackedClient extends BaseClient {
  readonly #config: TrackedClientConfig;
  readonly #analysis: Analysis | undefined;
  /** A statement since the last idle moment may have written. */
  #wrote = false;
  /** What was written may be committed although the connection is in a transaction. */
  #mayHaveCommitted = false;
  /** `synchronous_commit` may have been off for what was written, so that it is visible before it is flushed. */
  #mayBeUnflushed = false;
  /** What was set for the transaction that is open, by {@link sendWithSettings}. */
  readonly localSettings: Map<string, string> = new Map();
  /** What the session has where the transaction sets nothing; see {@link SESSION_SETTINGS}. */
  ownSettings: ReadonlyMap<string, string> = new Map();
  #sendsTogether = false;
  /** A statement may have changed settings of the session since they were last compared. */
  sessionUnsure = true;

  constructor(config: TrackedClientConfig) {
    super(config);
    // A connection that breaks while somebody holds it is told by the statement that runs, or by the next. pg emits it besides, and
    // where nobody listens Node ends the process, with all that is in flight: for one transaction in a database that restarts.
    this.on('error', () => {});
    this.#config = config;
    this.#analysis = config.analysis;
  }

  override query(...args: unknown[]): unknown {
    const context = currentContext();
    if (!context?.stages) return this.#query(args, context);
    return timeStatement(context.stages, args, (timed) => this.#query(timed, context));
  }

  #query(args: readonly unknown[], known: WorkContext | undefined): unknown {
    const text = readText(args[0]);
    const effect = text !== undefined && this.#analysis ? this.#analysis.effectOf(text) : 'unknown';
    if (effect === 'session' || effect === 'unknown') this.sessionUnsure = true;
    // A write is told to a feed, or a pool, that asks for it, whether or not anybody asks for its position.
    const isAsked = this.#analysis?.writes !== undefined || this.#analysis?.onWrite !== undefined;
    const context = known ?? (isAsked ? { fill: undefined, position: 0n } : undefined);
    if (!context) return super.query(...args);
    if (effect !== 'read' && effect !== 'transaction') this.#wrote = true;
    // pg calls back in the context of the socket: in that of whoever opened the connection, or in none.
    const bound = args.map((arg) => (typeof arg === 'function' ? AsyncResource.bind(arg as () => void) : arg));
    // What submits itself (COPY by a stream, a cursor) ends as it likes: its position is asked for with the next statement.
    if (text === undefined || !this.#wrote) return known ? this.#read(bound, known) : super.query(...bound);
    const statement = readStatement(args);
    return answer(this.#queryAndAskPosition(statement, effect, context), statement.callback);
  }

  /** What submits itself tells no end, and counts as under way for ever. */
  #read(args: readonly unknown[], context: WorkContext): unknown {
    if (context.isPositionAsked) context.hasReadBeyond = true;
    context.readsUnderway = (context.readsUnderway ?? 0) + 1;
    return sendNoticed(
      args,
      (noticed) => super.query(...noticed),
      () => {
        context.readsUnderway = (context.readsUnderway ?? 0) - 1;
      },
    );
  }

  /** A transaction begins in which statements of several origins run, each with its own settings. */
  beginSettings(own: ReadonlyMap<string, string>): void {
    this.localSettings.clear();
    this.ownSettings = own;
  }

  /** Sends without looking at what it does: for statements that were looked at before. */
  send(config: pg.QueryConfig | string): Promise<Result> {
    if (this.pipeline) this.#sendTogether();
    return super.query(config) as Promise<Result>;
  }

  /** What a turn of the loop sends goes out in one write: `BEGIN` with the first statements of a fill, say. */
  #sendTogether(): void {
    if (this.#sendsTogether) return;
    this.#sendsTogether = true;
    const { stream } = this.connection;
    stream.cork();
    process.nextTick(() => {
      this.#sendsTogether = false;
      stream.uncork();
    });
  }

  /** Ends the connection at once; statements that wait for an answer fail. */
  destroy(): void {
    this.connection.stream.destroy();
  }

  async #queryAndAskPosition(statement: Statement, effect: Effect, context: WorkContext): Promise<Result> {
    if (effect === 'session' || effect === 'unknown') this.#mayBeUnflushed = true;
    let result: Result;
    try {
      result = await this.send(statement.config);
    } catch (error) {
      await this.#ready();
      // Without a SQLSTATE it is the connection that failed, maybe after the server had committed.
      if (!isSqlState((error as { code?: unknown }).code)) {
        this.#analysis?.writes?.lost();
        await this.#askElsewhere(context);
      }
      // A failed write wrote nothing. Of several statements in one text, those before the failed one may be committed.
      if (this.getTransactionStatus() === 'I') {
        if (effect === 'unknown' || this.#mayHaveCommitted) await this.#askPosition(context);
        else this.#forget();
      }
      throw error;
    }
    if (this.getTransactionStatus() !== 'I') {
      if (effect !== 'write' && effect !== 'read') this.#mayHaveCommitted = true;
      return result;
    }
    if (result.command === 'ROLLBACK' && !this.#mayHaveCommitted) {
      this.#forget();
      return result;
    }
    const position = await this.#askPosition(context);
    if (position !== undefined) result.position = position;
    return result;
  }

  /** A failure is told at once, and the state of the transaction after it a moment later. A connection that is gone tells nothing. */
  async #ready(): Promise<void> {
    if (this.readyForQuery || this.connection.stream.destroyed) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.connection.removeListener('readyForQuery', done);
        this.connection.removeListener('end', done);
        resolve();
      };
      this.connection.on('readyForQuery', done);
      this.connection.on('end', done);
    });
  }

  async #askPosition(context: WorkContext): Promise<bigint | undefined> {
    const sql = this.#mayBeUnflushed ? INSERTED_POSITION_SQL : COMMITTED_POSITION_SQL;
    this.#forget();
    // What has come back by now was committed before.
    context.isPositionAsked = true;
    context.hasReadBeyond = (context.readsUnderway ?? 0) > 0;
    try {
      const writes = this.#analysis?.writes;
      // A transaction id for nothing: its commit is not waited for, and whoever sees it sees what was committed before.
      const marker = writes ? ', pg_current_xact_id()::text as marker' : '';
      const { rows } = await this.send(`select ${sql} as position${marker}`);
      const position = parsePosition(rows[0].position);
      writes?.wrote({ position, marker: BigInt(rows[0].marker) });
      if (position > context.position) context.position = position;
      this.#analysis?.onWrite?.(position);
      return position;
    } catch {
      // The connection broke after the write was committed. The caller must not be told that the write failed.
      this.#analysis?.writes?.lost();
      return await this.#askElsewhere(context);
    }
  }

  /** Undefined when the server can't be reached: then nobody knows what became of the write, and that is what the work carries. */
  async #askElsewhere(context: WorkContext): Promise<bigint | undefined> {
    this.#forget();
    const client = runWithoutContext(
      () =>
        new pg.Client({
          ...this.#config,
          connectionTimeoutMillis: ELSEWHERE_TIMEOUT_MS,
          query_timeout: ELSEWHERE_TIMEOUT_MS,
        }),
    );
    client.on('error', () => {}); // the query itself tells
    try {
      await client.connect();
      // How the write was committed is not known any more, so what nobody has flushed yet counts, too.
      const { rows } = await client.query(`select ${INSERTED_POSITION_SQL} as position`);
      const position = parsePosition(rows[0].position);
      if (position > context.position) context.position = position;
      this.#analysis?.onWrite?.(position);
      return position;
    } catch {
      context.position = UNKNOWN_POSITION;
      this.#analysis?.noteUnknownWrite();
      return undefined;
    } finally {
      client.end().catch(() => {});
    }
  }

  #forget(): void {
    this.#wrote = false;
    this.#mayHaveCommitted = false;
    this.#mayBeUnflushed = false;
  }
}

/** As the pool hands it out. */
export type PooledClient = TrackedClient & { release(error?: boolean | Error): void };
