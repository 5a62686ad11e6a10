/** The example in docs/limits.md is an application that refuses what it says, as it says. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { runCommand } from '../packages/vazao/src/testing/cli.ts';

const ROOT = resolve(import.meta.dirname, '..');

test('the example in docs/limits.md refuses the third report, as the document shows it', {
  timeout: 480_000,
}, async () => {
  const text = readFileSync(join(ROOT, 'docs/limits.md'), 'utf8');
  const example = /```ts\n([\s\S]*?)```/.exec(text)?.[1];
  const shown = /```http\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
  assert.ok(example);
  const folder = mkdtempSync(join(tmpdir(), 'vazao-limits-'));
  let child: ChildProcess | undefined;
  let ended: Promise<unknown> | undefined;
  try {
    mkdirSync(join(folder, 'migrations'));
    writeFileSync(join(folder, 'app.ts'), example);
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(folder, 'migrations/0001_livros.sql'), 'create table livros (id int primary key, titulo text);');
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const run = runCommand(['dev', './app.ts'], { PORT: '0', VAZAO_LIMIT_LOGIN: '1/1h' }, folder);
    child = run.child;
    ended = run.ended;
    const url = await run.url;
    const get = (path: string, accept = '*/*'): Promise<Response> => fetch(url + path, { headers: { accept } });
    assert.deepEqual(await (await get('/relatorio')).json(), { livros: 0 });
    assert.equal((await get('/relatorio')).status, 200);
    const refused = await get('/relatorio');
    const lines = shown.split('\n');
    assert.equal(`HTTP/1.1 ${refused.status} ${refused.statusText}`, lines[0]);
    // The seconds that have passed since are not the document's.
    const withoutTime = (value: string | null): string => String(value).replaceAll(/t=\d+/g, 't=…');
    for (const line of lines.slice(1, 4)) {
      const [name = '', value = ''] = line.split(/: (.*)/);
      assert.equal(withoutTime(refused.headers.get(name)), withoutTime(value), name);
    }
    assert.equal((await refused.text()).slice(0, 110), lines[6]?.slice(0, 110));
    const page = await (await get('/relatorio', 'text/html')).text();
    assert.match(page, /^<!doctype html><h1>Too many requests<\/h1><p>Volte em \d+ s\.<\/p>$/);
    assert.deepEqual(await (await get('/livros')).json(), []);
    const login = (): Promise<Response> => fetch(`${url}/entrar`, { method: 'POST' });
    assert.deepEqual([(await login()).status, (await login()).status], [200, 429], 'the environment wins');
  } finally {
    child?.kill('SIGINT');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
});
