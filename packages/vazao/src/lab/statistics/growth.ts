/**
 * Does something grow that should not: memory (a leak), latency (degradation)?
 *
 *   warm-up     the first fifth of the time is left out
 *   condensed   to the medians of 30 blocks (latency), of 20 where there are too few samples for 30, or to the floors (memory: what
 *               garbage collection leaves) of 30, 20 or 12 blocks, whichever lie closest to a line: a block has to hold a collection
 *   significant Mann and Kendall's test over the blocks, two-sided p < 0.001
 *   lasting     a line fits better than what settles (1 − e^(−t/τ)) or happens once (a step): caches fill up and code gets
 *               compiled, a leak goes on
 *   worth it    the lower end of the slope's interval is above what the caller calls nothing
 *
 * Each condition alone has a clean server that fails it; the tests say which.
 */
import type { Interval } from './bootstrap.ts';
import { mean, median } from './quantile.ts';
import { condense, findTrend, type Point } from './trend.ts';

export interface MemorySample {
  /** Seconds since any moment. */
  readonly atS: number;
  /** Heap in use, RSS, or a count (handles, connections): what must not grow. After a garbage collection where that can be had. */
  readonly bytes: number;
  /** Requests answered so far; gives growth per request. */
  readonly requests?: number | undefined;
}

export interface GrowthOptions {
  /** Share of the time at the start that is left out. @defaultValue 0.2 */
  readonly warmUp?: number | undefined;
}

export interface LeakOptions extends GrowthOptions {
  /** Growth per request that is nothing, in bytes. @defaultValue 100 */
  readonly bytesPerRequestMin?: number | undefined;
  /** Growth over the whole time that is nothing, as a share of the level, where requests are not told. @defaultValue 0.02 */
  readonly shareMin?: number | undefined;
}

export interface DegradationOptions extends GrowthOptions {
  /** Growth over the whole time that is nothing, as a share of the level. @defaultValue 0.1 */
  readonly shareMin?: number | undefined;
  /** And as an amount, in the unit of the values. @defaultValue 0.5 */
  readonly amountMin?: number | undefined;
}

export interface Growth {
  readonly verdict: 'grows' | 'no growth shown' | 'too short';
  /** Per second, by Theil and Sen. */
  readonly slopePerS: number;
  readonly interval: Interval;
  readonly pValue: number;
  /** Over the time looked at (without the warm-up). */
  readonly growth: number;
  readonly seconds: number;
  /** For people, without the name of what grows: `grows by 1.02 KB a request (95 %: 0.99–1.05 KB)`. */
  readonly sentence: string;
}

export interface Leak extends Growth {
  readonly bytesPerRequest: number | undefined;
  /** What can hide in this series: what counts as nothing, and half the width of the interval. Three times as much is seen. */
  readonly detectableBytesPerRequest: number | undefined;
}

const WARM_UP_DEFAULT = 0.2;
const BLOCKS = { least: [30, 20, 12], median: [30, 20] } as const;
const BLOCKS_MIN = 12;
const P_MAX = 0.001;
/** Time constants of what settles, as shares of the time. One of more than a third can't be told from a line. */
const SETTLING = [1 / 20, 1 / 10, 1 / 6, 1 / 4, 1 / 3];
/** There are many curves that settle and one line, so that noise alone favours them a little. */
const LINE_FAVOUR = 1.5;

/** Looks for a leak. Samples are in order of time; a minute with one a second is enough for 1 KB a request at 100 requests/s. */
export function findLeak(samples: readonly MemorySample[], options: LeakOptions = {}): Leak {
  const { bytesPerRequestMin = 100, shareMin = 0.02 } = options;
  const points = withoutWarmUp(
    samples.map(({ atS, bytes }) => ({ atS, value: bytes })),
    options,
  );
  const rate = requestsPerS(samples, points[0]?.atS ?? 0);
  const level = median(points.map(({ value }) => value));
  const span = spanOf(points);
  const nothingPerS = rate === undefined ? (shareMin * level) / span : bytesPerRequestMin * rate;
  const found = judge(points, 'least', nothingPerS);
  const per = rate === undefined ? undefined : found.slopePerS / rate;
  const { low, high } = found.interval;
  const detectable = rate === undefined ? undefined : bytesPerRequestMin + (high - low) / 2 / rate;
  const amount =
    rate === undefined
      ? `${inBytes(found.slopePerS * 3_600)} an hour (95 %: ${inBytes(low * 3_600)} to ${inBytes(high * 3_600)})`
      : `${inBytes(per as number)} a request (95 %: ${inBytes(low / rate)} to ${inBytes(high / rate)})`;
  return { ...found, bytesPerRequest: per, detectableBytesPerRequest: detectable, sentence: say(found, amount) };
}

