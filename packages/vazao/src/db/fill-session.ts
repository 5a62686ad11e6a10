/**
 * The statements of one fill, in one read-only transaction on one connection, seeing one snapshot.
 *
 *   idle ──first statement──► open ──close()──► closed        COMMIT, connection back to the pool
 *                              └────leave()───► left          the same, but what follows goes to the pool as if the
 *                                                             route were not cached, and the answer is not stored
 *
 * `BEGIN`, the snapshot and the first statements go out together (pipelined) and nobody waits for `COMMIT`, so a fill makes
 * no round trip more than its statements do: 1.1 times the bare statement where a round trip takes 2 ms, against 3.7 times
 * one after the other; on one host the server's work for them shows, 1.9 times (`bench/fill.ts`). The snapshot as a named
 * statement would save a tenth of that, and break with each `DISCARD ALL` and behind poolers of transactions.
 *
 * With replicas the transaction is one of a replica (`replica-transaction.ts`) until that can't go on; then it is begun on
 * the primary, and what the handler was given before is asked again: if nothing differs, the answer is still one moment.
 */
import type pg from 'pg';
import type { Fill, NotStored, StatementRecord } from '../cache/index.ts';
import { parsePosition, parseSnapshot } from '../feed/index.ts';
import { mentionsCurrentTime, type Template } from '../readset/index.ts';
import type { Analysis } from './analysis.ts';
import { COMMITTED_POSITION_SQL } from './committed-position.ts';
import { currentContext } from './context.ts';
import { ReplicaConflictError } from './errors.ts';
import type { FillCare } from './fill-care.ts';
import { IN_FAILED_TRANSACTION } from './fill-transaction.ts';
import { HeldClient } from './held-client.ts';
import type { LocalSession } from './local-sessions.ts';
import { ReplicaTransaction } from './replica-transaction.ts';
import type { Replicas } from './replicas.ts';
import { sendRead, sendWithSettings } from './send-read.ts';
import { ALL_SETTINGS_SQL, QUICK_SETTINGS_SQL } from './session-settings.ts';
import { isSqlState } from './sql-state.ts';
import { nameStatement } from './stages.ts';
import { type Statement, shownText } from './statement.ts';
import type { PooledClient } from './tracked-client.ts';

/** The part of a pool that a session uses. */
export interface FillPool {
  readonly owner: object;
  readonly analysis: Analysis;
  /** Undefined: the primary alone. */
  readonly replicas: Replicas | undefined;
  /** A connection of its own to the primary, whatever the context. */
  connectPlain(): Promise<PooledClient>;
}

const BEGIN_SQL = `begin isolation level repeatable read read only;
select pg_current_snapshot()::text as snapshot, ${COMMITTED_POSITION_SQL} as position, ${QUICK_SETTINGS_SQL} as settings`;

export class FillSession implements FillCare {
  readonly fill: Fill<unknown>;
  readonly #pool: FillPool;
  /** On the primary. */
  #held: Promise<HeldClient> | undefined;
  /** Null: there was none to read from when the first statement came. */
  #replica: ReplicaTransaction | null | undefined;
  #moved: Promise<void> | undefined;
  /** What the pool's own option says of pipelining. */
  #pipelineBefore = false;
  #state: 'open' | 'left' | 'closed' = 'open';
  #hasConflict = false;

  constructor(fill: Fill<unknown>, pool: FillPool) {
    this.fill = fill;
    this.#pool = pool;
  }

  get owner(): object {
    return this.#pool.owner;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get isOneTransaction(): boolean {
    const { analyzer, beginsReadCommitted } = this.#pool.analysis;
    return analyzer !== undefined && beginsReadCommitted;
  }

  get notStored(): NotStored | undefined {
    return this.fill.notStored;
  }

  /** Statements may have run outside the fill's transaction, and have seen more than its snapshot. */
  get hasLeft(): boolean {
    return this.#state === 'left';
  }

  /** A replica could not go on, and a statement failed by it; once more, on the primary, it would not. */
  get hasConflict(): boolean {
    return this.#hasConflict;
  }

  findLocal(settings: ReadonlyMap<string, string>): LocalSession | 'refused' | undefined {
    return this.#pool.analysis.findLocal(settings);
  }

  query(statement: Statement): Promise<pg.QueryResult> | undefined {
    if (!this.isOpen) return undefined;
    if ((statement.config as { rows?: unknown }).rows) {
      this.leave('cursor', 'The statement is read in portions (`rows`), which pg refuses on a pipelined connection.');
      return undefined;
    }
    const local = this.findLocal(statement.settings ?? NONE);
    const template = local === 'refused' ? undefined : local?.analyzer.template(statement.text);
    if (!template) {
      this.leave('catalog', 'The schema is being read, after a start or a change.');
      return undefined;
    }
    if (template.refusal || !template.pure) {
      this.leave(
        template.refusal?.code ?? 'write',
        template.refusal?.detail ?? 'The statement is not proven to only read.',
      );
      this.fill.statements.push({
        text: shownText(statement.text),
        terms: [],
        refusal: template.refusal,
        durationMs: 0,
        rows: 0,
      });
      return undefined;
    }
    const unset = template.settings.find((name) => !statement.settings?.has(name));
    if (unset !== undefined) {
      this.leave('session-function', `The statement reads the setting ${unset}, which is not set in its transaction.`);
      return undefined;
    }
    const readSet = template.bind(statement.values);
    const record: StatementRecord = {
      text: shownText(statement.text),
      terms: readSet.terms,
      refusal: undefined,
      durationMs: 0,
      rows: 0,
    };
    const isOfToday = template.settings.some((name) => mentionsCurrentTime(statement.settings?.get(name) ?? ''));
    this.fill.read(record, readSet.usesTime || isOfToday);
    return this.#run(statement, template, record);
  }

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

