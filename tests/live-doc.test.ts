/** docs/live.md: its example is an application that works, and its tables say what the code does. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { resolveLiveOptions } from '../packages/vazao/src/http/live/options.ts';
import { runCommand } from '../packages/vazao/src/testing/cli.ts';
import { openEvents } from '../packages/vazao/src/testing/event-client.ts';

const ROOT = resolve(import.meta.dirname, '..');
const TEXT = readFileSync(join(ROOT, 'docs/live.md'), 'utf8');

test('the example in docs/live.md shows each donation to those who watch', { timeout: 480_000 }, async () => {
  const example = /```ts\n([\s\S]*?)```/.exec(TEXT)?.[1];
  assert.ok(example, 'there is an example');
  const folder = mkdtempSync(join(tmpdir(), 'vazao-live-'));
  try {
    mkdirSync(join(folder, 'migrations'));
    writeFileSync(join(folder, 'app.ts'), example);
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    writeFileSync(
      join(folder, 'migrations/0001_doacoes.sql'),
      'create table doacoes (id int generated always as identity primary key, campanha_id int not null, valor int not null);',
    );
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const run = runCommand(['dev', './app.ts'], { PORT: '0' }, folder);
    const url = `${await run.url}/campanhas/7`;
    using watcher = await openEvents(url);
    assert.deepEqual(await watcher.nextJson(), { total: null });
    const headers = { 'content-type': 'application/json' };
    for (const [valor, total] of [
      [10, 10],
      [32, 42],
    ]) {
      await fetch(`${url}/doacoes`, { method: 'POST', headers, body: JSON.stringify({ valor }) });
      assert.deepEqual(await watcher.nextJson(), { total });
    }
    run.child.kill('SIGINT');
    assert.deepEqual(await watcher.nextJson(), { reason: 'restart' });
    assert.equal(await run.ended, 0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('docs/live.md has every limit with its default', () => {
  const section = TEXT.slice(TEXT.indexOf('## Limits'));
  const rows = [...section.matchAll(/^\| `(\w+)` \| .+? \| ([\d,]+)( MiB)? \| .*\|$/gm)];
  const documented = Object.fromEntries(
    rows.map(([, name, number = '', unit]) => [name, Number(number.replaceAll(',', '')) * (unit ? 1024 * 1024 : 1)]),
  );
  const numbers = Object.entries(resolveLiveOptions({})).filter(([, value]) => typeof value === 'number');
  assert.deepEqual(documented, Object.fromEntries(numbers));
});
