/** `vazao lab run <app>` where no server is named: the lab makes data, starts the application, measures it, and ends it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, suite, test } from 'node:test';
import type { RunResult } from '../lab/run-result.ts';
import { listProcesses, runCommand, writeApplication } from '../testing/cli.ts';

suite('an application of ours', { timeout: 900_000 }, () => {
  const base = mkdtempSync(join(tmpdir(), 'vazao-lab-app-'));
  after(() => rmSync(base, { recursive: true, force: true }));
  const login = "app.post('/login', { config: { class: 'login' } }, async () => ({}));";
  const application = writeApplication(join(base, 'little'), '', undefined, login);
  const scenario = `
    import { appendFileSync } from 'node:fs';
    export default {
      name: 'Little',
      headers: { 'vazao-timing': process.env.LAB_TIMING_TOKEN ?? '' },
      steps: [
        { name: 'count', request: { path: '/count' }, expect: { body: (answer) => [7, 70, 700].includes(answer.json().n) } },
        { name: 'login', request: { method: 'POST', path: '/login', json: {} } },
      ],
    };
    export const prepare = async (query) => { await query('delete from a'); await query('insert into a select generate_series(1, 7)'); };
    export const resize = async (query, factor) => {
      appendFileSync(${JSON.stringify(join(base, 'factors'))}, factor + ' ');
      await query('with gone as (delete from a) insert into a select generate_series(1, 7 * $1::int)', [factor]);
    };`;
  writeFileSync(join(dirname(application), 'lab.ts'), scenario);
  const run = (...words: string[]): Promise<RunResult> => runOf('./little', ...words);
  const runOf = async (word: string, ...words: string[]): Promise<RunResult> => {
    const json = join(base, 'run.json');
    const { ended, output } = runCommand(
      ['lab', 'run', word, '--workers', '2', '--json', json, ...words],
      // What a busy machine refuses for its wait would be an error, and is not asked about here.
      { HOME: base, VAZAO_LIMIT_IN_FLIGHT: '1000' },
      base,
    );
    const code = await ended;
    assert.ok(code === 0 || code === 99, output.stderr + output.stdout);
    const result: RunResult = JSON.parse(readFileSync(json, 'utf8'));
    // On a machine that is busy the generator was late, which says nothing of the server.
    assert.equal(code, result.generator.void ? 99 : 0, output.stderr + output.stdout);
    assert.ok(
      result.criteria.every(({ outcome }) => outcome === 'passed'),
      output.stdout,
    );
    assert.deepEqual(
      listProcesses(base).filter((line) => line.includes('postgres')),
      [],
    );
    return result;
  };
  const LOAD = ['--timing', 'even', '--duration', '2s', '--warm-up', '500ms', '--criteria', 'errorRate<=0%'];

  test('it has data, stages, processes and hits; and its users may log in more often than one person', async () => {
    const result = await run('--rate', '50', ...LOAD);
    assert.equal(result.architecture, 'workers+cache');
    const [count, entered] = result.steps;
    assert.ok((count?.succeeded ?? 0) > 20 && (entered?.succeeded ?? 0) > 35, 'a default limit would stop them at 30');
    assert.equal(result.total.errors.status + result.total.errors.check, 0);
    assert.ok(result.total.queriesPerRequest !== undefined && result.total.queriesPerRequest < 1);
    assert.ok(result.samples.some(({ stages }) => stages?.handler !== undefined));
    assert.ok((result.total.cacheHits ?? 0) > 10);
    assert.ok(result.server.some(({ processes = 0, rssBytes = 0 }) => processes >= 3 && rssBytes > 2 ** 25));
  });

  test('an architecture that is named, and a schedule', async () => {
    const words = [
      '--architecture',
      'single',
      '--schedule',
      '500ms:20/s warm-up, 1s:20..60/s',
      '--criteria',
      'errorRate<=0%',
    ];
    // By the path of its module: what it exports tells that it is no scenario.
    const result = await runOf('little/app.ts', ...words, '--timing', 'even');
    assert.deepEqual([result.architecture, result.total.cacheHits, result.total.offered], ['single', 0, 40]);
  });

  test('a module that is neither, one that fails, and a scenario where an application is needed, are told apart', async () => {
    const said = async (...words: string[]): Promise<string> => {
      const { ended, output } = runCommand(['lab', ...words], { HOME: base }, base);
      assert.equal(await ended, 1, output.stderr);
      return output.stderr;
    };
    writeFileSync(join(base, 'neither.ts'), 'export const name = 1;');
    assert.match(
      await said('run', 'neither.ts'),
      /^vazao: neither\.ts exports neither a scenario \(.*\) nor an application/,
    );
    writeFileSync(join(base, 'broken.ts'), `throw new Error('no file of people');`);
    assert.match(await said('run', 'broken.ts'), /^vazao: broken\.ts failed while it was loaded: no file of people$/m);
    const lone = writeApplication(join(base, 'lone'));
    assert.match(await said('run', lone), /^vazao: There is no lone\/lab\.ts, which says what users of/);
    assert.match(
      await said('compare', 'little/lab.ts'),
      /^vazao: little\/lab\.ts is a scenario, and an application is what is started/,
    );
  });

  test('volume: the module makes the data larger, apart from those of other runs', async () => {
    const result = await run('--plan', 'volume', '--rate', '50', ...LOAD);
    assert.equal(readFileSync(join(base, 'factors'), 'utf8'), '1 10 100 ');
    assert.deepEqual(
      result.phases.filter(({ warmUp }) => !warmUp).map(({ name, succeeded, offered }) => [name, offered - succeeded]),
      [
        ['data ×1', 0],
        ['data ×10', 0],
        ['data ×100', 0],
      ],
    );
  });
});
