/** The figures of a run by which runs are judged and compared: one name, unit and sense of better for tables, plots and verdicts. */
import type { Metric, RunResult } from './run-result.ts';
import { mean } from './statistics/quantile.ts';

export type FigureName = Metric | 'cpuCores';

export interface FigureKind {
  readonly name: FigureName;
  /** As a column's head. */
  readonly title: string;
  readonly unit: 'requests/s' | 'ms' | 'share' | 'bytes' | 'cores' | 'statements';
  readonly better: 'more' | 'less';
}

export const FIGURES: readonly FigureKind[] = [
  { name: 'timeoutRate', title: 'time-outs', unit: 'share', better: 'less' },
  { name: 'throughput', title: 'throughput', unit: 'requests/s', better: 'more' },
  { name: 'mean', title: 'mean', unit: 'ms', better: 'less' },
  { name: 'p50', title: 'p50', unit: 'ms', better: 'less' },
  { name: 'p95', title: 'p95', unit: 'ms', better: 'less' },
  { name: 'p99', title: 'p99', unit: 'ms', better: 'less' },
  { name: 'successRate', title: 'success', unit: 'share', better: 'more' },
  { name: 'errorRate', title: 'errors', unit: 'share', better: 'less' },
  { name: 'hitRate', title: 'hit rate', unit: 'share', better: 'more' },
  { name: 'queriesPerRequest', title: 'queries a request', unit: 'statements', better: 'less' },
  { name: 'cpuCores', title: 'CPU', unit: 'cores', better: 'less' },
  { name: 'rssMax', title: 'memory', unit: 'bytes', better: 'less' },
];

/** One figure of a run; undefined where it was not measured. */
export function figureOf(run: RunResult, name: FigureName): number | undefined {
  const { total, server } = run;
  const { latency, errors } = total;
  const share = (part: number, whole: number): number | undefined => (whole > 0 ? part / whole : undefined);
  const measured = (of: (sample: RunResult['server'][number]) => number | undefined): number[] =>
    server.map(of).filter((value) => value !== undefined);
  // What ended, well or not; time-outs of requests in flight at the end count when they come.
  const ended = total.completed + errors.timeout + errors.connect + errors.reset + errors.malformed;
  switch (name) {
    case 'throughput':
      return total.throughput;
    case 'mean':
      return latency.count > 0 ? latency.meanMs : undefined;
    case 'p50':
      return latency.count > 0 ? latency.p50Ms : undefined;
    case 'p95':
      return latency.count > 0 ? latency.p95Ms : undefined;
    case 'p99':
      return latency.count > 0 ? latency.p99Ms : undefined;
    case 'hitRate':
      return share(total.cacheHits, total.cacheHits + total.cacheMisses);
    case 'successRate':
      return share(total.succeeded, ended + total.unsent);
    case 'errorRate':
      return share(ended - total.succeeded + total.unsent, ended + total.unsent);
    case 'timeoutRate':
      return share(errors.timeout + total.unsent, ended + total.unsent);
    case 'queriesPerRequest':
      return total.queriesPerRequest;
    case 'cpuCores': {
      const cores = measured(({ cpuCores }) => cpuCores);
      return cores.length > 0 ? mean(cores) : undefined;
    }
    case 'rssMax': {
      const sizes = measured(({ rssBytes }) => rssBytes);
      return sizes.length > 0 ? Math.max(...sizes) : undefined;
    }
  }
}
