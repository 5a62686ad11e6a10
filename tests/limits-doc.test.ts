/** The examples in docs/limits.md are applications that refuse what it says, as it says. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { type CommandRun, runCommand } from '../packages/vazao/src/testing/cli.ts';

const ROOT = resolve(import.meta.dirname, '..');
const text = readFileSync(join(ROOT, 'docs/limits.md'), 'utf8');
const examples = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, example = '']) => example);

async function whileServed(
  { example, migration, env }: { readonly example: string; readonly migration: string; readonly env: object },
  use: (url: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-limits-'));
  let run: CommandRun | undefined;
  try {
    mkdirSync(join(folder, 'migrations'));
    writeFileSync(join(folder, 'app.ts'), example);
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(folder, 'migrations/0001_tables.sql'), migration);
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    run = runCommand(['dev', './app.ts'], { PORT: '0', ...env }, folder);
    await use(await run.url);
  } finally {
    run?.child.kill('SIGINT');
    await run?.ended;
    rmSync(folder, { recursive: true, force: true });
  }
}

test('the example in docs/limits.md refuses the third report, as the document shows it', {
  timeout: 480_000,
}, async () => {
  const [example = ''] = examples;
  const shown = /```http\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
  const migration = 'create table livros (id int primary key, titulo text);';
  await whileServed({ example, migration, env: { VAZAO_LIMIT_LOGIN: '2/1h' } }, async (url) => {
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
    const login = async (body?: FormData): Promise<number> =>
      (await fetch(`${url}/entrar`, { method: 'POST', ...(body && { body }) })).status;
    assert.equal(await login(createForm([])), 415, 'nothing reads a form here');
    assert.deepEqual([await login(), await login()], [200, 429], 'the environment wins');
  });
});

test('the example in docs/limits.md for uploads takes a file within its limits, and answers 413 to what is beyond', {
  timeout: 480_000,
}, async () => {
  const example = examples.find((one) => one.includes('multipart')) ?? '';
  await whileServed({ example, migration: 'select 1;', env: {} }, async (url) => {
    const upload = async (form: FormData): Promise<[number, unknown]> => {
      const response = await fetch(`${url}/fotos`, { method: 'POST', body: form });
      return [response.status, ((await response.json()) as { bytes?: number }).bytes];
    };
    const limit = 5 * 1024 ** 2;
    const cases: Record<string, readonly [FormData, readonly [number, number | undefined]]> = {
      'more than BODY_MAX': [createForm([limit]), [200, limit]],
      'a byte more than fileSize': [createForm([limit + 1]), [413, undefined]],
      'two files': [createForm([10, 10]), [413, undefined]],
      'ten fields': [createForm([10], 10), [200, 10]],
      'eleven fields': [createForm([10], 11), [413, undefined]],
      'a field longer than fieldSize, which is cut off': [createForm([10], 1, 'x'.repeat(10_001)), [200, 10]],
    };
    for (const [name, [form, expected]] of Object.entries(cases)) assert.deepEqual(await upload(form), expected, name);
  });
});

function createForm(fileBytes: readonly number[], fields = 0, value = 'x'): FormData {
  const form = new FormData();
  for (let count = 0; count < fields; count++) form.append(`field${count}`, value);
  for (const bytes of fileBytes) form.append('file', new Blob([new Uint8Array(bytes)]), 'file.jpg');
  return form;
}
