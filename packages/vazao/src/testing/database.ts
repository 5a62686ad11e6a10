/**
 * Databases for tests, on a real PostgreSQL. One server serves the whole test run: `tests/run.ts` starts it and names it
 * in `VAZAO_TEST_SERVER`; a test file run alone starts one for itself.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../runtime/embedded-postgres.ts';

export interface TestDatabase extends AsyncDisposable {
  readonly name: string;
  /** Connection string for the superuser. */
  readonly url: string;
  /** A plain `pg.Pool`, for set-up and as "somebody else's hand". */
  readonly pool: pg.Pool;
  /** A connected client of its own; closed with the database. */
  client(): Promise<pg.Client>;
}

let server: Promise<string> | undefined;

/** Creates an empty database; it is dropped when disposed. */
export async function createTestDatabase(): Promise<TestDatabase> {
  server ??= process.env['VAZAO_TEST_SERVER'] ? Promise.resolve(process.env['VAZAO_TEST_SERVER']) : startOwnServer();
  const serverUrl = await server;
  const name = `test_${randomBytes(6).toString('hex')}`;
  const admin = new pg.Client(serverUrl);
  await admin.connect();
  await admin.query(`create database ${name}`);
  await admin.end();

  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const pool = new pg.Pool({ connectionString: url.href, max: 10 });
  pool.on('error', () => {}); // dropping the database ends idle sessions
  const clients: pg.Client[] = [];
  return {
    name,
    url: url.href,
    pool,
    async client() {
      const client = new pg.Client(url.href);
      client.on('error', () => {});
      clients.push(client);
      await client.connect();
      return client;
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled([pool.end(), ...clients.map((client) => client.end())]);
      const client = new pg.Client(serverUrl);
      await client.connect();
      await client.query(`drop database if exists ${name} with (force)`);
      await client.end();
    },
  };
}

async function startOwnServer(): Promise<string> {
  const { url, stop } = await startTestServer();
  after(stop);
  return url;
}

/** Starts a server with a throw-away folder. Its settings favour speed over durability, and leave room for many slots. */
export async function startTestServer(): Promise<{ url: string; stop: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'vazao-test-'));
  const postgres: EmbeddedPostgres = await startEmbeddedPostgres({
    folder,
    settings: { max_wal_senders: '60', max_replication_slots: '60', max_connections: '400', full_page_writes: 'off', max_wal_size: '4GB' },
  });
  return {
    url: postgres.url('postgres'),
    async stop() {
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
