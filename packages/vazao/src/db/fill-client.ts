/**
 * What `pool.connect()` gives inside a fill. Query builders check out a client for every statement, so a checked-out
 * client is no reason to stop caching: it stands for the fill's transaction until it is asked for something that a fill
 * can't do, and for a real connection from then on.
 */
import { EventEmitter } from 'node:events';
import type { FillSession, PooledClient } from './fill-session.ts';
import { answer, readStatement, type Statement } from './statement.ts';

export class FillClient extends EventEmitter {
  readonly #session: FillSession;
  readonly #connectPlain: () => Promise<PooledClient>;
  #real: Promise<PooledClient> | undefined;
  #released = false;

  constructor(session: FillSession, connectPlain: () => Promise<PooledClient>) {
    super();
    this.#session = session;
    this.#connectPlain = connectPlain;
  }

  query(...args: unknown[]): unknown {
    if (this.#released) throw new Error('Client was released to the pool and is not queryable.');
    const statement = readStatement(args);
    if (!statement) {
      this.#session.leave(
        'cursor',
        'A cursor or stream was opened: its rows are read after the statement, outside the fill.',
      );
      void this.#connectReal().then(
        (client) => client.query(...args),
        (error) => this.emit('error', error),
      );
      return args[0];
    }
    const result = this.#real ? undefined : this.#session.query(statement);
    return answer(result ?? this.#queryReal(statement), statement.callback);
  }

  release(error?: boolean | Error): void {
    if (this.#released) throw new Error('Release called on client which has already been released to the pool.');
    this.#released = true;
    this.#real?.then(
      (client) => client.release(error),
      () => {},
    );
  }

  async #queryReal(statement: Statement): Promise<unknown> {
    const client = await this.#connectReal();
    return client.query(statement.config);
  }

  #connectReal(): Promise<PooledClient> {
    this.#real ??= this.#connectPlain();
    return this.#real;
  }
}
