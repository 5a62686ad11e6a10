/** Arrivals: counts and moments from the area under the rate; random ones against what a Poisson process is. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createRandom } from './random.ts';
import { type OpenLoad, scheduleArrivals, timeOfArrival } from './schedule.ts';

const SEED = Number(process.env.LAB_SEED ?? 20_261_122);
const even = (from: number, to: number): OpenLoad => ({ model: 'open', arrivals: 'even', from, to });

function arrivals(load: OpenLoad, durationS: number, shares = 1, seed = SEED): number[] {
  const all: number[] = [];
  for (let index = 0; index < shares; index++) {
    all.push(...scheduleArrivals(load, durationS, { index, shares }, createRandom(seed, -index)));
  }
  return all.sort((a, b) => a - b);
}

suite('even arrivals', () => {
  test('a constant rate: the same distance, whatever the number of threads', () => {
    for (const shares of [1, 3, 7]) {
      const at = arrivals(even(50, 50), 2, shares);
      assert.equal(at.length, 100);
      for (const [index, moment] of at.entries()) assert.ok(Math.abs(moment - index / 50) < 1e-9);
    }
  });

  for (const [from, to, durationS] of [
    [0, 100, 10],
    [100, 0, 10],
    [20, 200, 5],
    [200, 20, 5],
    [100, 100.000001, 3],
  ] as const) {
    test(`from ${from} to ${to} a second in ${durationS} s: as many by each moment as the area says`, () => {
      const at = arrivals(even(from, to), durationS, 2);
      assert.ok(Math.abs(at.length - ((from + to) / 2) * durationS) <= 1, `${at.length}`);
      for (const [index, moment] of at.entries()) {
        const area = from * moment + ((to - from) * moment ** 2) / (2 * durationS);
        assert.ok(Math.abs(area - index) < 1e-6, `arrival ${index} at ${moment}`);
      }
    });
  }

  test('a rate of nothing has no arrivals', () => {
    assert.deepEqual(arrivals(even(0, 0), 10), []);
    assert.equal(timeOfArrival({ from: 10, to: 0 }, 10, 51), Number.POSITIVE_INFINITY);
  });
});

test('random arrivals are a Poisson process, also from several threads', () => {
  const load: OpenLoad = { model: 'open', arrivals: 'random', from: 200, to: 200 };
  for (const shares of [1, 4]) {
    const at = arrivals(load, 100, shares);
    // The standard deviation of 20,000 is 141.
    assert.ok(Math.abs(at.length - 20_000) < 5 * 141, `seed ${SEED}: ${at.length}`);
    const gaps = at.slice(1).map((moment, index) => moment - (at[index] as number));
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
    // Exponential distances: the standard deviation is the mean, and 1/e of them are longer than it.
    assert.ok(Math.abs(Math.sqrt(variance) / mean - 1) < 0.05, `seed ${SEED}: ${Math.sqrt(variance) / mean}`);
    const longer = gaps.filter((gap) => gap > mean).length / gaps.length;
    assert.ok(Math.abs(longer - Math.exp(-1)) < 0.02, `seed ${SEED}: ${longer}`);
  }
});

test('a ramp of random arrivals has three quarters of them in its second half', () => {
  const at = arrivals({ model: 'open', arrivals: 'random', from: 0, to: 400 }, 50);
  const share = at.filter((moment) => moment > 25).length / at.length;
  assert.ok(Math.abs(share - 0.75) < 0.03, `seed ${SEED}: ${share}`);
});

test('the same seed gives the same arrivals, another one others', () => {
  const load: OpenLoad = { model: 'open', arrivals: 'random', from: 10, to: 20 };
  assert.deepEqual(arrivals(load, 10), arrivals(load, 10));
  assert.notDeepEqual(arrivals(load, 10), arrivals(load, 10, 1, SEED + 1));
});
