/** Writers that have never heard of the application: plain connections, and `psql`. Each lane does one write at a time. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { BURST_FACTOR, untilBurst } from './bursts.ts';
import type { PsqlWriter, SqlWriter } from './profile.ts';
import type { Random } from './random.ts';
import type { Begun, WriteBook } from './write-book.ts';

export interface LaneOptions {
  readonly databaseUrl: string;
  /** Folder of PostgreSQL's programs. */
  readonly programs: string;
  readonly writes: WriteBook;
  readonly random: Random;
  readonly clock: () => number;
  /** Writes per second of this lane, on average. */
  readonly perSecond: number;
  readonly signal: AbortSignal;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** A write that waits for a lock gives up before others pile up behind it. */
const LOCK_TIMEOUT = "set local lock_timeout = '2s'";
/** Longer than any fault lasts. */
const PSQL_TIMEOUT_MS = 60_000;

/** Writes until the signal ends it, and its last write is over. */
export async function runStatementLane(options: LaneOptions): Promise<void> {
  const { writes, random, clock, perSecond, signal } = options;
  const session = new Session(options.databaseUrl);
  try {
    while (!signal.aborted) {
      await delay((-Math.log(1 - random.next()) * 1_000) / (perSecond * BURST_FACTOR));
      await delay(untilBurst(clock()));
      if (signal.aborted) break;
      // Before a writer is chosen: an address that nobody answers at is no write, and a choice must not wait.
      if (!(await session.open())) continue;
      const writer = writes.nextStatements();
      if (!writer) continue;
      const begun = writes.begin(writer, undefined, clock());
      try {
        if (writer.kind === 'sql') await session.run(writer, begun);
        else await runPsql(options, writer, begun);
        writes.acknowledge(begun, clock());
      } catch (error) {
        session.close();
        writes.lose(begun, (error as Error).message.slice(0, 200));
      }
    }
  } finally {
    session.close();
  }
}

class Session {
  readonly #url: string;
  #client: pg.Client | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  async open(): Promise<boolean> {
    if (this.#client) return true;
    const client = new pg.Client({
      connectionString: this.#url,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      application_name: 'torture writer',
    });
    client.on('error', () => {
      if (this.#client === client) this.#client = undefined;
    });
    try {
      await client.connect();
      this.#client = client;
      return true;
    } catch {
      client.end().catch(() => {});
      return false;
    }
  }

  async run(writer: SqlWriter, { versions }: Begun): Promise<void> {
    const client = this.#client;
    if (!client) throw new Error('The connection was lost before it was used.');
    await client.query(`begin; ${LOCK_TIMEOUT}`);
    for (const { text, values = [] } of writer.statements(versions)) await client.query(text, [...values]);
    await client.query('commit');
  }

  close(): void {
    this.#client?.end().catch(() => {});
    this.#client = undefined;
  }
}

/** A process of its own for each write, as a person's or a script's would be. Exit code 0 stands for a commit. */
async function runPsql({ databaseUrl, programs }: LaneOptions, writer: PsqlWriter, { versions }: Begun): Promise<void> {
  const url = new URL(databaseUrl);
  const env = {
    PATH: process.env.PATH,
    PGHOST: url.hostname,
    PGPORT: url.port,
    PGUSER: decodeURIComponent(url.username),
    PGPASSWORD: decodeURIComponent(url.password),
    PGDATABASE: decodeURIComponent(url.pathname.slice(1)),
    PGAPPNAME: 'torture writer',
    PGCONNECT_TIMEOUT: '5',
  };
  const words = ['--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', '--file=-'];
  const child = spawn(join(programs, 'psql'), words, { env, stdio: ['pipe', 'ignore', 'pipe'] });
  const said = follow(child);
  child.stdin?.on('error', () => {}); // it ended early, and its exit code tells
  child.stdin?.end(`begin;\n${LOCK_TIMEOUT};\n${writer.script(versions)}\ncommit;\n`);
  const outcome = await said;
  if (outcome !== undefined) throw new Error(outcome);
}

/** Undefined for success, else what it said. */
function follow(child: ChildProcess): Promise<string | undefined> {
  let said = '';
  child.stderr?.on('data', (chunk) => {
    said = (said + chunk).slice(-1_000);
  });
  const timeout = setTimeout(() => child.kill('SIGKILL'), PSQL_TIMEOUT_MS);
  return new Promise((resolve) => {
    const end = (outcome: string | undefined): void => {
      clearTimeout(timeout);
      resolve(outcome);
    };
    child.once('error', (error) => end(error.message));
    child.once('close', (code) => end(code === 0 ? undefined : `psql ended with ${code}: ${said.trim()}`));
  });
}
