/** One PostgreSQL server of a cluster: a data directory with a port of its own, and a process while it runs. */
import { join } from 'node:path';
import pg from 'pg';
import type { Account } from '../../runtime/embedded-account.ts';
import { untilTold } from './bounded.ts';
import { PartError } from './errors.ts';
import { findFreePort } from './free-port.ts';
import { type ServerProcess, startServerProcess } from './server-process.ts';

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 30_000;
const SETTING_TIMEOUT_MS = 10_000;
const QUERY_TIMEOUT_MS = 30_000;

/** As PostgreSQL calls them: wait for clients to go, end their sessions, or end without a checkpoint (a crash). */
export type StopMode = 'smart' | 'fast' | 'immediate';
const STOP_SIGNALS: Readonly<Record<StopMode, NodeJS.Signals>> = {
  smart: 'SIGTERM',
  fast: 'SIGINT',
  immediate: 'SIGQUIT',
};

/** What all servers of a cluster have in common. */
export interface ClusterPlace {
  readonly folder: string;
  readonly programs: string;
  readonly account: Account | undefined;
  readonly password: string;
}

export class PostgresNode {
  readonly name: string;
  /** On 127.0.0.1; the same after each start. */
  readonly port: number;
  readonly dataFolder: string;
  readonly logFile: string;
  readonly #place: ClusterPlace;
  #server: ServerProcess | undefined;

  private constructor(name: string, port: number, place: ClusterPlace) {
    this.name = name;
    this.port = port;
    this.dataFolder = join(place.folder, name);
    this.logFile = join(place.folder, `${name}.log`);
    this.#place = place;
  }

  /** Chooses a port. There is no data yet, and nothing runs. */
  static async create(name: string, place: ClusterPlace): Promise<PostgresNode> {
    return new PostgresNode(name, await findFreePort(), place);
  }

  /** Connection string of the database `postgres`, for the superuser. */
  get url(): string {
    return this.urlOf('postgres');
  }

  urlOf(database: string): string {
    const { password } = this.#place;
    return `postgresql://postgres:${password}@127.0.0.1:${this.port}/${encodeURIComponent(database)}?sslmode=disable`;
  }

  get isRunning(): boolean {
    return this.#server?.isRunning === true;
  }

  /** Of its main process; undefined while it does not run. */
  get pid(): number | undefined {
    return this.isRunning ? this.#server?.pid : undefined;
  }

  /** Resolves when it accepts connections; a crashed one recovers first. Throws {@link PartError}. */
  async start(): Promise<void> {
    if (this.isRunning) return;
    const { folder, programs, account } = this.#place;
    // No socket file: its path may be longer than a socket's name can be.
    const own = ['unix_socket_directories=', 'listen_addresses=127.0.0.1', `cluster_name=${this.name}`];
    this.#server = await startServerProcess(
      {
        name: `PostgreSQL "${this.name}"`,
        command: join(programs, 'postgres'),
        words: ['-D', this.dataFolder, '-p', String(this.port), ...own.flatMap((setting) => ['-c', setting])],
        account,
        folder,
        logFile: this.logFile,
      },
      () =>
        this.query('select 1').then(
          () => true,
          () => false, // starting up, or recovering
        ),
      START_TIMEOUT_MS,
    );
  }

  /** Throws {@link PartError} when it takes longer than 30 s; it is then cut off. */
  async stop(mode: StopMode = 'fast'): Promise<void> {
    this.#server?.signal(STOP_SIGNALS[mode]);
    await this.#server?.ended(STOP_TIMEOUT_MS);
  }

  /** As a power failure: all its processes at once. What was committed is safe, as far as `fsync` does not matter. */
  async kill(): Promise<void> {
    await this.#server?.kill();
  }

  /** One statement on a connection of its own. */
  async query<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({
      connectionString: this.url,
      connectionTimeoutMillis: 20_000,
      query_timeout: QUERY_TIMEOUT_MS,
      application_name: 'vazao parts',
    });
    client.on('error', () => {}); // the statement itself tells
    try {
      await client.connect();
      return (await client.query<Row>(text, [...values])).rows;
    } finally {
      await client.end().catch(() => {});
    }
  }

  /** Changes settings for good (`ALTER SYSTEM`), and resolves when they are in force. Throws {@link PartError} for one that needs a restart. */
  async set(settings: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, value] of Object.entries(settings)) {
      await this.query(`alter system set ${pg.escapeIdentifier(name)} = ${pg.escapeLiteral(value)}`);
    }
    const names = Object.keys(settings);
    const [waiting] = await this.query<{ names: string }>(
      `select string_agg(name, ', ') as names from pg_settings where name = any($1) and context in ('internal', 'postmaster')`,
      [names],
    );
    if (waiting?.names) {
      throw new PartError(
        'ERR_PART_OPTION',
        `${waiting.names}: needs a restart. Give it to startCluster, or stop and start.`,
      );
    }
    const [before] = await this.query<{ at: string }>('select clock_timestamp()::text as at');
    await this.query('select pg_reload_conf()');
    // The main process reads the file, then tells the others. A new session shows when it did.
    await untilTold(
      `${names.join(', ')} in force on ${this.name}`,
      async () => {
        const [row] = await this.query<{ done: boolean }>('select pg_conf_load_time() >= $1 as done', [before?.at]);
        return row?.done;
      },
      SETTING_TIMEOUT_MS,
    );
  }
}
