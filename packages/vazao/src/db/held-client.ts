/**
 * A connection held for some statements of our own. When it breaks, pg tells the statement that runs and then emits
 * `error`: whoever holds it may want to know before the next statement, and a pool listens only while a connection is idle.
 */
import type { PooledClient } from './tracked-client.ts';

export class HeldClient {
  readonly client: PooledClient;
  readonly #onBroken: (error: Error) => void;
  #isBroken = false;

  constructor(client: PooledClient, onBroken: (error: Error) => void = () => {}) {
    this.client = client;
    this.#onBroken = onBroken;
    client.on('error', this.#listener);
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  release(error?: boolean | Error): void {
    this.client.release(error); // the pool listens again from here on
    this.client.removeListener('error', this.#listener);
  }

  /** Ends a transaction that has failed, and releases. Where it can't be ended, what it has set must not reach anybody else. */
  async undo(): Promise<void> {
    const isUndone = await this.client.send('rollback').then(
      () => true,
      () => false, // the first error is the one to tell
    );
    this.release(!isUndone);
  }

  readonly #listener = (error: Error): void => {
    this.#isBroken = true;
    this.#onBroken(error);
  };
}
