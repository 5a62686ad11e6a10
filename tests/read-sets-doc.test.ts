/** docs/read-sets.md is what people look refusals up in: it must name each code, and no other. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '..');

test('docs/read-sets.md has a meaning and a cure for every refusal code', () => {
  const source = readFileSync(join(ROOT, 'packages/vazao/src/readset/refusal.ts'), 'utf8');
  const union = /export type RefusalCode =([\s\S]*?);/.exec(source.replaceAll(/\/\*\*.*?\*\//g, ''))?.[1] ?? '';
  const codes = [...union.matchAll(/'([a-z-]+)'/g)].map((match) => match[1]);
  assert.ok(codes.length > 10, 'the codes are found');

  const text = readFileSync(join(ROOT, 'docs/read-sets.md'), 'utf8');
  const section = /## Why a statement is refused\n([\s\S]*?)\n## /.exec(text)?.[1] ?? '';
  const rows = [...section.matchAll(/^\| `([a-z-]+)` \| (.+) \| (.+) \|$/gm)];
  assert.deepEqual(rows.map((row) => row[1]).toSorted(), codes.toSorted());
});
