/** `docs/caching.md` names every reason for which an answer is not kept, and no other. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const source = join(import.meta.dirname, '../packages/vazao/src');

function codesInSources(): Set<string> {
  const codes = new Set<string>();
  for (const floor of ['cache', 'db', 'http']) {
    for (const file of readdirSync(join(source, floor))) {
      if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
      const text = readFileSync(join(source, floor, file), 'utf8');
      const calls = /(?:abandon|leave|giveUp|onUnkeyed|bypass|bypassStatus)\(\s*'([a-z-]+)'/g;
      for (const [, code] of text.matchAll(calls)) codes.add(code as string);
      if (file === 'cache.ts') for (const [, code] of text.matchAll(/code: '([a-z-]+)'/g)) codes.add(code as string);
    }
  }
  return codes;
}

test('the table of reasons is complete', () => {
  const text = readFileSync(join(import.meta.dirname, '../docs/caching.md'), 'utf8');
  const section = text.slice(text.indexOf('## Why an answer is not kept'));
  const documented = new Set([...section.matchAll(/`([a-z-]+)`/g)].map(([, code]) => code));
  const missing = [...codesInSources()].filter((code) => !documented.has(code));
  assert.deepEqual(missing, [], 'add them to docs/caching.md');
  assert.ok(codesInSources().size > 20, 'the sources are read');
});
