import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUniform, shuffle } from './random.ts';
import { condense, findTrend, POINTS_MAX, type Point } from './trend.ts';

test('p of Mann and Kendall’s test as by the normal approximation of the tables', () => {
  // n = 10 and S = 21: exact one-sided p is 0.036 (Gilbert 1987, table A18), the approximation z = 20/√125 gives 0.0368.
  const { s, pValue } = findTrend(points([10, 4, 1, 2, 3, 5, 6, 7, 8, 9]));
  assert.equal(s, 21);
  assert.ok(Math.abs(pValue - 2 * 0.0368) < 0.0005, String(pValue));
});

test('ties make the variance of S smaller', () => {
  // n = 6, two pairs of equal values: (6·5·17 − 2·(2·1·9)) / 18 = 26.33; S = 13, so z = 12/√26.33 = 2.3385, p = 0.01936.
  const { s, pValue } = findTrend(points([1, 1, 2, 3, 4, 4]));
  assert.equal(s, 13);
  assert.ok(Math.abs(pValue - 0.01936) < 0.0001, String(pValue));
});

test('the slope of a line is its slope, though a quarter of the points are anything', () => {
  const uniform = createUniform(2);
  const values = Array.from({ length: 40 }, (_, x) => (x % 4 === 0 ? uniform() * 1e9 : 5 + 3 * x));
  const { slopePerS, interval } = findTrend(points(values));
  assert.ok(Math.abs(slopePerS - 3) < 0.5, String(slopePerS));
  assert.ok(interval.low <= 3 && 3 <= interval.high);
});

test('Sen’s interval holds the slope in about 95 of 100', () => {
  const uniform = createUniform(9);
  let held = 0;
  for (let trial = 0; trial < 300; trial++) {
    const { interval } = findTrend(points(Array.from({ length: 25 }, (_, x) => 0.2 * x + 4 * uniform())));
    if (interval.low <= 0.2 && 0.2 <= interval.high) held++;
  }
  assert.ok(held >= 276, `${held} of 300`);
});

test('readings that lean on the one before are seldom taken for a trend at p < 0.001', () => {
  const uniform = createUniform(5);
  let alarms = 0;
  for (let trial = 0; trial < 200; trial++) {
    let level = 0;
    const values = Array.from({ length: 30 }, () => (level = 0.6 * level + uniform() - 0.5));
    if (findTrend(points(values)).pValue < 0.001) alarms++;
  }
  assert.ok(alarms <= 6, `${alarms} of 200`);
});

test('blocks keep the floor or the median of their time', () => {
  const sawTeeth = points(Array.from({ length: 100 }, (_, x) => x % 10));
  assert.deepEqual(new Set(condense(sawTeeth, 10, 'least').map(({ value }) => value)), new Set([0]));
  assert.equal(condense(sawTeeth, 10, 'median')[4]?.value, 4.5);
  assert.deepEqual(condense([], 10, 'least'), []);
});

test('more points than all pairs of which can be looked at are refused', () => {
  assert.throws(() => findTrend(points(new Array(POINTS_MAX + 1).fill(1))), RangeError);
});

function points(values: readonly number[]): Point[] {
  return values.map((value, atS) => ({ atS, value }));
}

test('a shuffled order has no trend, and every value once', () => {
  const uniform = createUniform(8);
  const values = Array.from({ length: 40 }, (_, x) => x);
  const shuffled = shuffle(values, uniform);
  assert.deepEqual(new Set(shuffled), new Set(values));
  assert.ok(findTrend(points(shuffled)).pValue > 0.01);
});
