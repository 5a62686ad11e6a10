/**
 * What `pool.connect()` gives inside a fill. Query builders check out a client for every statement, so a checked-out
 * client is no reason to stop caching: it stands for the fill's transaction until it is asked for something that a fill
 * can't do, and for a real connection from then on.
 */
import { EventEmitter } from 'node:events';
import pg from 'pg';
import type { TransactionControl } from '../readset/index.ts';
import type { FillCare } from './fill-care.ts';
import { controlOf, createAborted, FillTransaction, resultOf } from './fill-transaction.ts';
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
      this.#session.leave(
        'cursor',
        'A cursor or stream was opened: its rows are read after the statement, outside the fill.',
      );
      this.#connectReal().then(
        (client) => client.query(...args),
        (error) => first.handleError?.(error),
      );
      return first;
    }
    const statement = readStatement(args);
    const result = this.#real ? undefined : this.#queryFill(statement);
    return answer(result ?? this.#queryReal(statement), statement.callback);
  }

  /** Undefined when a real connection must answer. */
  #queryFill(statement: Statement): Promise<pg.QueryResult> | undefined {
    const transaction = this.#transaction;
    const mayBegin = this.#session.isOneTransaction && this.#session.isOpen;
    const control = transaction || mayBegin ? controlOf(statement) : undefined;
    if (transaction?.hasFailed) {
      if (control?.kind !== 'commit' && control?.kind !== 'rollback') return Promise.reject(createAborted());
      this.#transaction = undefined;
      return Promise.resolve(resultOf('ROLLBACK'));
    }
    if (control?.kind === 'begin' || (control && transaction)) {
      const result = this.#control(statement, control, transaction);
      if (result) return Promise.resolve(result);
    }
    const result = this.#session.query(transaction?.care(statement) ?? statement);
    if (transaction) {
      result?.catch(() => {
        transaction.hasFailed = true;
      });
    }
    return result;
  }

  #control(
    statement: Statement,
    control: TransactionControl,
    transaction: FillTransaction | undefined,
  ): pg.QueryResult | undefined {
    switch (control.kind) {
      case 'begin':
        this.#transaction ??= new FillTransaction(statement);
        return resultOf(control.command);
      case 'set':
        return transaction?.set(statement, control);
      case 'commit':
      case 'rollback':
        this.#transaction = undefined;
        return resultOf(control.kind === 'commit' ? 'COMMIT' : 'ROLLBACK');
      default:
        return control satisfies never;
    }
  }

  release(error?: boolean | Error): void {
    if (this.#released) throw new Error('Release called on client which has already been released to the pool.');
    this.#released = true;
    this.#real?.then(
      (client) => {
        for (const event of FORWARDED_EVENTS) client.removeListener(event, this.#forwards[event]);
        client.release(error);
      },
      () => {}, // whoever asked it something has been told
    );
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
        await this.#transaction?.repeatOn((config) => client.send(config));
      } catch (error) {
        client.release(true);
        throw error;
      }
      return client;
    });
    return this.#real;
  }
}
