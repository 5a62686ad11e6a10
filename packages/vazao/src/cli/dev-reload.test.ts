/** `vazao dev` follows the code: what was changed serves, what does not start leaves the last good one, the database stays. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { SHARES_PORT } from '../runtime/listen.ts';
import { runCommand, writeApplication } from '../testing/cli.ts';
import { until } from '../testing/running-host.ts';

const skip = SHARES_PORT ? false : 'dev serves in one process here';
suite('vazao dev while the code changes', { timeout: 480_000, skip }, () => {
  const base = mkdtempSync(join(tmpdir(), 'vazao-dev-'));
  after(() => rmSync(base, { recursive: true, force: true }));
  const route = (word: string): string =>
    `app.get('/word', async () => ({ word: ${word}, pid: process.pid, env: process.env.WORD }));`;

  test('the changed code answers on the same database; a mistake is told, and the last good one serves', async () => {
    const folder = join(base, 'app');
    const file = writeApplication(folder, undefined, undefined, route("'one'"));
    const first = readFileSync(file, 'utf8');
    const run = runCommand(['dev', file], { PORT: '0', VAZAO_DATA: join(folder, 'data'), LOG_LEVEL: 'silent' }, folder);
    const url = await run.url;
    const ask = async (): Promise<{ word: string; pid: number; env?: string }> =>
      (await fetch(`${url}/word`)).json() as Promise<{ word: string; pid: number; env?: string }>;
    const postmaster = (): string => readFileSync(join(folder, 'data/little/data/postmaster.pid'), 'utf8');
    await fetch(`${url}/count`, { method: 'POST' });
    const { pid } = await ask();
    const server = postmaster();

    mkdirSync(join(folder, 'parts'));
    writeFileSync(join(folder, 'parts/word.ts'), "export const word = 'two';\n");
    writeFileSync(file, `import { word } from './parts/word.ts';\n${first.replace("word: 'one'", 'word')}`);
    // The process before may still answer on the connections that it has.
    let fresh = await ask();
    await until(async () => {
      fresh = await ask();
      return fresh.word === 'two';
    }, 'the new code answers');
    assert.notEqual(fresh.pid, pid, 'in a process of its own');
    await until(async () => (await ask()).pid !== pid, 'and the one before leaves');
    writeFileSync(join(folder, 'parts/word.ts'), "export const word = 'three';\n");
    await until(async () => (await ask()).word === 'three', 'the new part answers');

    writeFileSync(join(folder, 'parts/word.ts'), 'export const word = ;\n');
    await until(
      () => /vazao: The reload was given up: .*parts\/word\.ts/.test(run.output.stderr),
      'the mistake is told',
    );
    await until(async () => (await ask()).word === 'three', 'the last good code answers');
    writeFileSync(join(folder, 'parts/word.ts'), "export const word = 'four';\n");
    await until(async () => (await ask()).word === 'four', 'the mended code answers');

    writeFileSync(join(folder, 'migrations/0002_more.sql'), 'insert into a values (41);');
    await until(async () => ((await (await fetch(`${url}/count`)).json()) as { n: number }).n === 2, 'it is migrated');
    writeFileSync(join(folder, '.env'), 'WORD=from the file\n');
    await until(async () => (await ask()).env === 'from the file', 'the environment is read again');
    assert.equal(postmaster(), server, 'the database is the same');

    run.child.kill('SIGINT');
    assert.equal(await run.ended, 0, run.output.stderr);
  });
});
