/** The two commands of the README, as a new user types them: from a copy, through a link, in a folder with a space. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, suite, test } from 'node:test';
import { type CommandRun, listProcesses, watch } from '../packages/vazao/src/testing/cli.ts';

const ROOT = resolve(import.meta.dirname, '..');
const LIST = '/api/campanhas/listar/';

suite('./start.sh', { timeout: 480_000 }, () => {
  const base = mkdtempSync(join(tmpdir(), 'vazao start-'));
  after(() => rmSync(base, { recursive: true, force: true }));
  const script = join(base, 'a link.sh');
  symlinkSync(join(ROOT, 'start.sh'), script);
  const data = join(base, 'data folder');

  const start = (): CommandRun => {
    const env = { PATH: process.env.PATH, HOME: base, PORT: '0', VAZAO_DATA: 'data folder' };
    return watch(spawn(script, [], { cwd: base, env }));
  };
  const stop = async (run: CommandRun, signal: NodeJS.Signals): Promise<number> => {
    const startedAt = performance.now();
    run.child.kill(signal);
    assert.equal(await run.ended, 0, run.output.stderr);
    assert.deepEqual(listProcesses(data), []);
    return performance.now() - startedAt;
  };

  test('creates and fills a database, serves the list as a miss and then as a hit, and stops in time', async (t) => {
    const run = start();
    const url = await run.url;
    assert.match((await get(url)).cacheStatus, /fwd=/);
    assert.match((await get(url)).cacheStatus, /^vazao; hit/);
    assert.match(run.output.stdout, /curl -i 'http:\/\/127\.0\.0\.1:\d+\/api\/campanhas\/listar\/'/);
    const took = await stop(run, 'SIGINT');
    t.diagnostic(`stopped in ${took.toFixed(0)} ms`);
  });

  test('answers quickly when it is started again, and what was killed had kept its data', async (t) => {
    const first = start();
    const before = await get(await first.url);
    first.child.kill('SIGKILL');
    await first.ended;

    const startedAt = performance.now();
    const second = start();
    const again = await get(await second.url);
    const took = performance.now() - startedAt;
    t.diagnostic(`first answer after ${took.toFixed(0)} ms`);
    assert.deepEqual(again.body, before.body);
    await stop(second, 'SIGTERM');
  });

  test('refuses an application that does not exist, and words too many', () => {
    const refuse = (words: string[]): string => {
      try {
        execFileSync(script, words, { cwd: base, env: { PATH: process.env.PATH, PORT: '0' }, stdio: 'pipe' });
      } catch (error) {
        return String((error as { stderr: Buffer }).stderr);
      }
      assert.fail('it should have been refused');
    };
    assert.match(refuse(['conectadez']), /^vazao: There is no application conectadez\. Did you mean conectades\?$/m);
    assert.match(refuse(['a', 'b']), /^start\.sh: one application at a time\./);
    assert.match(refuse(['--prod']), /^start\.sh: there is no option --prod\./);
  });
});

async function get(url: string): Promise<{ cacheStatus: string; body: unknown }> {
  const response = await fetch(url + LIST);
  assert.equal(response.status, 200);
  return { cacheStatus: response.headers.get('cache-status') ?? '', body: await response.json() };
}
