import { normalCdf, normalQuantile } from './distributions.ts';
import { mean, quantileOfSorted } from './quantile.ts';
import { createUniform } from './random.ts';

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  /**
   * How the interval is read off the resamples. `bca` corrects for bias and skewness of a smooth statistic (a mean, a
   * variance); its jackknife is not consistent for medians and quantiles, which take `percentile`.
   * @defaultValue 'percentile'
   */
  readonly method?: 'percentile' | 'bca' | undefined;
  /** Share of intervals that hold the true value, between 0 and 1. @defaultValue 0.95 */
  readonly confidence?: number | undefined;
  /** @defaultValue {@link RESAMPLES_DEFAULT} */
  readonly resamples?: number | undefined;
  /** @defaultValue 1 */
  readonly seed?: number | undefined;
}

export const CONFIDENCE_DEFAULT = 0.95;
export const RESAMPLES_DEFAULT = 4_000;

/**
 * A bootstrap confidence interval of any statistic (Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993: chapter 13 for
 * percentiles, §14.3 for BCa). A sample is whatever was drawn together: a number, or a round of runs. NaN below two samples.
 */
export function bootstrapInterval<T>(
  samples: readonly T[],
  statistic: (samples: readonly T[]) => number,
  options: BootstrapOptions = {},
): Interval {
  if (samples.length < 2) return { low: Number.NaN, high: Number.NaN };
  const { method = 'percentile', confidence = CONFIDENCE_DEFAULT, resamples = RESAMPLES_DEFAULT, seed = 1 } = options;
  const uniform = createUniform(seed);
  const drawn: T[] = new Array(samples.length);
  const found = Float64Array.from({ length: resamples }, () => {
    for (let index = 0; index < drawn.length; index++)
      drawn[index] = samples[Math.floor(uniform() * samples.length)] as T;
    return statistic(drawn);
  }).sort();
  const tail = (1 - confidence) / 2;
  const at = method === 'bca' ? correctedTails(samples, statistic, found, tail) : [tail, 1 - tail];
  return { low: quantileOfSorted(found, at[0] as number), high: quantileOfSorted(found, at[1] as number) };
}

/** What BCa corrects by: the bias z0 (of the resamples' median) and the acceleration a (of the jackknife's skewness). */
export function accelerationOf<T>(samples: readonly T[], statistic: (samples: readonly T[]) => number): number {
  const without = samples.map((_, index) => statistic(samples.toSpliced(index, 1)));
  const centre = mean(without);
  const sum = (power: number): number => without.reduce((total, value) => total + (centre - value) ** power, 0);
  const spread = sum(2) ** 1.5;
  return spread === 0 ? 0 : sum(3) / (6 * spread);
}

function correctedTails<T>(
  samples: readonly T[],
  statistic: (samples: readonly T[]) => number,
  found: Float64Array,
  tail: number,
): [number, number] {
  const value = statistic(samples);
  // Ties count by half, so that a discrete statistic has no bias by them.
  const below =
    found.reduce((count, other) => count + (other < value ? 1 : other === value ? 0.5 : 0), 0) / found.length;
  const bias = normalQuantile(Math.min(Math.max(below, 1 / found.length), 1 - 1 / found.length));
  const acceleration = accelerationOf(samples, statistic);
  const corrected = (z: number): number => normalCdf(bias + (bias + z) / (1 - acceleration * (bias + z)));
  return [corrected(normalQuantile(tail)), corrected(normalQuantile(1 - tail))];
}
