/**
 * The transaction of a fill on a replica.
 *
 *   begun ──too early──► rolled back, begun again (for 5 ms) ──► refused, or good
 *     └──good──► statements are answered ──conflict, connection lost──► refused: the session goes on on the primary
 *
 * `BEGIN` and the first statements go out together; what they bring is looked at when it is known that the replica had
 * replayed what is needed, and thrown away when it had not. Asking first costs a round trip for each fill, and finds the
 * replica ready nine times out of ten under 200 commits a second; with the 5 ms, 99 times of 100 (`bench/replica.ts`).
 *
 * Two positions are read, on either side of the snapshot:
 *
 *   - *before* it, in a transaction of its own, how far the log was replayed. Each commit up to there is visible, for
 *     PostgreSQL moves that position on when a record has been applied (xlogrecovery.c, `ApplyWalRecord`);
 *   - *after* it, a position that all the snapshot sees lies before. How far the log was replayed by then is not one: the
 *     snapshot may see the commit whose record has just been applied, while the position is moved on a moment later. But
 *     what is replayed from a stream was received before; so it is the received position while a receiver is at work (that
 *     one is looked at first: a record from the archive has been counted before a receiver is started). Without a receiver
 *     it is the next byte: the feed's position is always the end of a record, so once it has passed that byte it has
 *     passed the record in question.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Fill, StatementRecord } from '../cache/index.ts';
import { parseLsn, positionAt } from '../feed/index.ts';
import type { Template } from '../readset/index.ts';
import type { Analysis } from './analysis.ts';
import { GivenResults } from './given-results.ts';
import { HeldClient } from './held-client.ts';
import type { Replica, ReplicaRefusal } from './replica.ts';
import { isOfSettings, sendRead } from './send-read.ts';
import { QUICK_SETTINGS_SQL, SERVER_SETTINGS_SQL } from './session-settings.ts';
import { isSqlState } from './sql-state.ts';
import type { Statement } from './statement.ts';

/** The first transaction is one because `BEGIN` can't ask for an isolation level after a query of the same message. */
const BEGIN_SQL = `begin read only;
select coalesce(pg_last_wal_replay_lsn(), '0/0')::text as replayed;
commit;
begin isolation level repeatable read read only;
select pg_is_in_recovery() as standby,
  case when exists (select from pg_stat_wal_receiver)
    then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text end as received,
  coalesce(pg_last_wal_replay_lsn(), '0/0')::text as replayed, ${QUICK_SETTINGS_SQL} as quick, ${SERVER_SETTINGS_SQL} as server`;
const REPLAYED_RESULT = 1;
const SNAPSHOT_RESULT = 4;

/** How long, and how often, a replica is asked again that had not replayed what is needed. */
const CATCH_UP_MAX_MS = 5;
const CATCH_UP_PAUSE_MS = 1;

type Outcome =
  | { readonly result: pg.QueryResult; readonly isGood: boolean }
  | { readonly error: Error & { readonly code?: string }; readonly isGood: boolean };

export class ReplicaTransaction {
  /** What the handler has seen of this transaction. */
  readonly given: GivenResults = new GivenResults();
  readonly #replica: Replica;
  readonly #fill: Fill<unknown>;
  readonly #analysis: Analysis;
  readonly #findNeeded: () => bigint;
  #needed = 0n;
  #opened: Promise<HeldClient> | undefined;
  #refusal: ReplicaRefusal | undefined;
  #ended = false;
  /** Count of `BEGIN`s, and the one whose snapshot the fill has. */
  #attempt = 0;
  #goodAttempt = 0;
  #catchingUp: Promise<void> | undefined;

  /** @param findNeeded - what the replica must have replayed, asked when the fill is opened */
  constructor(replica: Replica, fill: Fill<unknown>, analysis: Analysis, findNeeded: () => bigint) {
    this.#replica = replica;
    this.#fill = fill;
    this.#analysis = analysis;
    this.#findNeeded = findNeeded;
  }

  /** Why it did not go on. */
  get refusal(): ReplicaRefusal | undefined {
    return this.#refusal;
  }

