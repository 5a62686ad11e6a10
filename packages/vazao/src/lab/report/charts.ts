/** What the plots of a report show: numbers and labels; `page-script.ts` draws them. */
import { decodeFromCompressedBase64 } from 'hdr-histogram-js';
import type { RunResult, SecondFigures, ServerSample } from '../run-result.ts';
import { predictUsl, type UslFit, type UslPoint } from '../statistics/usl.ts';

export interface Chart {
  readonly title: string;
  /** With its unit, as that of y. */
  readonly xLabel: string;
  readonly yLabel: string;
  /** `nines`: x is −log₁₀(1 − p), shown as a percentile. @defaultValue plain */
  readonly xKind?: 'plain' | 'nines' | undefined;
  readonly yKind?: 'plain' | 'log' | undefined;
  readonly x: readonly number[];
  /** null is a gap. */
  readonly series: readonly Series[];
}

interface Series {
  readonly label: string;
  readonly values: readonly (number | null)[];
  readonly draw: 'line' | 'points' | 'faint';
}

/** A curve with more points than a screen is wide shows nothing more; longer runs are thinned to the worst of each stretch. */
const POINTS_MAX = 2_000;
const PERCENTILES = [
  0, 25, 50, 75, 80, 85, 90, 92.5, 95, 96, 97, 98, 98.5, 99, 99.3, 99.5, 99.7, 99.9, 99.95, 99.99, 99.995, 99.999,
];

export function chartsOf(run: RunResult): Chart[] {
  const { seconds, server } = run;
  const over = (
    title: string,
    yLabel: string,
    lines: Readonly<Record<string, (second: SecondFigures) => number | undefined>>,
    yKind: Chart['yKind'] = 'plain',
  ): Chart => chartOver(seconds, title, yLabel, lines, yKind);
  const quiet = ({ latency }: SecondFigures): boolean => latency.count === 0;
  const resources = (
    title: string,
    yLabel: string,
    lines: Readonly<Record<string, (sample: ServerSample) => number | undefined>>,
  ): Chart => chartOver(server, title, yLabel, lines, 'plain');
  const stages = [...new Set(server.flatMap((sample) => Object.keys(sample.stages ?? {})))].sort();
  return [
    over(
      'Latency',
      'latency (ms, logarithmic)',
      {
        p50: (second) => (quiet(second) ? undefined : second.latency.p50Ms),
        p95: (second) => (quiet(second) ? undefined : second.latency.p95Ms),
        p99: (second) => (quiet(second) ? undefined : second.latency.p99Ms),
        max: (second) => (quiet(second) ? undefined : second.latency.maxMs),
      },
      'log',
    ),
    over('Throughput', 'requests a second', {
      offered: ({ offered }) => offered,
      succeeded: ({ succeeded }) => succeeded,
      failed: ({ errors }) => Object.values(errors).reduce((sum, count) => sum + count, 0),
      'not sent': ({ unsent }) => unsent,
    }),
    over('In flight', 'requests', {
      'in flight': ({ inFlight }) => inFlight,
      'waiting for a connection': ({ waiting }) => waiting,
    }),
    percentileCurve([
      { label: 'from the schedule', histogram: run.total.histogram },
      { label: 'from the send', histogram: run.total.serviceHistogram },
    ]),
    resources('CPU of the server', 'processor time (cores)', { CPU: ({ cpuCores }) => cpuCores }),
    resources('Memory of the server', 'size (MB)', {
      RSS: ({ rssBytes }) => (rssBytes === undefined ? undefined : rssBytes / 1024 ** 2),
      'heap after collection': ({ heapAfterGcBytes }) =>
        heapAfterGcBytes === undefined ? undefined : heapAfterGcBytes / 1024 ** 2,
      'cache of a worker': ({ cache }) => (cache === undefined ? undefined : cache.bytes / 1024 ** 2),
    }),
    resources('Descriptors and connections of the server', 'open at a time (number)', {
      'file descriptors': ({ handles }) => handles,
      connections: ({ connections }) => connections,
    }),
    resources('Hit rate', 'share of answers (%)', {
      hits: ({ hitRate }) => (hitRate === undefined ? undefined : hitRate * 100),
    }),
    resources(
      'Stages of the server',
      'mean of a request (ms)',
      Object.fromEntries(stages.map((name) => [name, (sample: ServerSample) => sample.stages?.[name]])),
    ),
  ].filter(({ series }) => series.length > 0);
}