  async #run(statement: Statement, template: Template, record: StatementRecord): Promise<pg.QueryResult> {
    const startedAt = performance.now();
    let held: HeldClient | undefined;
    let waitedMs = 0;
    try {
      const replica = this.#chooseReplica();
      // No turn may come between the call and the opening where there is no replica: who leaves the fill in it ends what is open then.
      let result = replica ? await replica.run(statement, template, record) : undefined;
      if (!result) {
        if (replica && this.isOpen) await this.#moveToPrimary(replica);
        // Sent before the fill left, or ended; what the replica could not answer is answered as if there were no fill.
        if (!this.isOpen) return await this.#runPlain(statement);
        this.#held ??= this.#open();
        const waitsSince = performance.now();
        held = await this.#held;
        waitedMs = performance.now() - waitsSince; // the pool's time, and not the statement's
        result = await sendRead(held.client, statement, template, record);
      }
      record.durationMs = performance.now() - startedAt - waitedMs;
      currentContext()?.stages?.addStatement(nameStatement(statement.text, statement.config.name), record.durationMs);
      return result;
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      this.leave('statement-failed', `A statement failed: ${message}`);
      // Each on a connection of its own, the failure of another statement would not have concerned this one, nor would a
      // connection that broke while it was idle. What has a SQLSTATE is the statement's own failure.
      const isConsequence = code === IN_FAILED_TRANSACTION || (held?.isBroken && !isSqlState(code));
      if (!isConsequence) throw error;
      return this.#runPlain(statement);
    }
  }

  #chooseReplica(): ReplicaTransaction | null {
    if (this.#replica !== undefined) return this.#replica;
    const { replicas, analysis } = this.#pool;
    // What is not to be stored anyway is computed past the cache because it must show more than the cache could.
    const replica = this.fill.notStored ? undefined : replicas?.choose();
    this.#replica =
      replica && replicas ? new ReplicaTransaction(replica, this.fill, analysis, () => replicas.needed) : null;
    return this.#replica;
  }

  #moveToPrimary(replica: ReplicaTransaction): Promise<void> {
    this.#moved ??= this.#move(replica);
    return this.#moved;
  }

  async #move({ given, refusal }: ReplicaTransaction): Promise<void> {
    this.#held = this.#open();
    const { client } = await this.#held;
    let cause: unknown;
    const areEqual = await given
      .areEqual((statement) => sendWithSettings(client, statement))
      .catch((error: unknown) => {
        cause = error;
        return false;
      });
    if (areEqual) return;
    this.#hasConflict = true;
    throw new ReplicaConflictError(refusal ?? 'closed', { cause });
  }

  /** As if the route were not cached. Only for what is proven to read, so that a second run does no harm. */
  async #runPlain(statement: Statement): Promise<pg.QueryResult> {
    const held = new HeldClient(await this.#pool.connectPlain());
    const { client } = held;
    if (!statement.settings) {
      try {
        return await client.send(statement.config);
      } finally {
        held.release();
      }
    }
    try {
      await client.send('begin read only');
      client.beginSettings(this.#pool.analysis.ownSettings);
      const result = await sendWithSettings(client, statement);
      await client.send('commit');
      held.release();
      return result;
    } catch (error) {
      await held.undo();
      throw error;
    }
  }

  async #open(): Promise<HeldClient> {
    const client = await this.#pool.connectPlain();
    const held = new HeldClient(client, (error) =>
      this.leave('connection-lost', `The connection broke between two statements: ${error.message}`),
    );
    this.#pipelineBefore = client.pipeline;
    try {
      if (client.sessionUnsure) await this.#compareSettings(client);
      client.pipeline = true;
      client.beginSettings(this.#pool.analysis.ownSettings);
      this.fill.open();
      client.send(BEGIN_SQL).then(
        (results) => this.#begun((results as unknown as pg.QueryResult[])[1]?.rows[0]),
        (error: Error) =>
          this.fill.abandon('statement-failed', `The transaction could not be opened: ${error.message}`),
      );
      return held;
    } catch (error) {
      held.release(true);
      throw error;
    }
  }

  async #compareSettings(client: PooledClient): Promise<void> {
    const { rows } = await client.send(ALL_SETTINGS_SQL);
    if (rows[0]?.settings === this.#pool.analysis.allSettings) client.sessionUnsure = false;
    else
      this.fill.abandon(
        'session-state',
        'The session has other settings than its pool had when the schema was read (SET, set_config).',
      );
  }

  #begun(row: { snapshot: string; position: string; settings: string }): void {
    this.fill.begin(parseSnapshot(row.snapshot), parsePosition(row.position));
    if (row.settings === this.#pool.analysis.quickSettings) return;
    this.fill.abandon(
      'session-state',
      'The session has another user, search_path, time zone or format of values than its pool had when the schema was read, or temporary tables.',
    );
  }

  async #end(): Promise<void> {
    this.#replica?.close();
    let held: HeldClient;
    try {
      if (!this.#held) return;
      held = await this.#held;
    } catch {
      return; // never opened: whoever sent the statement has been told
    }
    try {
      await held.client.send('commit');
    } catch (error) {
      held.release(error as Error);
      return;
    }
    held.client.pipeline = this.#pipelineBefore;
    held.release();
  }
}

const NONE: ReadonlyMap<string, string> = new Map();
