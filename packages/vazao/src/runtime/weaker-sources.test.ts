/** Servers as they run in production on the sources that come after the log, and what the doctor says of them. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { runCommand, writeApplication } from '../testing/cli.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { readExposition, sumOf } from '../testing/exposition.ts';
import { ask, listSlots, until } from '../testing/running-host.ts';
import { SHARES_PORT } from './listen.ts';

const base = mkdtempSync(join(tmpdir(), 'vazao-weaker-'));
after(() => rmSync(base, { recursive: true, force: true }));
const file = writeApplication(join(base, 'little'));

function environmentOf(database: TestDatabase, source: string, workers: number): Record<string, string> {
  return {
    PORT: '0',
    WORKERS: String(workers),
    VAZAO_FEED: source,
    VAZAO_DATA: join(base, 'data'),
    VAZAO_SECRET: 'x'.repeat(40),
    LOG_LEVEL: 'silent',
    DATABASE_URL: database.url,
  };
}

async function askDoctor(
  env: Record<string, string>,
): Promise<{ readonly exitCode: unknown; readonly stdout: string }> {
  const { ended, output } = runCommand(['doctor'], env, base);
  return { exitCode: await ended, stdout: output.stdout };
}

const skip = SHARES_PORT ? false : 'several workers on one port need Linux';
suite('a server whose feed does not read the log', { timeout: 300_000, skip }, () => {
  for (const [source, workers] of [
    ['outbox', 2],
    ['app', 1],
  ] as const) {
    test(`of source ${source} says so in /health, in /metrics of each of its workers (${workers}), and to the doctor`, async () => {
      await using database = await createTestDatabase();
      const env = environmentOf(database, source, workers);
      const run = runCommand(['start', file], env, base);
      try {
        const url = await run.url;
        const { feed } = JSON.parse((await ask(`${url}/health`)).body);
        assert.deepEqual([feed.source, feed.fresh, feed.not_offered], [source, true, []]);
        assert.deepEqual(await listSlots(database), []);
        await until(async () => {
          const families = readExposition((await ask(`${url}/metrics`)).body);
          const told = families.get('vazao_feed_info')?.samples ?? [];
          assert.ok(told.every(({ labels }) => labels.source === source));
          assert.equal(new Set(told.map(({ labels }) => labels.worker)).size, told.length);
          return sumOf(families, 'vazao_feed_fresh') === workers;
        }, 'all workers have told their figures');

        const count = async (): Promise<[number, string]> => {
          const { body, headers } = await ask(`${url}/count`);
          return [JSON.parse(body).n, String(headers['cache-status'])];
        };
        await until(async () => /; hit/.test((await count())[1]), 'a hit');
        assert.equal((await ask(`${url}/count`, { method: 'POST' })).status, 200);
        await until(async () => (await count())[0] === 1, 'the write is seen');

        const { exitCode, stdout } = await askDoctor(env);
        assert.equal(exitCode, 0, stdout);
        assert.match(stdout, new RegExp(`feed source: .*\\(${source}\\), as VAZAO_FEED says`));
      } finally {
        run.child.kill('SIGTERM');
        assert.equal(await run.ended, 0, run.output.stderr);
      }
    });
  }

  test('of source app is refused with two workers, with what to set, and the doctor says so before', async () => {
    await using database = await createTestDatabase();
    const env = environmentOf(database, 'app', 2);
    const { exitCode, stdout } = await askDoctor(env);
    assert.equal(exitCode, 1, stdout);
    assert.match(stdout, /FAIL {2}feed source: .*\(app\).* with 2 workers/);
    const run = runCommand(['start', file], env, base);
    try {
      assert.equal(await Promise.race([run.ended, run.url.catch(() => run.ended)]), 1, 'it ends, and serves nothing');
      assert.match(run.output.stderr, /^vazao: .*several workers would not see each other’s\. Set WORKERS=0, or mend/m);
    } finally {
      run.child.kill('SIGTERM');
      await run.ended;
    }
  });
});
