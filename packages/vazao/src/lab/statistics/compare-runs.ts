import {
  type BootstrapOptions,
  bootstrapInterval,
  CONFIDENCE_DEFAULT,
  type Interval,
  RESAMPLES_DEFAULT,
} from './bootstrap.ts';
import { mean, median, quantile } from './quantile.ts';
import { createUniform } from './random.ts';

/** What two candidates gave in one round, taken one after the other on the same machine. */
export interface Round {
  readonly a: number;
  readonly b: number;
}

export interface CompareOptions extends BootstrapOptions {
  /** Whether more is better (throughput) or less (latency). */
  readonly better: 'more' | 'less';
  readonly nameA: string;
  readonly nameB: string;
}

export interface Comparison {
  readonly verdict: 'a is better' | 'b is better' | 'no difference shown';
  /** How many times better the better one is, at least 1: the ratio of the medians. Of a to b when no difference is shown. */
  readonly ratio: number;
  readonly interval: Interval;
  readonly confidence: number;
  readonly rounds: number;
  /** For people: `A beats B by 3.1× (95 %: 2.9–3.3)`. */
  readonly sentence: string;
}

/**
 * Fewer rounds give no verdict: the interval of a median of four covers its value in 87.5 % of cases at best
 * (1 − 2 · 0.5⁴), that of five in 93.75 %.
 */
export const ROUNDS_MIN = 5;
/** A difference that is surely smaller is none: what was asked for at a rate is answered at that rate, give or take a request. */
const DIFFERENCE_MIN = 1.01;

/**
 * Compares two candidates over interleaved rounds: a percentile bootstrap of the ratio of medians that draws whole rounds, so that
 * what disturbed a round disturbs both. Rounds with a value that isn't a positive number are left out.
 */
export function compareRuns(rounds: readonly Round[], options: CompareOptions): Comparison {
  const usable = rounds.filter(({ a, b }) => isUsable(a) && isUsable(b));
  const ratioOf = (some: readonly Round[]): number =>
    ratioOfMedians(
      some.map(({ a }) => a),
      some.map(({ b }) => b),
      options.better,
    );
  return conclude(ratioOf(usable), bootstrapInterval(usable, ratioOf, options), usable.length, options);
}

/**
 * The same for values that were not taken in turns: a run and its baseline of another day. What the machine did differently on that day is
 * in the ratio, too. Each side is drawn from for itself.
 */
export function compareIndependent(a: readonly number[], b: readonly number[], options: CompareOptions): Comparison {
  const [some, others] = [a.filter(isUsable), b.filter(isUsable)];
  const { resamples = RESAMPLES_DEFAULT, seed = 1, confidence = CONFIDENCE_DEFAULT } = options;
  const uniform = createUniform(seed);
  const draw = (values: readonly number[]): number[] =>
    values.map(() => values[Math.floor(uniform() * values.length)] as number);
  const found = Array.from({ length: resamples }, () => ratioOfMedians(draw(some), draw(others), options.better));
  const tail = (1 - confidence) / 2;
  const interval = { low: quantile(found, tail), high: quantile(found, 1 - tail) };
  return conclude(
    ratioOfMedians(some, others, options.better),
    interval,
    Math.min(some.length, others.length),
    options,
  );
}

export interface ShareComparison {
  /** Of the means: a less b. */
  readonly difference: number;
  readonly interval: Interval;
  /** Of the side with fewer. */
  readonly values: number;
}

/** The same for shares, which may be 0, so that there is no ratio: the difference of the means. */
export function compareShares(
  a: readonly number[],
  b: readonly number[],
  { resamples = RESAMPLES_DEFAULT, seed = 1, confidence = CONFIDENCE_DEFAULT }: BootstrapOptions = {},
): ShareComparison {
  const uniform = createUniform(seed);
  const drawMean = (values: readonly number[]): number =>
    mean(values.map(() => values[Math.floor(uniform() * values.length)] as number));
  const found = Array.from({ length: resamples }, () => drawMean(a) - drawMean(b));
  const tail = (1 - confidence) / 2;
  return {
    difference: mean(a) - mean(b),
    interval: { low: quantile(found, tail), high: quantile(found, 1 - tail) },
    values: Math.min(a.length, b.length),
  };
}

function isUsable(value: number): boolean {
  return value > 0 && Number.isFinite(value);
}

function ratioOfMedians(a: readonly number[], b: readonly number[], better: CompareOptions['better']): number {
  const ratio = median(a) / median(b);
  return better === 'more' ? ratio : 1 / ratio;
}

function conclude(ratio: number, interval: Interval, rounds: number, options: CompareOptions): Comparison {
  const { nameA, nameB, confidence = CONFIDENCE_DEFAULT } = options;
  const told = { confidence, rounds };
  if (rounds < ROUNDS_MIN) {
    const sentence = `no difference shown between ${nameA} and ${nameB}: ${rounds} rounds, and a verdict needs ${ROUNDS_MIN}`;
    return { ...told, verdict: 'no difference shown', ratio, interval, sentence };
  }
  const percent = `${Math.round(confidence * 100)} %`;
  if (interval.low > 1 || interval.high < 1) {
    const aWins = interval.low > 1;
    const won = aWins
      ? { ratio, interval }
      : { ratio: 1 / ratio, interval: { low: 1 / interval.high, high: 1 / interval.low } };
    if (won.interval.high < DIFFERENCE_MIN) {
      const sentence = `no difference of 1 % or more between ${nameA} and ${nameB}`;
      return { ...told, verdict: 'no difference shown', ratio, interval, sentence };
    }
    const sentence = `${aWins ? nameA : nameB} beats ${aWins ? nameB : nameA} by ${times(won.ratio)}× (${percent}: ${times(won.interval.low)}–${times(won.interval.high)})`;
    return { ...told, verdict: aWins ? 'a is better' : 'b is better', ...won, sentence };
  }
  const sentence = `no difference shown between ${nameA} and ${nameB} (${percent}: ${times(interval.low)}–${times(interval.high)}×)`;
  return { ...told, verdict: 'no difference shown', ratio, interval, sentence };
}

/** Two digits that mean something, and a third where the first is a 1. */
function times(ratio: number): string {
  if (!Number.isFinite(ratio)) return String(ratio);
  return ratio >= 10 ? ratio.toFixed(0) : ratio.toFixed(ratio < 2 ? 2 : 1);
}