/** Latency by percentile, with as many nines as the number of requests bears. */
export function percentileCurve(curves: readonly { readonly label: string; readonly histogram: string }[]): Chart {
  const decoded = curves
    .filter(({ histogram }) => histogram !== '')
    .map(({ label, histogram }) => ({ label, histogram: decodeFromCompressedBase64(histogram) }))
    .filter(({ histogram }) => histogram.totalCount > 0);
  const most = Math.max(0, ...decoded.map(({ histogram }) => histogram.totalCount));
  const percentiles = PERCENTILES.filter((percentile) => (1 - percentile / 100) * most >= 1 - 1e-6);
  return {
    title: 'Latency by percentile',
    xLabel: 'percentile of requests',
    yLabel: 'latency (ms, logarithmic)',
    xKind: 'nines',
    yKind: 'log',
    x: percentiles.map((percentile) => -Math.log10(1 - percentile / 100)),
    series: decoded.map(({ label, histogram }) => ({
      label,
      draw: 'line',
      values: percentiles.map((percentile) => histogram.getValueAtPercentile(percentile) / 1_000),
    })),
  };
}

/** Measured points, the fitted law, and between which a new measurement would fall in 95 of 100. It ends where the fit does. */
export function uslChart(points: readonly UslPoint[], fit: UslFit, what: string): Chart {
  const end = fit.measured.nMax * 2;
  const ns = [
    ...new Set([...points.map(({ n }) => n), ...Array.from({ length: 101 }, (_, i) => 1 + ((end - 1) * i) / 100)]),
  ].sort((a, b) => a - b);
  const predicted = ns.map((n) => predictUsl(fit, n));
  const shown = (value: (index: number) => number): (number | null)[] =>
    ns.map((_, index) => (predicted[index]?.refusal === undefined ? value(index) : null));
  return {
    title: 'Universal Scalability Law',
    xLabel: what,
    yLabel: 'requests a second',
    x: ns,
    series: [
      {
        label: 'measured',
        draw: 'points',
        values: ns.map((n) => points.find((point) => point.n === n)?.throughputPerS ?? null),
      },
      { label: 'fitted', draw: 'line', values: shown((index) => predicted[index]?.throughputPerS as number) },
      { label: '95 %, low', draw: 'faint', values: shown((index) => predicted[index]?.interval.low as number) },
      { label: '95 %, high', draw: 'faint', values: shown((index) => predicted[index]?.interval.high as number) },
    ],
  };
}

function chartOver<T extends { readonly atS: number }>(
  all: readonly T[],
  title: string,
  yLabel: string,
  lines: Readonly<Record<string, (item: T) => number | undefined>>,
  yKind: Chart['yKind'],
): Chart {
  const stride = Math.ceil(all.length / POINTS_MAX) || 1;
  const stretches = Array.from({ length: Math.ceil(all.length / stride) }, (_, at) =>
    all.slice(at * stride, (at + 1) * stride),
  );
  const series = Object.entries(lines)
    .map(([label, of]) => ({
      label,
      draw: 'line' as const,
      values: stretches.map((stretch) => worst(stretch.map(of), yKind)),
    }))
    .filter(({ values }) => values.some((value) => value !== null && value !== 0));
  return { title, xLabel: 'time (s)', yLabel, yKind, x: stretches.map((stretch) => stretch[0]?.atS ?? 0), series };
}

/** A logarithmic scale has no zero. */
function worst(values: readonly (number | undefined)[], yKind: Chart['yKind']): number | null {
  const known = values.filter((value) => value !== undefined && Number.isFinite(value)) as number[];
  if (known.length === 0) return null;
  const most = Math.max(...known);
  return yKind === 'log' && most <= 0 ? null : most;
}
