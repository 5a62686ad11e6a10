import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accelerationOf, bootstrapInterval } from './bootstrap.ts';
import { compareRuns, type Round } from './compare-runs.ts';
import { normalCdf, normalQuantile, studentQuantile } from './distributions.ts';
import { mean, quantile } from './quantile.ts';
import { createUniform } from './random.ts';

test('quantiles of the normal and of Student’s distribution are those of the tables', () => {
  for (const [p, z] of [
    [0.5, 0],
    [0.975, 1.959964],
    [0.995, 2.575829],
    [0.001, -3.090232],
  ] as const) {
    close(normalQuantile(p), z, 1e-5);
    close(normalCdf(z), p, 1e-6);
  }
  for (const [degrees, t] of [
    [1, 12.7062],
    [4, 2.77645],
    [10, 2.22814],
    [120, 1.97993],
  ] as const) {
    close(studentQuantile(0.975, degrees), t, 1e-4);
    close(studentQuantile(0.025, degrees), -t, 1e-4);
  }
});

test('quantiles interpolate as type 7 of Hyndman and Fan', () => {
  assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5);
  assert.equal(quantile([1, 2, 3, 4, 5], 0.9), 4.6);
  assert.ok(Number.isNaN(quantile([], 0.5)));
});

/** Efron and Tibshirani, *An Introduction to the Bootstrap*, table 14.1: the spatial test of 26 children. */
const SPATIAL_A = [48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6, 0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26, 30, 41];
const variance = (values: readonly number[]): number => {
  const centre = mean(values);
  return mean(values.map((value) => (value - centre) ** 2));
};

test('the variance of the spatial test has the published acceleration and intervals', () => {
  close(variance(SPATIAL_A), 171.5, 0.1);
  close(accelerationOf(SPATIAL_A, variance), 0.061, 0.0005);
  // Table 14.2, 90 %, of 2,000 resamples: percentile (100.8, 233.9), BCa (115.8, 259.6). Ends of resampling vary by some units.
  const options = { confidence: 0.9, resamples: 20_000, seed: 14 };
  const percentile = bootstrapInterval(SPATIAL_A, variance, { ...options, method: 'percentile' });
  close(percentile.low, 100.8, 4);
  close(percentile.high, 233.9, 4);
  const bca = bootstrapInterval(SPATIAL_A, variance, { ...options, method: 'bca' });
  close(bca.low, 115.8, 4);
  close(bca.high, 259.6, 6);
});

test('the interval of a ratio of medians holds the true ratio about as often as it says, from five rounds on', () => {
  const uniform = createUniform(11);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  for (const [rounds, heldMin] of [
    [5, 0.87],
    [10, 0.9],
  ] as const) {
    let held = 0;
    for (let trial = 0; trial < 400; trial++) {
      const pairs = Array.from({ length: rounds }, () => {
        const weather = Math.exp(0.5 * normal()); // disturbs both runs of a round
        return { a: 3 * weather * Math.exp(0.1 * normal()), b: weather * Math.exp(0.1 * normal()) };
      });
      const { interval, ratio, verdict } = compareRuns(pairs, { ...OF_A_AND_B, resamples: 400, seed: trial });
      const [low, high] =
        verdict === 'b is better' ? [1 / interval.high, 1 / interval.low] : [interval.low, interval.high];
      assert.ok(ratio > 0);
      if (low <= 3 && 3 <= high) held++;
    }
    assert.ok(held / 400 >= heldMin, `${rounds} rounds: ${held} of 400`);
  }
});

const OF_A_AND_B = { better: 'more', nameA: 'A', nameB: 'B' } as const;

test('equal candidates show a difference in about one of twenty comparisons', () => {
  const uniform = createUniform(3);
  let shown = 0;
  for (let trial = 0; trial < 400; trial++) {
    const rounds = Array.from({ length: 8 }, () => ({ a: 100 + 20 * uniform(), b: 100 + 20 * uniform() }));
    if (compareRuns(rounds, { ...OF_A_AND_B, resamples: 400, seed: trial }).verdict !== 'no difference shown') shown++;
  }
  assert.ok(shown <= 40, `${shown} of 400`);
});

test('verdicts are sentences: who beats whom, by how much, and how sure', () => {
  const rounds: Round[] = [300, 310, 320, 305, 315, 311].map((a, index) => ({ a, b: 100 + index }));
  assert.match(compareRuns(rounds, OF_A_AND_B).sentence, /^A beats B by 3\.0× \(95 %: 3\.0–3\.1\)$/);
  const latency = compareRuns(rounds, { ...OF_A_AND_B, better: 'less' });
  assert.equal(latency.verdict, 'b is better');
  assert.match(latency.sentence, /^B beats A by 3\.0×/);
  assert.ok(latency.interval.low <= latency.ratio && latency.ratio <= latency.interval.high);
  const same = compareRuns(
    [1, 2, 3, 4, 5, 6].map((a) => ({ a, b: 7 - a })),
    OF_A_AND_B,
  );
  assert.equal(same.verdict, 'no difference shown');
  for (const better of ['more', 'less'] as const) {
    const rounds = [1, 2, 3, 4, 5, 6].map((b) => ({ a: 1_003 + b / 10, b: 1_000 + b / 10 }));
    const close = compareRuns(rounds, { ...OF_A_AND_B, better });
    assert.equal(close.verdict, 'no difference shown');
    assert.equal(close.sentence, 'no difference of 1 % or more between A and B');
    const far = compareRuns(
      rounds.map(({ a, b }) => ({ a: a * 1.02, b })),
      { ...OF_A_AND_B, better },
    );
    assert.equal(far.verdict, better === 'more' ? 'a is better' : 'b is better');
  }
});

test('four rounds give no verdict, however different they are; rounds that failed do not count', () => {
  const four = [1, 2, 3, 4].map((b) => ({ a: 1_000 * b, b }));
  assert.match(compareRuns(four, OF_A_AND_B).sentence, /no difference shown.*4 rounds.*needs 5/);
  assert.equal(compareRuns([...four, { a: 0, b: 5 }], OF_A_AND_B).rounds, 4);
  assert.equal(compareRuns([...four, { a: 5_000, b: 5 }], OF_A_AND_B).verdict, 'a is better');
});

test('the same seed gives the same interval', () => {
  const interval = (seed: number) => bootstrapInterval(SPATIAL_A, mean, { seed, resamples: 500 });
  assert.deepEqual(interval(5), interval(5));
  assert.notDeepEqual(interval(5), interval(6));
});

function close(found: number, wanted: number, within: number): void {
  assert.ok(Math.abs(found - wanted) <= within, `${found} is not within ${within} of ${wanted}`);
}