/** Looks for latency (or anything else that was measured over time) that gets worse. */
export function findDegradation(series: readonly Point[], options: DegradationOptions = {}): Growth {
  const { shareMin = 0.1, amountMin = 0.5 } = options;
  const points = withoutWarmUp(
    series.filter(({ value }) => Number.isFinite(value)),
    options,
  );
  const level = median(points.slice(0, Math.ceil(points.length / 3)).map(({ value }) => value));
  const found = judge(points, 'median', Math.max(shareMin * level, amountMin) / spanOf(points));
  const { low, high } = found.interval;
  const share = (slope: number): string => `${(((slope * found.seconds) / level) * 100).toFixed(0)} %`;
  return {
    ...found,
    sentence: say(
      found,
      `${share(found.slopePerS)} in ${found.seconds.toFixed(0)} s (95 %: ${share(low)} to ${share(high)})`,
    ),
  };
}

type Judged = Omit<Growth, 'sentence'>;

function judge(points: readonly Point[], by: 'least' | 'median', nothingPerS: number): Judged {
  const seconds = spanOf(points);
  const counts = BLOCKS[by].filter((count) => points.length >= 2 * count);
  const candidates = (by === 'median' ? counts.slice(0, 1) : counts)
    .map((count) => condense(points, count, by))
    .filter(({ length }) => length >= BLOCKS_MIN)
    .map((blocks) => ({ blocks, ...findTrend(blocks) }));
  const widthOf = ({ interval }: { interval: Interval }): number => interval.high - interval.low;
  const best = candidates.reduce<(typeof candidates)[number] | undefined>(
    (least, candidate) => (least && widthOf(least) <= widthOf(candidate) ? least : candidate),
    undefined,
  );
  if (!best) {
    const unknown = { slopePerS: Number.NaN, interval: { low: Number.NaN, high: Number.NaN }, pValue: Number.NaN };
    return { verdict: 'too short', ...unknown, growth: Number.NaN, seconds };
  }
  const { slopePerS, interval, pValue, blocks } = best;
  const grows = pValue < P_MAX && interval.low > nothingPerS && isLasting(blocks);
  const verdict = grows ? 'grows' : 'no growth shown';
  return { verdict, slopePerS, interval, pValue, growth: slopePerS * seconds, seconds };
}

function isLasting(blocks: readonly Point[]): boolean {
  const start = blocks[0]?.atS as number;
  const span = spanOf(blocks);
  const steps = blocks.slice(2, -2).map(
    ({ atS }) =>
      (t: number) =>
        t >= atS - start ? 1 : 0,
  );
  const curves = SETTLING.map((share) => (t: number) => 1 - Math.exp(-t / (share * span)));
  const residual = (shape: (t: number) => number): number =>
    residualSquares(
      blocks.map(({ atS }) => shape(atS - start)),
      blocks.map(({ value }) => value),
    );
  return residual((t) => t) <= LINE_FAVOUR * Math.min(...[...steps, ...curves].map(residual));
}

/** What a straight line of `values` over `shape` leaves. */
function residualSquares(shape: readonly number[], values: readonly number[]): number {
  const [x, y] = [mean(shape), mean(values)];
  const sum = (of: (index: number) => number): number => shape.reduce((total, _, index) => total + of(index), 0);
  const xy = sum((index) => ((shape[index] as number) - x) * ((values[index] as number) - y));
  const xx = sum((index) => ((shape[index] as number) - x) ** 2);
  const yy = sum((index) => ((values[index] as number) - y) ** 2);
  return xx === 0 ? yy : yy - xy ** 2 / xx;
}

function withoutWarmUp(points: readonly Point[], { warmUp = WARM_UP_DEFAULT }: GrowthOptions): Point[] {
  const from = (points[0]?.atS ?? 0) + warmUp * spanOf(points);
  return points.filter(({ atS }) => atS >= from);
}

function spanOf(points: readonly { atS: number }[]): number {
  return (points.at(-1)?.atS ?? 0) - (points[0]?.atS ?? 0);
}

function requestsPerS(samples: readonly MemorySample[], fromS: number): number | undefined {
  const counted = samples.filter(({ atS, requests }) => atS >= fromS && requests !== undefined);
  const done = (counted.at(-1)?.requests ?? 0) - (counted[0]?.requests ?? 0);
  return done > 0 ? done / spanOf(counted) : undefined;
}

function say({ verdict, seconds }: Judged, amount: string): string {
  if (verdict === 'too short') return `too short for a verdict: ${seconds.toFixed(0)} s with too few samples`;
  return verdict === 'grows' ? `grows by ${amount}` : `no growth shown: ${amount}`;
}

function inBytes(bytes: number): string {
  const size = Math.abs(bytes);
  if (size < 1_000) return `${bytes.toFixed(0)} B`;
  return size < 1e6 ? `${(bytes / 1_000).toFixed(2)} KB` : `${(bytes / 1e6).toFixed(2)} MB`;
}
