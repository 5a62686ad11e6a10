/**
 * Databases for tests, on a real PostgreSQL. One server serves the whole test run: `tests/run.ts` starts it and names it
 * in `VAZAO_TEST_SERVER`; a test file run alone starts one for itself.
 */
import { randomBytes } from 'node:crypto';
import { after } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { startTestServer } from './server.ts';

export interface TestDatabase extends AsyncDisposable {
  readonly name: string;
  /** Connection string for the superuser. */
  readonly url: string;
  /** A plain `pg.Pool`, for set-up and as "somebody else's hand". */
  readonly pool: pg.Pool;
  /** A connected client of its own; closed with the database. */
  client(): Promise<pg.Client>;
}

/** How long the server may take to notice that a client has gone. */
const DROP_MAX_MS = 10_000;

let ownServer: Promise<{ url: string; stop: () => Promise<void> }> | undefined;

// Registered here, for the whole file, and not where the server is started: that may be inside a test.
after(async () => (await ownServer)?.stop());

/** Creates an empty database; it is dropped when disposed. */
export async function createTestDatabase(
  options: { readonly serverUrl?: string | undefined } = {},
): Promise<TestDatabase> {
  const serverUrl = options.serverUrl ?? process.env.VAZAO_TEST_SERVER ?? (await startOwnServer()).url;
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
      await drop(serverUrl, name);
    },
  };
}

async function drop(serverUrl: string, name: string): Promise<void> {
  const client = new pg.Client(serverUrl);
  await client.connect();
  const deadline = Date.now() + DROP_MAX_MS;
  try {
    for (;;) {
      try {
        await client.query(`drop database if exists ${name} with (force)`);
        return;
      } catch (error) {
        // The slot of a feed whose connection was broken off, and whose server process has not noticed yet.
        if ((error as { code?: string }).code !== '55006' || Date.now() > deadline) throw error;
        await delay(50);
      }
    }
  } finally {
    await client.end();
  }
}

function startOwnServer(): Promise<{ url: string; stop: () => Promise<void> }> {
  ownServer ??= startTestServer();
  return ownServer;
}
