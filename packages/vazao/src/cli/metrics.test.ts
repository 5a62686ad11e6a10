/** `GET /metrics` of a host as it runs in production: two workers, each of which tells of both. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { AskedFigures } from '../runtime/asked-figures.ts';
import { SHARES_PORT } from '../runtime/listen.ts';
import type { ProcessFigures } from '../telemetry/index.ts';
import { runCommand, writeApplication } from '../testing/cli.ts';
import { createTestDatabase } from '../testing/database.ts';
import { readExposition, sumOf } from '../testing/exposition.ts';
import { ask, askWorker, findWorkers, until } from '../testing/running-host.ts';

const TOKEN = 'a-token-of-this-test';
const ROUTES = `app.get('/missing', async (request, reply) => reply.code(410).send());`;

const skip = SHARES_PORT ? false : 'several workers on one port need Linux';
suite('metrics of several workers', { timeout: 300_000 }, () => {
  test('either worker tells of both, before and after one is replaced', { skip }, async () => {
    await using acquired = new AsyncDisposableStack();
    const base = mkdtempSync(join(tmpdir(), 'vazao-metrics-'));
    acquired.defer(() => rmSync(base, { recursive: true, force: true }));
    const database = acquired.use(await createTestDatabase());
    const run = runCommand(
      ['start', writeApplication(join(base, 'app'), undefined, undefined, ROUTES)],
      {
        VAZAO_SECRET: 'x'.repeat(40),
        VAZAO_METRICS_TOKEN: TOKEN,
        PORT: '0',
        WORKERS: '2',
        LOG_LEVEL: 'silent',
        DATABASE_URL: database.url,
        VAZAO_DATA: join(base, 'data'),
      },
      base,
    );
    acquired.defer(async () => {
      run.child.kill('SIGTERM');
      assert.equal(await run.ended, 0, run.output.stderr);
    });
    const url = await run.url;
    assert.equal((await ask(`${url}/metrics`)).status, 404, 'also from this machine');
    const headers = { authorization: `Bearer ${TOKEN}` };
    const pids = await findWorkers(url, 2);
    const [first, second] = pids as [number, number];
    // Nobody else asks for this one.
    for (const [pid, times] of [
      [first, 2],
      [second, 3],
    ] as const)
      for (let n = 0; n < times; n++) assert.equal((await askWorker(url, pid, '/missing')).status, 410);
    const gone = async (pid: number): Promise<Record<string, number>> => {
      const families = readExposition((await askWorker(url, pid, '/metrics', { headers })).body);
      if (families.get('vazao_feed_fresh')?.samples.length !== 2) throw new Error('one has told nothing yet');
      assert.equal(sumOf(families, 'vazao_audit_wrong_total'), 0);
      const labels = { kind: 'other', status: '4xx' };
      return Object.fromEntries(
        ['1', '2'].map((worker) => [worker, sumOf(families, 'vazao_requests_total', { worker, ...labels })]),
      );
    };
    // The first 404 was one of the two workers', too.
    for (const pid of pids) {
      await until(async () => {
        const told = Object.values(await gone(pid)).sort();
        return String(told) === '2,4' || String(told) === '3,3';
      }, `worker ${pid} tells of both`);
    }
    process.kill(second, 'SIGKILL');
    await findWorkers(url, 2);
    await until(async () => {
      const told = Object.values(await gone(first));
      return told.includes(0) && told.some((count) => count >= 2);
    }, 'the seat is taken by one that has answered nothing');
  });

  test('a supervisor that says nothing is not waited for, and heard when it speaks', async () => {
    let asked = 0;
    const figures = new AskedFigures(() => asked++);
    const own = { pid: 1 } as ProcessFigures;
    assert.deepEqual(await Promise.all([figures.find(own), figures.find(own)]), [undefined, undefined]);
    const found = figures.find(own);
    const other = { seat: 2, ageMs: 5, figures: { pid: 2 } as ProcessFigures };
    figures.receive([{ seat: 1, ageMs: 7, figures: { pid: 1, rssBytes: 1 } as ProcessFigures }, other]);
    assert.deepEqual(await found, [{ seat: 1, ageMs: 0, figures: own }, other]);
    assert.equal(asked, 1);
  });
});
