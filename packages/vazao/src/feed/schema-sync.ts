/**
 * Follows schema changes: one run at a time brings the publication in step; whatever happens meanwhile asks for one more
 * run, never for a queue of them. A run that fails (a table is locked, the database is away) is repeated.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { backoffMs } from './backoff.ts';
import { createClient, destroyClient, endClient } from './connection.ts';
import { FeedError, toFeedError } from './errors.ts';
import type { ResolvedFeedOptions } from './options.ts';
import type { PublicationState } from './publication.ts';
import { readSnapshot } from './read-snapshot.ts';
import { sees } from './snapshot.ts';

export interface SchemaChange {
  /** The transactions that made it, where they are known; the run waits until their effects are visible. */
  readonly xids: readonly bigint[];
  /** It came out of the fingerprint, so nobody knows which commits lie before and after it. */
  readonly unordered: boolean;
}

export interface SchemaSyncHandler {
  synced(state: PublicationState, change: SchemaChange): void;
  problem(error: FeedError): void;
}

/** Brings the publication, or the triggers, in step with the tables. */
export type BringInStep = (client: pg.ClientBase) => Promise<PublicationState>;

/**
 * Logical decoding may deliver a commit before its transaction leaves the set of running ones; with a synchronous standby
 * that lasts as long as the standby takes.
 */
const VISIBLE_POLL_MS = 2;
const VISIBLE_TIMEOUT_MS = 10_000;

export class SchemaSync {
  readonly #options: ResolvedFeedOptions;
  readonly #handler: SchemaSyncHandler;
  readonly #bringInStep: BringInStep;
  readonly #stopping = new AbortController();
  #wanted: SchemaChange | undefined;
  #run: Promise<void> | undefined;

  constructor(options: ResolvedFeedOptions, bringInStep: BringInStep, handler: SchemaSyncHandler) {
    this.#options = options;
    this.#bringInStep = bringInStep;
    this.#handler = handler;
  }

  /** Whether a change is known that the publication may not be in step with. */
  get isBehind(): boolean {
    return this.#wanted !== undefined || this.#run !== undefined;
  }

  request(change: SchemaChange): void {
    this.#wanted = merge(this.#wanted, change);
    this.#run ??= this.#work().finally(() => {
      this.#run = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#run;
  }

  async #work(): Promise<void> {
    const { signal } = this.#stopping;
    for (let failures = 0; this.#wanted && !signal.aborted; ) {
      const change: SchemaChange = this.#wanted;
      this.#wanted = undefined;
      try {
        const state = await this.#sync(change, signal);
        failures = 0;
        if (!signal.aborted) this.#handler.synced(state, change);
      } catch (error) {
        if (signal.aborted) return;
        this.#wanted = merge(this.#wanted, change);
        this.#handler.problem(toFeedError(error));
        // Rejects when stopped, which ends the loop.
        await delay(backoffMs(failures++, this.#options), undefined, { signal }).catch(() => {});
      }
    }
  }

  async #sync(change: SchemaChange, signal: AbortSignal): Promise<PublicationState> {
    const client = createClient(this.#options, { applicationName: 'vazao feed (schema)', settings: {} });
    const abort = (): void => destroyClient(client);
    signal.addEventListener('abort', abort);
    try {
      await client.connect();
      const deadline = this.#options.clock.monotonicMs() + VISIBLE_TIMEOUT_MS;
      while (!(await areVisible(client, change.xids))) {
        if (this.#options.clock.monotonicMs() > deadline) {
          throw new FeedError(
            'ERR_FEED_DATABASE',
            `A schema change (transaction ${change.xids.join(', ')}) was delivered, but is not visible yet.`,
          );
        }
        await delay(VISIBLE_POLL_MS, undefined, { signal });
      }
      return await this.#bringInStep(client);
    } finally {
      signal.removeEventListener('abort', abort);
      await endClient(client);
    }
  }
}

async function areVisible(client: pg.ClientBase, xids: readonly bigint[]): Promise<boolean> {
  if (xids.length === 0) return true;
  const snapshot = await readSnapshot(client);
  return xids.every((xid) => sees(snapshot, xid));
}

function merge(first: SchemaChange | undefined, second: SchemaChange): SchemaChange {
  if (!first) return second;
  return { xids: [...first.xids, ...second.xids], unordered: first.unordered || second.unordered };
}
