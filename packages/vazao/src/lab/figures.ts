/** The figures of a run by which runs are judged and compared: one name, unit and sense of better for tables, plots and verdicts. */
import { measure } from './plans/criteria.ts';
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

/** One figure of a run; undefined where it was not measured. CPU is the mean over the run. */
export function figureOf(run: RunResult, name: FigureName): number | undefined {
  if (name !== 'cpuCores') return measure(name, run.total, run.server);
  const cores = run.server.map(({ cpuCores }) => cpuCores).filter((value) => value !== undefined);
  return cores.length > 0 ? mean(cores) : undefined;
}
