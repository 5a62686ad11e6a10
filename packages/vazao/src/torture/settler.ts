/**
 * Finds out what became of a write whose outcome is unknown: waits until nothing of it can be under way any more, then asks
 * the database, by way of the answers without a cache.
 *
 * Whoever sent it is gone (its connection broke, and a request that is merely slow is waited for). What it had sent before may
 * still run in the database: so all transactions that are as old must have ended. What the proxy held up went with the
 * connection.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Checker } from './checker.ts';
import type { CompiledReader } from './compiled-reader.ts';
import { TortureError } from './errors.ts';
import type { Write } from './history.ts';
import type { PostgresCluster } from './parts/postgres-cluster.ts';
import type { Reference } from './reference.ts';

export interface SettlerOptions {
  readonly checker: Checker;
  readonly cluster: PostgresCluster;
  readonly databaseName: string;
  readonly reference: Reference;
  readonly readers: readonly CompiledReader[];
  readonly proof: (user: string | undefined) => Readonly<Record<string, string>>;
  readonly clock: () => number;
}

/** For what the kernel may still hold of a process that was killed. */
const QUARANTINE_MS = 1_000;
const PAUSE_MS = 200;
const SETTLED_TIMEOUT_MS = 90_000;
const QUERY_TIMEOUT_MS = 5_000;

const OLD_TRANSACTIONS_SQL = `select count(*)::int as n from pg_stat_activity
where datname = $1 and pid <> pg_backend_pid() and backend_type = 'client backend' and state <> 'idle'
  and application_name not in ('torture reference', 'torture fault')
  and coalesce(xact_start, query_start) < clock_timestamp() - $2 * interval '1 millisecond'`;

interface SettlerConnection {
  readonly url: string;
  readonly opened: Promise<pg.Client>;
}

export class Settler {
  readonly #options: SettlerOptions;
  readonly #running = new Set<Promise<void>>();
  /** To the present primary; stays, as PostgreSQL starts a process for each, and a fault leaves many to be asked for at once. */
  #connection: SettlerConnection | undefined;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** Begins to find out. */
  take(write: Write): void {
    const running = this.#settle(write).finally(() => this.#running.delete(running));
    running.catch(() => {}); // `idle` tells
    this.#running.add(running);
  }

  get count(): number {
    return this.#running.size;
  }

  /** Resolves when nothing is left to find out. Throws {@link TortureError}. */
  async idle(): Promise<void> {
    try {
      while (this.#running.size > 0) await Promise.all(this.#running);
    } finally {
      this.#disconnect();
    }
  }

  async #settle(write: Write): Promise<void> {
    const { checker, clock } = this.#options;
    const lostAtMs = clock();
    await delay(QUARANTINE_MS);
    for (;;) {
      try {
        if (await this.#isQuiet(clock() - lostAtMs)) {
          const isApplied = await this.#isApplied(write);
          if (isApplied !== undefined) return checker.settle(write, isApplied, clock());
        }
      } catch (cause) {
        if (cause instanceof TortureError) throw cause;
        // The database is away; that is what faults are for.
      }
      if (clock() - lostAtMs > SETTLED_TIMEOUT_MS) {
        throw new TortureError(
          'ERR_TORTURE_END',
          `It could not be found out within ${SETTLED_TIMEOUT_MS} ms whether a write happened (${write.writer}): the database was away, or a transaction does not end.`,
        );
      }
      await delay(PAUSE_MS);
    }
  }

  async #isQuiet(ageMs: number): Promise<boolean> {
    const connection = this.#connect();
    try {
      const client = await connection.opened;
      const { rows } = await client.query<{ n: number }>(OLD_TRANSACTIONS_SQL, [this.#options.databaseName, ageMs]);
      return rows[0]?.n === 0;
    } catch (error) {
      // Others asked on it as well; the next one may be open already.
      if (this.#connection === connection) this.#disconnect();
      throw error;
    }
  }

  #connect(): SettlerConnection {
    const { url } = this.#options.cluster.primary;
    if (this.#connection?.url === url) return this.#connection;
    this.#disconnect();
    this.#connection = { url, opened: openConnection(url) };
    return this.#connection;
  }

  #disconnect(): void {
    this.#connection?.opened.then((client) => client.end()).catch(() => {}); // whoever asked on it has been told
    this.#connection = undefined;
  }

  /** Undefined while the answers without a cache show none of its registers. */
  async #isApplied(write: Write): Promise<boolean | undefined> {
    const { checker, reference, readers, proof, clock } = this.#options;
    let isApplied: boolean | undefined;
    for (const [index, register] of write.registers.entries()) {
      const reader = readers.find(({ expected }) => expected.includes(register));
      if (!reader) continue;
      const { status, body } = await reference.get(reader.url, proof(reader.user));
      if (status !== 200) return undefined;
      const { shown } = reader.understand(Buffer.from(body));
      const at = shown.findIndex((value, position) => position % 2 === 0 && value === register);
      if (at < 0) return undefined;
      const found = shown[at + 1] === write.versions[index];
      if (isApplied !== undefined && found !== isApplied) {
        checker.report(
          'mixed',
          `The database holds one half of a transaction (${write.writer}) and not the other`,
          clock(),
        );
      }
      isApplied = (isApplied ?? false) || found;
    }
    return isApplied;
  }
}

async function openConnection(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString,
    connectionTimeoutMillis: QUERY_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    application_name: 'torture settler',
  });
  client.on('error', () => {}); // the statement itself tells
  await client.connect();
  return client;
}
