/**
 * The statements of one fill, in one read-only transaction on one connection, seeing one snapshot.
 *
 *   idle ──first statement──► open ──close()──► closed        COMMIT, connection back to the pool
 *                              └────leave()───► left          the same, but what follows goes to the pool as if the
 *                                                             route were not cached, and the answer is not stored
 *
 * `BEGIN`, the snapshot and the first statements go out together (pipelined), so that a fill costs one round trip less
 * than it has statements to say. Cost over the bare statement: see `bench/RESULTS.md`.
 */
import type pg from 'pg';
import type { Fill } from '../cache/index.ts';
import { parseLsn, parseSnapshot } from '../feed/index.ts';
import { ALL_SETTINGS_SQL, type Analysis, QUICK_SETTINGS_SQL } from './analysis.ts';
import { COMMITTED_POSITION_SQL } from './committed-position.ts';
import type { Statement } from './statement.ts';
import type { TrackedClient } from './tracked-client.ts';

export type PooledClient = TrackedClient & { release(error?: boolean | Error): void };

/** The part of a pool that a session uses. */
export interface FillPool {
  readonly analysis: Analysis;
  /** A connection of its own, whatever the context. */
  connectPlain(): Promise<PooledClient>;
}

const BEGIN_SQL = `begin isolation level repeatable read read only;
select pg_current_snapshot()::text as snapshot, ${COMMITTED_POSITION_SQL} as position, ${QUICK_SETTINGS_SQL} as settings`;

/** SQLSTATE of a statement in a transaction that an earlier statement has broken. */
const IN_FAILED_TRANSACTION = '25P02';

export class FillSession {
  readonly fill: Fill<unknown>;
  readonly #pool: FillPool;
  #client: Promise<PooledClient> | undefined;
  #state: 'open' | 'left' | 'closed' = 'open';

  constructor(fill: Fill<unknown>, pool: FillPool) {
    this.fill = fill;
    this.#pool = pool;
  }

  /** Statements are still read for the fill. */
  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Runs a statement for the fill; undefined when it isn't one for it: the caller sends it elsewhere. */
  query(statement: Statement): Promise<pg.QueryResult> | undefined {
    if (!this.isOpen) return undefined;
    const template = this.#pool.analysis.analyzer?.template(statement.text);
    if (!template) {
      this.leave('catalog', 'The schema is being read, after a start or a change.');
      return undefined;
    }
    if (template.refusal || !template.pure) {
      this.leave(
        template.refusal?.code ?? 'write',
        template.refusal?.detail ?? 'The statement is not proven to only read.',
      );
      this.fill.statements.push({ text: statement.text, terms: [], refusal: template.refusal, durationMs: 0, rows: 0 });
      return undefined;
    }
    const readSet = template.bind(statement.values);
    const record = { text: statement.text, terms: readSet.terms, refusal: undefined, durationMs: 0, rows: 0 };
    this.fill.read(record, readSet.usesTime);
    return this.#run(statement, record);
  }

  /** Ends the fill's care, not the request. */
  leave(code: string, detail: string): void {
    this.fill.abandon(code, detail);
    if (this.#state !== 'open') return;
    this.#state = 'left';
    void this.#end();
  }

  /** Ends the transaction. Does not wait for the server: the answer is complete when its statements are. */
  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closed';
    void this.#end();
  }

  async #run(statement: Statement, record: { durationMs: number; rows: number }): Promise<pg.QueryResult> {
    const startedAt = performance.now();
    try {
      this.#client ??= this.#open();
      const client = await this.#client;
      const result = await client.send(statement.config);
      record.durationMs = performance.now() - startedAt;
      record.rows = result.rowCount ?? 0;
      return result;
    } catch (error) {
      const isConsequence = (error as { code?: string }).code === IN_FAILED_TRANSACTION;
      this.leave('statement-failed', `A statement failed: ${(error as Error).message}`);
      if (!isConsequence) throw error;
      // Outside a transaction the failure of another statement would not have concerned this one.
      const client = await this.#pool.connectPlain();
      try {
        return await client.send(statement.config);
      } finally {
        client.release();
      }
    }
  }

  async #open(): Promise<PooledClient> {
    const client = await this.#pool.connectPlain();
    const { analysis } = this.#pool;
    try {
      if (client.sessionUnsure) {
        const { rows } = await client.send(`${ALL_SETTINGS_SQL}`);
        if (Object.values(rows[0])[0] === analysis.allSettings) client.sessionUnsure = false;
        else
          this.fill.abandon(
            'session-state',
            'The session has other settings than its pool had when the schema was read (SET, set_config).',
          );
      }
      client.pipeline = true;
      this.fill.open();
      void client.send(BEGIN_SQL).then(
        (results) => {
          const [row] = (results as unknown as pg.QueryResult[])[1]?.rows ?? [];
          this.fill.begin(parseSnapshot(row.snapshot), parseLsn(row.position));
          if (row.settings !== analysis.quickSettings) {
            this.fill.abandon(
              'session-state',
              'The session has another user, search_path, time zone or date style than its pool had when the schema was read, or temporary tables.',
            );
          }
        },
        (error: Error) =>
          this.fill.abandon('statement-failed', `The transaction could not be opened: ${error.message}`),
      );
      return client;
    } catch (error) {
      client.release(true);
      throw error;
    }
  }

  async #end(): Promise<void> {
    let client: PooledClient;
    try {
      if (!this.#client) return;
      client = await this.#client;
    } catch {
      return; // never opened: whoever sent the statement has been told
    }
    try {
      await client.send('commit');
      client.pipeline = false;
      client.release();
    } catch (error) {
      client.release(error as Error);
    }
  }
}
