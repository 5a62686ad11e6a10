import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRandom } from '../engine/random.ts';
import { csv, parseCsv, zipf } from './data.ts';

test('CSV as RFC 4180 has it', () => {
  assert.deepEqual(parseCsv('a,b\r\n1,2\r\n'), [
    ['a', 'b'],
    ['1', '2'],
  ]);
  assert.deepEqual(parseCsv('\ufeffa,b\n"x, ""y""","line\r\nbreak"\n,\n\n1,'), [
    ['a', 'b'],
    ['x, "y"', 'line\r\nbreak'],
    ['', ''],
    ['1', ''],
  ]);
  assert.deepEqual(parseCsv(''), []);
  for (const text of ['a"b', '"a', '"a"b,c']) assert.throws(() => parseCsv(text), { code: 'ERR_LAB_SCENARIO' }, text);
});

test('rows by number and by chance; a row that is too short is named', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-lab-csv-'));
  try {
    const file = join(folder, 'people.csv');
    writeFileSync(file, 'name,city\nAna,Recife\nJosé,Olinda\n');
    const people = csv(file);
    assert.equal(people.length, 2);
    assert.deepEqual(people.at(3), { name: 'José', city: 'Olinda' });
    const random = createRandom(1);
    const names = new Set(Array.from({ length: 50 }, () => people.pick(random).name));
    assert.deepEqual([...names].sort(), ['Ana', 'José']);
    writeFileSync(file, 'name,city\nAna\n');
    assert.throws(() => csv(file).length, {
      code: 'ERR_LAB_SCENARIO',
      message: /^Row 2 of .* has 1 values, .* names 2 columns/,
    });
    writeFileSync(file, 'name,city\n');
    assert.throws(() => csv(file).length, /no rows/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('Zipf: the n-th is asked for in proportion to 1 / n', () => {
  const seed = Number(process.env.LAB_SEED ?? 7);
  const random = createRandom(seed);
  const draw = zipf(100);
  const counts = new Map<number, number>();
  for (let n = 0; n < 100_000; n++) {
    const item = draw(random);
    counts.set(item, (counts.get(item) ?? 0) + 1);
  }
  const harmonic = Array.from({ length: 100 }, (_, index) => 1 / (index + 1)).reduce((sum, share) => sum + share);
  for (const item of [1, 2, 10]) {
    const expected = 100_000 / item / harmonic;
    assert.ok(
      Math.abs((counts.get(item) ?? 0) / expected - 1) < 0.1,
      `seed ${seed}: ${item} came ${counts.get(item)} times`,
    );
  }
  assert.ok([...counts.keys()].every((item) => item >= 1 && item <= 100));
  assert.throws(() => zipf(0), { code: 'ERR_LAB_SCENARIO' });
});
