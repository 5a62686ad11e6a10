/** Published fits are the oracle: those of the R package `usl` (its README, and the data sets that it brings). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUniform } from './random.ts';
import { fitUsl, predictUsl, UslError, type UslPoint } from './usl.ts';

const SPEC_SDM91 = zip([1, 18, 36, 72, 108, 144, 216], [64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2]);
const RAYTRACER = zip([1, 4, 8, 12, 16, 20, 24, 28, 32, 48, 64], [20, 78, 130, 170, 190, 200, 210, 230, 260, 280, 310]);

test('SPEC SDM91: parameters, standard errors and residual error as published', () => {
  const fit = fitUsl(SPEC_SDM91);
  close(fit.sigma.value, 0.0277285, 1e-6);
  close(fit.sigma.standardError, 0.0091217, 1e-6);
  close(fit.kappa.value, 0.0001044, 1e-6);
  close(fit.kappa.standardError, 0.0000199, 1e-6);
  close(fit.lambda.value, 89.995233, 1e-4);
  close(fit.lambda.standardError, 14.2134894, 1e-4);
  close(fit.residualStandardError, 82.8, 0.1);
  assert.equal(fit.degreesOfFreedom, 4);
  close(fit.peakN as number, 96.52, 0.01);
});

test('the ray tracer, whose coherency would be negative, is fitted with it held at 0', () => {
  const fit = fitUsl(RAYTRACER);
  close(fit.lambda.value, 21.848843, 1e-5);
  close(fit.sigma.value, 0.057771, 1e-5);
  assert.deepEqual(fit.kappa, { value: 0, standardError: 0 });
  assert.equal(fit.peakN, undefined);
});

test('data without noise give their parameters back, over nine orders of magnitude', () => {
  for (const [lambda, sigma, kappa] of [
    [1000, 0.05, 0.001],
    [0.002, 0.3, 0],
    [5e6, 0, 1e-8],
  ] as const) {
    const points = [1, 2, 4, 8, 16, 32].map((n) => ({ n, throughputPerS: usl(lambda, sigma, kappa, n) }));
    const fit = fitUsl(points);
    close(fit.lambda.value / lambda, 1, 1e-6);
    close(fit.sigma.value, sigma, 1e-6);
    close(fit.kappa.value, kappa, 1e-6);
  }
});

test('of 200 fits to noisy steps the interval of a prediction holds the new measurement as often as it says', () => {
  const uniform = createUniform(7);
  const noise = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const measure = (n: number): number => usl(500, 0.04, 0.0005, n) + 60 * noise();
  // Within the steps the noise of a measurement decides, beyond them what the parameters leave open.
  for (const n of [16, 48]) {
    let held = 0;
    for (let round = 0; round < 200; round++) {
      const fit = fitUsl([2, 4, 8, 12, 16, 24, 32, 40].map((n) => ({ n, throughputPerS: measure(n) })));
      const { interval } = predictUsl(fit, n);
      const value = measure(n);
      if (interval.low <= value && value <= interval.high) held++;
    }
    assert.ok(held >= 180 && held < 200, `at ${n} ${held} of 200, and 190 were expected`);
  }
});

test('nothing is said beyond twice what was measured, nor where the points leave it open', () => {
  assert.equal(predictUsl(fitUsl(RAYTRACER), 128).refusal, undefined);
  assert.match(
    predictUsl(fitUsl(RAYTRACER), 129).refusal ?? '',
    /129 is more than 2 times the 64 .* measure up to 64\.5/,
  );
  const vague = fitUsl(zip([1, 2, 3, 4, 5], [100, 260, 180, 420, 300]));
  assert.match(predictUsl(vague, 9).refusal ?? '', /uncertain by ±\d+ %/);
});

test('three different numbers of users are too few', () => {
  assert.throws(() => fitUsl(zip([1, 2, 2, 4], [10, 19, 19, 35])), UslError);
});

function usl(lambda: number, sigma: number, kappa: number, n: number): number {
  return (lambda * n) / (1 + sigma * (n - 1) + kappa * n * (n - 1));
}

function zip(ns: readonly number[], throughputs: readonly number[]): UslPoint[] {
  return ns.map((n, index) => ({ n, throughputPerS: throughputs[index] as number }));
}

function close(found: number, wanted: number, within: number): void {
  assert.ok(Math.abs(found - wanted) <= within, `${found} is not within ${within} of ${wanted}`);
}
