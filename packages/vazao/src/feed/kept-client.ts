import type pg from 'pg';
import { createClient, destroyClient, endClient } from './connection.ts';
import { FeedError } from './errors.ts';
import type { ResolvedFeedOptions } from './options.ts';

/** A connection for short statements: opened when it is needed, and another one when it was lost. Its user asks one thing at a time. */
export class KeptClient {
  readonly #options: Pick<ResolvedFeedOptions, 'connection' | 'connectTimeoutMs'>;
  readonly #applicationName: string;
  #client: pg.Client | undefined;
  #opening: pg.Client | undefined;
  #isClosed = false;

  constructor(options: Pick<ResolvedFeedOptions, 'connection' | 'connectTimeoutMs'>, applicationName: string) {
    this.#options = options;
    this.#applicationName = applicationName;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Rejects with what pg says, or when it is closed meanwhile. */
  async connected(): Promise<pg.Client> {
    if (this.#client) return this.#client;
    const client = createClient(this.#options, { applicationName: this.#applicationName, settings: {} });
    this.#opening = client;
    try {
      await client.connect();
    } catch (error) {
      destroyClient(client);
      throw error;
    } finally {
      this.#opening = undefined;
    }
    if (this.#isClosed) {
      await endClient(client);
      throw new FeedError('ERR_FEED_CLOSED', 'The feed was closed.');
    }
    client.once('end', () => {
      if (this.#client === client) this.#client = undefined;
    });
    this.#client = client;
    return client;
  }

  /** A statement has failed: who knows in what state it is. */
  drop(): void {
    if (this.#client) destroyClient(this.#client);
    this.#client = undefined;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const client = this.#client;
    this.#client = undefined;
    if (this.#opening) destroyClient(this.#opening);
    if (client) await endClient(client);
  }
}
