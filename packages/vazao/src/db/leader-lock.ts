/**
 * A lock that at most one host holds: a session advisory lock on the primary, over a connection of its own. It ends with
 * the session, so a host that dies gives it back at once, and one that hangs loses it when another ends its session.
 *
 * It is tried for, not waited for: a statement that waits keeps a snapshot, and with it all dead rows, for as long.
 */
import { hash } from 'node:crypto';
import pg from 'pg';

export interface LeaderLockOptions {
  /** Of the primary itself (no pooler between). */
  readonly connectionString: string;
  /** Whoever uses the same name on the same database competes for the same lock. */
  readonly name: string;
  /** For each statement. @defaultValue 1 s */
  readonly timeoutMs?: number | undefined;
}

const TIMEOUT_MS = 1_000;

/**
 * The term begins with the timeline, as the names of WAL files do: after a failover terms go on growing, although the new
 * primary may not have seen the last transaction ids of the old one.
 */
const ACQUIRE_SQL = `
  select case when pg_try_advisory_lock($1, $2) then
    lower(left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)) || lpad(to_hex(pg_current_xact_id()::text::bigint), 16, '0')
  end as term`;
const TERMINATE_SQL = `
  select pg_terminate_backend(pid) as ended from pg_locks
  where locktype = 'advisory' and granted and objsubid = 2
    and database = (select oid from pg_database where datname = current_database())
    and classid::int8 = $1::int4::int8 & 4294967295 and objid::int8 = $2::int4::int8 & 4294967295
    and pid <> pg_backend_pid()`;

/** The lock of the relay to the second tier. Implements its `LeaderLock`; connects when it is first tried for. */
export class PostgresLeaderLock implements AsyncDisposable {
  readonly #options: LeaderLockOptions;
  readonly #key: readonly [number, number];
  #client: pg.Client | undefined;
  /** Set while the lock is ours. */
  #onLost: (() => void) | undefined;
  #isClosed = false;

  constructor(options: LeaderLockOptions) {
    this.#options = options;
    const digest = hash('sha256', `vazao leader ${options.name}`, 'buffer');
    this.#key = [digest.readInt32BE(0), digest.readInt32BE(4)];
  }

  /** Takes the lock if nobody has it, and resolves to the term; undefined while another holds it. Rejects when the database does not answer. */
  async tryAcquire(onLost: () => void): Promise<string | undefined> {
    const client = await this.#connected();
    const { rows } = await this.#query<{ term: string | null }>(client, ACQUIRE_SQL, [...this.#key]);
    const term = rows[0]?.term ?? undefined;
    if (term !== undefined) {
      if (this.#client !== client) throw new Error('The connection of the leader lock was lost.');
      this.#onLost = onLost;
    }
    return term;
  }

  async isHeld(): Promise<boolean> {
    const client = this.#client;
    if (!client || !this.#onLost) return false;
    await this.#query(client, 'select 1', []).catch(() => {}); // a failure has ended the connection, and the lock with it
    return this.#onLost !== undefined;
  }

  async release(): Promise<void> {
    this.#onLost = undefined;
    const client = this.#client;
    if (client) await this.#query(client, 'select pg_advisory_unlock($1, $2)', [...this.#key]).catch(() => {}); // gone, then
  }

  /** Ends the session that holds the lock. Resolves to whether there was one that we may end. */
  async terminateHolder(): Promise<boolean> {
    const { rows } = await this.#query<{ ended: boolean }>(await this.#connected(), TERMINATE_SQL, [...this.#key]);
    return rows.some(({ ended }) => ended);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#onLost = undefined;
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => {}); // it was broken already
  }

  async #connected(): Promise<pg.Client> {
    if (this.#isClosed) throw new Error('The leader lock was closed.');
    if (this.#client) return this.#client;
    const timeoutMs = this.#options.timeoutMs ?? TIMEOUT_MS;
    const client = new pg.Client({
      connectionString: this.#options.connectionString,
      application_name: 'vazao leader',
      connectionTimeoutMillis: timeoutMs,
      query_timeout: timeoutMs,
      keepAlive: true,
    });
    client.on('error', () => this.#lose(client));
    client.on('end', () => this.#lose(client));
    await client.connect();
    if (this.#isClosed) {
      await client.end();
      throw new Error('The leader lock was closed.');
    }
    this.#client = client;
    return client;
  }

  /** A statement without an answer leaves the session in doubt: it ends. */
  async #query<Row extends pg.QueryResultRow>(
    client: pg.Client,
    text: string,
    values: readonly unknown[],
  ): Promise<pg.QueryResult<Row>> {
    try {
      return await client.query<Row>(text, [...values]);
    } catch (error) {
      this.#lose(client);
      void client.end().catch(() => {}); // it was broken already
      throw error;
    }
  }

  #lose(client: pg.Client): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    const onLost = this.#onLost;
    this.#onLost = undefined;
    onLost?.();
  }
}
