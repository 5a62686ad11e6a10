/** `docs/torture.md`: its example is a profile that runs, and its table names every fault. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { FAULT_KINDS } from '../packages/vazao/src/torture/fault-kinds.ts';
import type { Profile } from '../packages/vazao/src/torture/profile.ts';
import { assertProfile } from '../packages/vazao/src/torture/torture.ts';

const text = readFileSync(join(import.meta.dirname, '../docs/torture.md'), 'utf8');

test('every fault has its line', () => {
  const section = text.slice(text.indexOf('## Faults'), text.indexOf('## A profile'));
  const documented = [...section.matchAll(/`([a-z]+(?:-[a-z]+)*)`/g)].map(([, name]) => name);
  const names = FAULT_KINDS.map(({ name }) => name);
  assert.deepEqual([...new Set(documented)].sort(), [...names].sort());
});

test('the example is a profile that says what it claims', async () => {
  const [, code = ''] = /```ts\n([\s\S]*?)```/.exec(text) ?? [];
  // Inside the workspace, where `vazao/torture` is found.
  const folder = join(import.meta.dirname, `.torture-doc-${process.pid}`);
  mkdirSync(folder);
  try {
    const file = join(folder, 'torture.ts');
    writeFileSync(file, code);
    const profile: Profile = (await import(pathToFileURL(file).href)).default;
    assertProfile(profile);
    const [reader] = profile.readers;
    const body = JSON.stringify({ title: 'v3', text: 'v3', likes: 7 });
    assert.deepEqual(reader?.read(body).versions, [
      ['article', 3],
      ['article', 3],
      ['likes', 7],
    ]);
    for (const writer of profile.writers) {
      const versions = { article: 3, likes: 7 };
      if (writer.kind === 'request') assert.deepEqual(writer.request(versions).body, { title: 'v3', text: 'v3' });
      else if (writer.kind === 'sql') assert.equal(writer.statements(versions).length, 2);
      else assert.match(writer.script(versions), /\n1\t7\n\\\.\n$/);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
