import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FAULT_KINDS } from './fault-kinds.ts';
import { MUTATIONS } from './mutations.ts';

const SOURCES = join(import.meta.dirname, '..');

for (const { name, file, find, replace, faults } of MUTATIONS) {
  test(`mutation ${name}: its text occurs once in ${file}.ts, and its faults exist`, () => {
    const text = readFileSync(join(SOURCES, `${file}.ts`), 'utf8');
    assert.equal(text.split(find).length - 1, 1, `name the line anew that says what ${name} breaks`);
    assert.notEqual(find, replace);
    assert.doesNotMatch(find, /\n/);
    const known = FAULT_KINDS.map((kind) => kind.name);
    for (const fault of faults) assert.ok(known.includes(fault), fault);
  });
}

test('names are not given twice', () => {
  assert.equal(new Set(MUTATIONS.map(({ name }) => name)).size, MUTATIONS.length);
  assert.equal(new Set(FAULT_KINDS.map(({ name }) => name)).size, FAULT_KINDS.length);
});
