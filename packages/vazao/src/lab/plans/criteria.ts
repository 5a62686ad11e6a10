/** What a run must show, as data: `p99<=200`, `throughput>=500`. */
import { LabError } from '../errors.ts';
import type { Criterion, CriterionVerdict, Figures, Metric, RunResult, ServerSample } from '../run-result.ts';

/** How a metric is written, and what its unit is. */
export const METRICS: Readonly<Record<Metric, string>> = {
  throughput: 'requests/s',
  mean: 'ms',
  p50: 'ms',
  p95: 'ms',
  p99: 'ms',
  hitRate: '%',
  successRate: '%',
  timeoutRate: '%',
  errorRate: '%',
  rssMax: 'MB',
  queriesPerRequest: '',
};

/** Undefined when it was not measured. Shares are of the requests that were offered: what was never sent helped nobody. */
export function measure(metric: Metric, figures: Figures, server: readonly ServerSample[]): number | undefined {
  const { offered, unsent, succeeded, errors, cacheHits, cacheMisses, latency } = figures;
  const measured = (value: number): number | undefined => (latency.count > 0 ? value : undefined);
  switch (metric) {
    case 'throughput':
      return figures.throughput;
    case 'mean':
      return measured(latency.meanMs);
    case 'p50':
      return measured(latency.p50Ms);
    case 'p95':
      return measured(latency.p95Ms);
    case 'p99':
      return measured(latency.p99Ms);
    case 'hitRate':
      return cacheHits + cacheMisses > 0 ? cacheHits / (cacheHits + cacheMisses) : undefined;
    case 'successRate':
      return offered > 0 ? succeeded / offered : undefined;
    case 'timeoutRate':
      return offered > 0 ? (errors.timeout + unsent) / offered : undefined;
    case 'errorRate':
      return offered > 0 ? 1 - succeeded / offered : undefined;
    case 'rssMax': {
      const sizes = server.map(({ rssBytes }) => rssBytes).filter((size) => size !== undefined);
      return sizes.length > 0 ? Math.max(...sizes) : undefined;
    }
    case 'queriesPerRequest':
      return figures.queriesPerRequest;
  }
}

/** @param phase - whose figures they are; absent for the whole run */
export function judge(
  criteria: readonly Criterion[],
  figures: Figures,
  server: readonly ServerSample[],
  phase?: string | undefined,
): readonly CriterionVerdict[] {
  return criteria.map((criterion) => {
    const value = measure(criterion.metric, figures, server);
    const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = criterion;
    const outcome = value === undefined ? 'unknown' : value >= min && value <= max ? 'passed' : 'failed';
    return { ...criterion, ...(value !== undefined && { value }), outcome, ...(phase !== undefined && { phase }) };
  });
}

export function decideVerdict(
  criteria: readonly CriterionVerdict[],
  isVoid: boolean,
  failed: boolean,
): RunResult['verdict'] {
  if (isVoid) return 'void';
  if (failed || criteria.some(({ outcome }) => outcome !== 'passed')) return 'failed';
  return criteria.length === 0 ? 'none' : 'passed';
}

const CRITERION = /^\s*([A-Za-z0-9]+)\s*(<=|>=)\s*(\d+(?:\.\d+)?)\s*(ms|s|%|KB|MB|GB)?\s*$/;
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, '%': 0.01, KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30 };

/** `p99<=200ms,hitRate>=80%,rssMax<=3GB`. Throws {@link LabError}. */
export function parseCriteria(text: string): readonly Criterion[] {
  return text.split(',').map((word) => {
    const [, name = '', sign, number, unit] = CRITERION.exec(word) ?? [];
    if (!isMetric(name)) {
      throw new LabError(
        'ERR_LAB_OPTION',
        `${JSON.stringify(word)} is no criterion: write p99<=200ms or hitRate>=80%, with one of ${Object.keys(METRICS).join(', ')}.`,
      );
    }
    const value = Number(number) * (unit === undefined ? 1 : (UNITS[unit] as number));
    return sign === '<=' ? { metric: name, max: value } : { metric: name, min: value };
  });
}

/** `p99 <= 200 ms`. */
export function describeCriterion({ metric, min, max }: Criterion): string {
  const bounds = [
    min !== undefined && `>= ${formatMetric(metric, min)}`,
    max !== undefined && `<= ${formatMetric(metric, max)}`,
  ];
  return `${metric} ${bounds.filter(Boolean).join(' and ')}`;
}

export function formatMetric(metric: Metric, value: number): string {
  const unit = METRICS[metric];
  const scaled = unit === '%' ? value * 100 : unit === 'MB' ? value / 2 ** 20 : value;
  return `${Number(scaled.toPrecision(3))}${unit === '' ? '' : ` ${unit}`}`;
}

function isMetric(name: string): name is Metric {
  return Object.hasOwn(METRICS, name);
}
