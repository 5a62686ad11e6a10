/**
 * Latencies in HDR histograms: `hdr-histogram-js`, whose encoding other tools read. Node's own (`perf_hooks`) keeps its buckets
 * to itself: what can't be written down can't be kept as a baseline or merged with another process's.
 */
import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js';
import type { EncodedHistogram, LatencySummary } from '../run-result.ts';

export type { Histogram } from 'hdr-histogram-js';

/** An hour: longer than any time-out. */
const MICROSECONDS_MAX = 3_600_000_000;

export function createHistogram(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: MICROSECONDS_MAX,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 32,
    autoResize: false,
    useWebAssembly: false,
  });
}

/** Whole microseconds, at least 1: the format has no zero. */
export function recordMs(histogram: Histogram, ms: number): void {
  histogram.recordValue(Math.min(MICROSECONDS_MAX, Math.max(1, Math.round(ms * 1_000))));
}

export function encodeHistogram(histogram: Histogram): EncodedHistogram {
  return encodeIntoCompressedBase64(histogram);
}

export function addEncoded(histogram: Histogram, encoded: EncodedHistogram): void {
  histogram.add(decodeFromCompressedBase64(encoded));
}

export function summarize(histogram: Histogram): LatencySummary {
  const count = histogram.totalCount;
  const at = (percentile: number): number => (count === 0 ? 0 : histogram.getValueAtPercentile(percentile) / 1_000);
  return {
    count,
    minMs: count === 0 ? 0 : histogram.minNonZeroValue / 1_000,
    meanMs: count === 0 ? 0 : histogram.mean / 1_000,
    p50Ms: at(50),
    p90Ms: at(90),
    p95Ms: at(95),
    p99Ms: at(99),
    p999Ms: at(99.9),
    maxMs: count === 0 ? 0 : histogram.maxValue / 1_000,
  };
}
