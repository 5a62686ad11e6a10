/**
 * Starts one PostgreSQL for all test files, then Node's test runner with the words given. `--postgres debian`, as the first
 * words, takes Debian's PostgreSQL instead of the embedded one.
 */
import { spawn } from 'node:child_process';
import pg from 'pg';
import { startDebianServer } from '../packages/vazao/src/testing/debian-postgres.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';

const SERVERS = { embedded: () => startTestServer(), debian: startDebianServer };

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

async function readVersion(url: string): Promise<string> {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query('select version()');
  await client.end();
  return rows[0].version;
}

function isKind(text: string): text is keyof typeof SERVERS {
  return Object.hasOwn(SERVERS, text);
}
