/**
 * What `pool.connect()` gives inside a fill. Query builders check out a client for every statement, so a checked-out
 * client is no reason to stop caching: it stands for the fill's transaction until it is asked for something that a fill
 * can't do, and for a real connection from then on.
 */
import { EventEmitter } from 'node:events';
import pg from 'pg';
import type { TransactionControl } from '../readset/index.ts';
import type { FillCare } from './fill-care.ts';
import { controlOf, FillTransaction, resultOf } from './fill-transaction.ts';
import { isSqlState } from './sql-state.ts';
import { answer, isSubmittable, readStatement, type Statement } from './statement.ts';
import type { PooledClient } from './tracked-client.ts';

/** What the real connection tells, its listeners hear. */
const FORWARDED_EVENTS = ['error', 'end', 'notice', 'notification'] as const;

export class FillClient extends EventEmitter {
  readonly #session: FillCare;
  readonly #connectPlain: () => Promise<PooledClient>;
  #real: Promise<PooledClient> | undefined;
  /** Begun, and not yet ended, while the fill's stands for it. */
  #transaction: FillTransaction | undefined;
  #released = false;
  /** Ends with the statement that was given last; undefined when none is under way. */
  #last: Promise<void> | undefined;

  constructor(session: FillCare, connectPlain: () => Promise<PooledClient>) {
    super();
    this.#session = session;
    this.#connectPlain = connectPlain;
  }

  query(...args: unknown[]): unknown {
    if (this.#released) throw new Error('Client was released to the pool and is not queryable.');
    const [first] = args;
    if (first == null) throw new TypeError('Client was passed a null or undefined query');
    if (isSubmittable(first)) {
      this.#inTurn(async () => {
        this.#session.leave(
          'cursor',
          'A cursor or stream was opened: its rows are read after the statement, outside the fill.',
        );
        (await this.#connectReal()).query(...args);
      }).catch((error) => first.handleError?.(error));
      return first;
    }
    const statement = readStatement(args);
    return answer(
      this.#inTurn(() => this.#queryFill(statement) ?? this.#queryReal(statement)),
      statement.callback,
    );
  }

  release(error?: boolean | Error): void {
    if (this.#released) throw new Error('Release called on client which has already been released to the pool.');
    this.#released = true;
    const releaseReal = (): void => {
      this.#real?.then(
        (client) => {
          for (const event of FORWARDED_EVENTS) client.removeListener(event, this.#forwards[event]);
          client.release(error);
        },
        () => {}, // whoever asked it something has been told
      );
    };
    if (this.#last) this.#last.then(releaseReal);
    else releaseReal();
  }

  /** As on any connection, a statement begins when the one before has ended. The first one begins at once. */
  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#last ? this.#last.then(run) : run();
    const last = result.then(
      () => {},
      () => {},
    );
    this.#last = last;
    last.then(() => {
      if (this.#last === last) this.#last = undefined;
    });
    return result;
  }

  /** Undefined when a real connection must answer. */
  #queryFill(statement: Statement): Promise<pg.QueryResult> | undefined {
    if (this.#real) return undefined;
    const transaction = this.#transaction;
    const mayBegin = this.#session.isOneTransaction && this.#session.isOpen;
    const control = transaction || mayBegin ? controlOf(statement) : undefined;
    const result = control && this.#control(statement, control, transaction);
    if (result) return Promise.resolve(result);
    if (transaction?.hasFailed) return undefined;
    const read = this.#session.query(transaction?.care(statement) ?? statement);
    return transaction ? read?.catch((error) => this.#fail(transaction, error)) : read;
  }

  /** Errors without a SQLSTATE, of a type parser or of a connection, are not of the transaction. */
  #fail(transaction: FillTransaction, error: unknown): never {
    if (isSqlState((error as { code?: unknown }).code)) transaction.hasFailed = true;
    throw error;
  }

  /** Undefined for what the fill's transaction can't stand for. */
  #control(
    statement: Statement,
    control: TransactionControl,
    transaction: FillTransaction | undefined,
  ): pg.QueryResult | undefined {
    if (control.kind === 'commit' || control.kind === 'rollback') {
      if (!transaction) return undefined;
      this.#transaction = undefined;
      return resultOf(control.kind === 'commit' && !transaction.hasFailed ? 'COMMIT' : 'ROLLBACK');
    }
    if (transaction?.hasFailed) return undefined;
    if (control.kind === 'set') return transaction?.set(statement, control, this.#session);
    this.#transaction ??= new FillTransaction(statement);
    return resultOf(control.command);
  }

  escapeIdentifier(text: string): string {
    return pg.escapeIdentifier(text);
  }

  escapeLiteral(text: string): string {
    return pg.escapeLiteral(text);
  }

  readonly getTypeParser: typeof pg.types.getTypeParser = pg.types.getTypeParser;

  readonly #forwards = Object.fromEntries(
    FORWARDED_EVENTS.map((event) => [
      event,
      (...args: unknown[]): void => {
        // An error without a listener would end the process; the statement that met it has been told.
        if (event !== 'error' || this.listenerCount('error') > 0) this.emit(event, ...args);
      },
    ]),
  ) as Record<(typeof FORWARDED_EVENTS)[number], (...args: unknown[]) => void>;

  async #queryReal(statement: Statement): Promise<unknown> {
    const client = await this.#connectReal();
    return client.query(statement.config);
  }

  #connectReal(): Promise<PooledClient> {
    this.#real ??= this.#connectPlain().then(async (client) => {
      for (const event of FORWARDED_EVENTS) client.on(event, this.#forwards[event]);
      try {
        const transaction = this.#transaction;
        // Under another role or path what follows may write though it would not without: the client has to know.
        await transaction?.repeatOn((config) => (transaction.setsSession ? client.query(config) : client.send(config)));
      } catch (error) {
        client.release(true);
        throw error;
      }
      return client;
    });
    return this.#real;
  }
}
