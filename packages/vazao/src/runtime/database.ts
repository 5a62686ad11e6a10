/** The database of an application: an embedded server's, or the one that DATABASE_URL names. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Configuration } from './configuration.ts';
import { toDatabaseError } from './database-errors.ts';
import { startEmbeddedPostgres } from './embedded-postgres.ts';
import { errorCode, type RuntimeError } from './errors.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const STARTING_UP_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_DEVELOPMENT_MS = 1_000;
const STOP_TIMEOUT_PRODUCTION_MS = 10_000;

export interface Database extends AsyncDisposable {
  /** Connection string, with the password. */
  readonly url: string;
  /** A command line that opens the database in `psql`, without the password. */
  readonly psql: string;
  readonly embedded: boolean;
  /** Ends an embedded server at once. */
  kill(): void;
}

export interface OpenDatabaseOptions {
  readonly configuration: Configuration;
  /** Name of the application: of its folder and, embedded, of its database. */
  readonly name: string;
  readonly onProgress: (label: string) => void;
  readonly onCrash: (error: RuntimeError) => void;
  readonly signal: AbortSignal;
}

/** Opens the database; it exists and answers. Throws {@link RuntimeError}. */
export async function openDatabase(options: OpenDatabaseOptions): Promise<Database> {
  const { databaseUrl } = options.configuration;
  return databaseUrl === undefined ? openEmbedded(options) : openExisting(databaseUrl, options);
}

async function openEmbedded({
  configuration,
  name,
  onProgress,
  onCrash,
  signal,
}: OpenDatabaseOptions): Promise<Database> {
  const folder = join(configuration.dataFolder, name);
  const inProduction = configuration.environment === 'production';
  const server = await startEmbeddedPostgres({
    folder,
    onProgress,
    onCrash,
    signal,
    stopTimeoutMs: inProduction ? STOP_TIMEOUT_PRODUCTION_MS : STOP_TIMEOUT_DEVELOPMENT_MS,
  });
  try {
    await server.ensureDatabase(name);
    const url = server.url(name);
    // A file that only its owner reads, so that nobody has to print the password.
    const file = join(folder, 'url');
    await writeFile(file, `${url}\n`, { mode: 0o600 });
    await chmod(file, 0o600);
    return {
      url,
      psql: `psql "$(cat ${shellWord(file)})"`,
      embedded: true,
      kill: () => server.kill(),
      [Symbol.asyncDispose]: () => server.stop(),
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function openExisting(url: string, { onProgress, signal }: OpenDatabaseOptions): Promise<Database> {
  onProgress('connecting to the database');
  const deadline = Date.now() + STARTING_UP_TIMEOUT_MS;
  for (;;) {
    try {
      await connectOnce(url);
      break;
    } catch (error) {
      const code = errorCode(error);
      if (code === '3D000') await createDatabase(url, error);
      else if (code === '57P03' && Date.now() < deadline) await delay(250, undefined, { signal });
      else throw toDatabaseError(error, url);
    }
  }
  return {
    url,
    psql: 'psql "$DATABASE_URL"',
    embedded: false,
    kill() {},
    async [Symbol.asyncDispose]() {},
  };
}

async function connectOnce(url: string, database?: string): Promise<void> {
  const client = await connectDatabase(url, database);
  await client.end();
}

/** A client of its own, connected; the caller ends it. Throws what `pg` throws. */
export async function connectDatabase(url: string, database?: string): Promise<pg.Client> {
  const target = new URL(url);
  if (database !== undefined) target.pathname = `/${database}`;
  const client = new pg.Client({
    connectionString: target.href,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    application_name: 'vazao runtime',
  });
  client.on('error', () => {}); // a lost connection shows in the next query
  try {
    await client.connect();
    return client;
  } catch (error) {
    client.end().catch(() => {});
    throw error;
  }
}

/** Creates the database that the URL names, where the role may; else the sentence says how. */
async function createDatabase(url: string, missing: unknown): Promise<void> {
  const name = decodeURIComponent(new URL(url).pathname.slice(1));
  let client: pg.Client | undefined;
  try {
    client = await connectDatabase(url, 'postgres');
    await client.query(`create database ${client.escapeIdentifier(name)}`);
  } catch (error) {
    if (errorCode(error) === '42P04') return; // another start was faster
    throw toDatabaseError(missing, url);
  } finally {
    await client?.end();
  }
}

function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
