/** docs/read-sets.md is what people look refusals and coarse terms up in: it must say of each what the code says, and no more. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { OBSTACLES } from '../packages/vazao/src/readset/obstacle.ts';
import { CURES } from '../packages/vazao/src/readset/refusal.ts';

const TEXT = readFileSync(join(resolve(import.meta.dirname, '..'), 'docs/read-sets.md'), 'utf8');

/** The rows of the table in a section whose first cell is a code. */
function rowsOf(heading: string): readonly (readonly [code: string, second: string, third: string])[] {
  const [, after = ''] = TEXT.split(`\n## ${heading}\n`);
  const [section = ''] = after.split('\n## ');
  return [...section.matchAll(/^\| `([a-z-]+)` \| (.+) \| (.+) \|$/gm)].map(
    ([, code = '', second = '', third = '']) => [code, second, third],
  );
}

test('docs/read-sets.md has a meaning for every refusal code, and the cure that the command line tells', () => {
  const rows = rowsOf('Why a statement is refused');
  assert.deepEqual(Object.fromEntries(rows.map(([code, , cure]) => [code, cure])), CURES);
  assert.equal(rows.length, Object.keys(CURES).length, 'each once');
});

test('docs/read-sets.md tells what makes a term coarse as the command line does', () => {
  const rows = rowsOf('How to write statements finer');
  assert.deepEqual(Object.fromEntries(rows.map(([code, because, cure]) => [code, { because, cure }])), OBSTACLES);
  assert.equal(rows.length, Object.keys(OBSTACLES).length, 'each once');
});