  /** Undefined when it is for the primary to answer. Throws what is the statement's own failure. */
  async run(statement: Statement, template: Template, record: StatementRecord): Promise<pg.QueryResult | undefined> {
    const { terms } = record;
    for (let tries = 0; tries < 2 && !this.#refusal; tries++) {
      const outcome = await this.#send(statement, template, record);
      if (this.#refusal) break;
      if (outcome?.isGood && 'result' in outcome) {
        this.given.add(statement, outcome.result);
        return outcome.result;
      }
      if (this.#ended) break;
      if (outcome?.isGood && 'error' in outcome) {
        // A role that the primary has, the replica may not have replayed.
        const refusal = isOfSettings(outcome.error) ? 'conflict' : refusalOf(outcome.error);
        if (!refusal) throw outcome.error;
        this.#refuse(refusal, outcome.error);
        break;
      }
      this.#catchingUp ??= this.#catchUp();
      await this.#catchingUp;
    }
    record.terms = terms; // as if nothing had been read
    return undefined;
  }

  /** Ends the transaction. Does not wait for the server. */
  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    void this.#end();
  }

  async #send(statement: Statement, template: Template, record: StatementRecord): Promise<Outcome | undefined> {
    let attempt = 0;
    try {
      this.#opened ??= this.#open();
      const { client } = await this.#opened;
      await this.#catchingUp;
      if (this.#refusal) return undefined;
      attempt = this.#attempt;
      const result = await sendRead(client, statement, template, record);
      return { result, isGood: attempt === this.#goodAttempt };
    } catch (error) {
      // A connection that could not be opened has been told of by `#open`.
      return attempt === 0 ? undefined : { error: error as Error, isGood: attempt === this.#goodAttempt };
    }
  }

  async #open(): Promise<HeldClient> {
    this.#fill.open();
    this.#needed = this.#findNeeded();
    try {
      const client = await this.#replica.connect();
      const held = new HeldClient(client, (error) => this.#refuse(refusalOf(error) ?? 'gone', error));
      client.pipeline = true;
      void this.#begin(held);
      return held;
    } catch (error) {
      const isFull = (error as { code?: string }).code === TOO_MANY_CONNECTIONS;
      this.#refuse(isFull ? 'busy' : 'gone', error as Error);
      throw error;
    }
  }

  /** Resolves when it is known whether the snapshot is good. */
  async #begin({ client }: HeldClient): Promise<void> {
    const attempt = ++this.#attempt;
    client.beginSettings(this.#analysis.ownSettings);
    await client.send(BEGIN_SQL).then(
      (results) => this.#begun(attempt, results as unknown as pg.QueryResult[]),
      (error: Error) => this.#refuse(refusalOf(error) ?? 'gone', error),
    );
  }

  #begun(attempt: number, results: readonly pg.QueryResult[]): void {
    const { timeline } = this.#replica;
    const replayedTo = positionAt(timeline, parseLsn(results[REPLAYED_RESULT]?.rows[0].replayed));
    const { standby, received, replayed, quick, server } = results[SNAPSHOT_RESULT]?.rows[0] ?? {};
    if (!standby) this.#refuse('promoted');
    else if (quick !== this.#analysis.quickSettings || server !== this.#analysis.serverSettings)
      this.#refuse('settings');
    else if (replayedTo >= this.#needed && !this.#refusal) {
      this.#goodAttempt = attempt;
      this.#replica.countUse();
      const seen = received === null ? parseLsn(replayed) + 1n : parseLsn(received);
      this.#fill.begin({ replayedTo }, positionAt(timeline, seen));
    }
  }

  async #catchUp(): Promise<void> {
    const held = await this.#opened?.catch(() => undefined);
    const deadline = performance.now() + CATCH_UP_MAX_MS;
    while (held && !this.#refusal && this.#goodAttempt === 0) {
      if (performance.now() >= deadline) this.#refuse('behind');
      else {
        await delay(CATCH_UP_PAUSE_MS);
        held.client.send('rollback').catch(() => {}); // a connection that broke is told of by what follows
        await this.#begin(held);
      }
    }
  }

  #refuse(refusal: ReplicaRefusal, error?: Error): void {
    if (this.#refusal) return;
    this.#refusal = refusal;
    this.#replica.refuse(refusal, error);
    this.close();
  }

  async #end(): Promise<void> {
    const held = await this.#opened?.catch(() => undefined);
    if (!held) return; // never opened: the fill went to the primary
    // What is given back while it is being tried again would be used by two.
    await this.#catchingUp;
    if (held.isBroken) {
      held.release(true);
      return;
    }
    try {
      await held.client.send('commit');
    } catch (error) {
      held.release(error as Error);
      return;
    }
    held.client.pipeline = false;
    held.release();
  }
}

const TOO_MANY_CONNECTIONS = '53300';
/** Cancelled: by a time-out of the statement, by an administrator, or for the replay. */
const QUERY_CANCELED = '57014';

/** Classes of SQLSTATE that tell of the server, and not of the statement. */
const OF_THE_SERVER: Readonly<Record<string, ReplicaRefusal>> = {
  '08': 'gone', // connection
  '25': 'conflict', // read-only or failed transaction
  '40': 'conflict', // with recovery, or a deadlock with it
  '53': 'conflict', // out of memory, or of disk for sorting
  '55': 'conflict', // not possible in recovery
  '57': 'gone', // shut down, crashed, not accepting connections
  '58': 'conflict', // system error
  XX: 'conflict', // internal error
};

/** Undefined for what is the statement's own failure, which the primary would meet too. */
function refusalOf({ code, message }: Error & { readonly code?: string }): ReplicaRefusal | undefined {
  if (code === QUERY_CANCELED) return 'conflict';
  if (isSqlState(code)) return OF_THE_SERVER[code.slice(0, 2)];
  return isOfConnection(code, message) ? 'gone' : undefined;
}

const SOCKET_ERROR = /^E[A-Z]+$/;

/** Errors of sockets have a code, those of pg a message; those of a type parser are its own. */
function isOfConnection(code: string | undefined, message: string): boolean {
  return code === undefined ? /connection|not queryable|timeout/i.test(message) : SOCKET_ERROR.test(code);
}
