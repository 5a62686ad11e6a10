/** Two hosts as they run in production, each a supervisor with workers, on one database and one Redis. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { until } from '../testing/cached-app.ts';
import { type CommandRun, runCommand, writeApplication } from '../testing/cli.ts';
import { createTestDatabase } from '../testing/database.ts';
import { readExposition, sumOf } from '../testing/exposition.ts';
import { startRedisServer } from '../torture/parts/redis-server.ts';
import { findCodeVersion } from './code-version.ts';

const base = mkdtempSync(join(tmpdir(), 'vazao-tier-'));
after(() => rmSync(base, { recursive: true, force: true }));

interface Relay {
  readonly leads: boolean;
  readonly lag_ms?: number;
}

interface Answer {
  readonly n: number;
  readonly status: string;
}

async function get(url: string): Promise<Answer> {
  // A connection of its own: the kernel chooses a worker for each.
  const response = await fetch(`${url}/count`, { headers: { connection: 'close' } });
  return { ...((await response.json()) as { n: number }), status: response.headers.get('cache-status') ?? '' };
}

test('hosts share answers, writes end them everywhere, and without Redis everything goes on', {
  timeout: 480_000,
}, async () => {
  await using redis = await startRedisServer();
  await using database = await createTestDatabase();
  const file = writeApplication(
    join(base, 'little'),
    '',
    'create table a (n int); alter table a replica identity full;',
  );
  const env = {
    PORT: '0',
    WORKERS: '2',
    VAZAO_DATA: join(base, 'data'),
    VAZAO_SECRET: 'x'.repeat(40),
    LOG_LEVEL: 'silent',
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
  };
  const runs: CommandRun[] = [];
  try {
    for (let host = 0; host < 2; host++) {
      runs.push(runCommand(['start', file], env, base));
      await runs[host]?.url;
    }
    const [one, other] = (await Promise.all(runs.map(({ url }) => url))) as [string, string];
    await until('an answer of the other host', async () => {
      await fetch(`${one}/count`, { method: 'POST' });
      const { n } = await get(one);
      await delay(50);
      const answer = await get(other);
      assert.ok(answer.n >= n - 1);
      return /tier=redis/.test(answer.status);
    });
    /** Of each host, whether it leads as one of its workers says, and how many of them say so. A worker is told once a second. */
    const leaders = async (): Promise<string> => {
      const told = [one, other].map(async (url) => {
        const { second_tier } = (await (await fetch(`${url}/health`)).json()) as { second_tier: { relay: Relay } };
        const { leads, lag_ms: lagMs } = second_tier.relay;
        assert.equal(typeof lagMs, leads ? 'number' : 'undefined');
        const families = readExposition(await (await fetch(`${url}/metrics`)).text());
        return `${leads} ${sumOf(families, 'vazao_second_tier_relay_leads')}`;
      });
      return (await Promise.all(told)).sort().join();
    };
    await until('one of the two leads', async () => (await leaders()) === 'false 0,true 2');
    const before = (await get(one)).n;
    await database.pool.query('insert into a values (1)');
    await until('the write is seen everywhere', async () => {
      const answers = await Promise.all([one, one, one, other, other, other].map(get));
      return answers.every(({ n }) => n === before + 1);
    });
    await redis.kill();
    await database.pool.query('insert into a values (1)');
    await until('nobody leads', async () => (await leaders()) === 'false 0,false 0');
    await until('the next one, without Redis', async () => {
      const answers = await Promise.all([one, one, one, other, other, other].map(get));
      return answers.every(({ n }) => n === before + 2);
    });
  } finally {
    for (const { child } of runs) child.kill('SIGTERM');
    for (const { ended, output } of runs) assert.equal(await ended, 0, output.stderr);
  }
});

test('the code version counts the packages of its workspace, and none that is installed', () => {
  const workspace = join(base, 'workspace');
  writeApplication(join(workspace, 'apps/one'));
  writeFileSync(join(workspace, 'apps/one/package.json'), '{}');
  writeFileSync(join(workspace, 'package-lock.json'), '{}');
  const shared = join(workspace, 'packages/shared');
  const installed = join(workspace, 'node_modules/.store/node_modules/installed');
  for (const folder of [shared, installed, join(workspace, 'node_modules/@own')])
    mkdirSync(folder, { recursive: true });
  writeFileSync(join(shared, 'prices.js'), 'export const price = 1');
  writeFileSync(join(installed, 'index.js'), '1');
  symlinkSync(shared, join(workspace, 'node_modules/@own/shared'));
  symlinkSync(installed, join(workspace, 'node_modules/installed'));
  const one = { name: 'one', migrations: pathToFileURL(join(workspace, 'apps/one/migrations/')) };
  const first = findCodeVersion(undefined, one);
  writeFileSync(join(installed, 'index.js'), '2');
  assert.equal(findCodeVersion(undefined, one), first, 'the lock file stands for what is installed');
  writeFileSync(join(shared, 'prices.js'), 'export const price = 2');
  assert.notEqual(findCodeVersion(undefined, one), first);
});

test('the code version is that of the files, or VAZAO_RELEASE where it is set, for each application', () => {
  const file = writeApplication(join(base, 'versions'));
  const one = { name: 'one', migrations: pathToFileURL(join(base, 'versions/migrations/')) };
  const first = findCodeVersion(undefined, one);
  assert.equal(findCodeVersion(undefined, one), first);
  assert.notEqual(findCodeVersion(undefined, { ...one, name: 'other' }), first);
  writeFileSync(file, 'export default {}');
  assert.notEqual(findCodeVersion(undefined, one), first);
  const elsewhere = { ...one, migrations: pathToFileURL(base) };
  assert.equal(findCodeVersion('a', one), findCodeVersion('a', elsewhere));
  assert.notEqual(findCodeVersion('a', one), findCodeVersion('b', one));
  assert.notEqual(findCodeVersion('a', one), findCodeVersion('a', { ...one, name: 'other' }));
});
