/** The same load for a long time: does anything grow that should not? */
import type { SecondFigures, ServerSample, Trend } from '../run-result.ts';
import { findDegradation, findLeak, type Growth } from '../statistics/index.ts';
import type { Plan } from './plan.ts';
import { endOf, makePhase, makeWarmUp } from './plan.ts';

/** Growth per request that is nothing. Descriptors and connections are counted, not weighed: one in a thousand requests. */
const COUNT_PER_REQUEST_MIN = 0.001;
/**
 * Of the memory as a whole, where the heap after a collection is known, too: a young process that was asked 24,000 times grew by
 * 0.6 KB a request and leaked nothing. What leaks outside the heap is rarely small.
 */
const RSS_PER_REQUEST_MIN = 512;
const SECONDS_PER_HOUR = 3_600;

export const soak: Plan = async ({ session, load, times, signal, onPlanned, monitor }) => {
  onPlanned(times.warmUpS + times.durationS);
  const driven = await session.drive(
    [...makeWarmUp(times.warmUpS, load), makePhase('soak', times.durationS, load)],
    signal,
  );
  const trends = findTrends(
    session.seconds.filter(({ phase }) => phase === 'soak'),
    monitor().samples.filter(({ atS }) => atS >= times.warmUpS),
  );
  // One that was too short to tell has not passed.
  const failed = trends.some(({ outcome }) => outcome !== 'level');
  return { phases: driven.phases, ended: endOf(driven), findings: { trends }, failed };
};

const SERIES = [
  { series: 'heap', of: ({ heapAfterGcBytes }: ServerSample) => heapAfterGcBytes },
  { series: 'rss', of: ({ rssBytes }: ServerSample) => rssBytes },
  { series: 'handles', of: ({ handles }: ServerSample) => handles, perRequestMin: COUNT_PER_REQUEST_MIN },
  { series: 'connections', of: ({ connections }: ServerSample) => connections, perRequestMin: COUNT_PER_REQUEST_MIN },
] as const;

/** One for each series that was measured. */
export function findTrends(seconds: readonly SecondFigures[], server: readonly ServerSample[]): readonly Trend[] {
  const requests = countRequests(seconds);
  const trends: Trend[] = [];
  for (const { series, of, ...options } of SERIES) {
    const samples = server.flatMap((sample) => {
      const value = of(sample);
      return value === undefined ? [] : [{ atS: sample.atS, bytes: value, requests: requests(sample.atS) }];
    });
    if (samples.length === 0) continue;
    const knowsHeap = trends.some((trend) => trend.series === 'heap');
    const least =
      series === 'rss' && knowsHeap
        ? RSS_PER_REQUEST_MIN
        : 'perRequestMin' in options
          ? options.perRequestMin
          : undefined;
    trends.push(toTrend(series, findLeak(samples, least === undefined ? {} : { bytesPerRequestMin: least })));
  }
  const latencies = seconds
    .filter(({ latency }) => latency.count > 0)
    .map(({ atS, latency }) => ({ atS, value: latency.p99Ms }));
  if (latencies.length > 0) trends.push(toTrend('p99', findDegradation(latencies)));
  return trends;
}

function toTrend(series: Trend['series'], { verdict, slopePerS, interval, sentence }: Growth): Trend {
  return {
    series,
    slopePerHour: slopePerS * SECONDS_PER_HOUR,
    low: interval.low * SECONDS_PER_HOUR,
    high: interval.high * SECONDS_PER_HOUR,
    outcome: { grows: 'rising', 'no growth shown': 'level', 'too short': 'unknown' }[verdict] as Trend['outcome'],
    why: sentence,
  };
}

/** Requests answered until a moment, as the seconds tell. */
function countRequests(seconds: readonly SecondFigures[]): (atS: number) => number {
  const sums: number[] = [];
  let sum = 0;
  for (const { completed } of seconds) {
    sum += completed;
    sums.push(sum);
  }
  const from = seconds[0]?.atS ?? 0;
  return (atS) => {
    const elapsed = Math.max(0, atS - from);
    const whole = Math.min(Math.floor(elapsed), sums.length);
    const before = whole === 0 ? 0 : (sums[whole - 1] as number);
    const within = whole < sums.length ? (sums[whole] as number) - before : 0;
    return before + within * (elapsed - Math.floor(elapsed));
  };
}
