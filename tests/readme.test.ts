/** The README's example is an application that works. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { runCommand } from '../packages/vazao/src/testing/cli.ts';

const ROOT = resolve(import.meta.dirname, '..');

test('the example in README.md serves a note, and the next read after a write shows it', {
  timeout: 480_000,
}, async () => {
  const example = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))?.[1];
  assert.ok(example, 'the README has an example');
  const folder = mkdtempSync(join(tmpdir(), 'vazao-readme-'));
  try {
    mkdirSync(join(folder, 'migrations'));
    writeFileSync(join(folder, 'app.ts'), example);
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    writeFileSync(
      join(folder, 'migrations/0001_notes.sql'),
      "create table notes (id int primary key, text text not null); insert into notes values (1, 'first');",
    );
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const run = runCommand(['dev', './app.ts'], { PORT: '0' }, folder);
    const url = `${await run.url}/notes/1`;
    const read = async (): Promise<unknown> => (await fetch(url)).json();
    assert.deepEqual(await read(), { id: 1, text: 'first' });
    assert.deepEqual(await read(), { id: 1, text: 'first' });
    const headers = { 'content-type': 'application/json' };
    await fetch(url, { method: 'PUT', headers, body: JSON.stringify({ text: 'second' }) });
    assert.deepEqual(await read(), { id: 1, text: 'second' });
    run.child.kill('SIGINT');
    assert.equal(await run.ended, 0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
