import type { RunResult } from '../run-result.ts';
import { median } from '../statistics/quantile.ts';
import type { UslPoint } from '../statistics/usl.ts';

export interface ScalingSteps {
  readonly points: readonly UslPoint[];
  /** What is on the x axis. */
  readonly what: string;
}

/**
 * Throughput by concurrency, of the phases of all runs that count. Concurrency is what was in progress, X·R by Little's law: of an
 * open model and of users who think alike, for a user who thinks loads nothing. Below 1 it is left out.
 */
export function scalingSteps(runs: readonly RunResult[]): ScalingSteps {
  const points = runs
    .filter(({ generator }) => !generator.void)
    .flatMap(({ phases }) => phases.filter(({ warmUp }) => !warmUp))
    .map(({ completed, durationS, service, throughput }) => ({
      n: ((completed / durationS) * service.meanMs) / 1_000,
      throughputPerS: throughput,
    }))
    .filter(({ n, throughputPerS }) => n >= 1 && throughputPerS > 0);
  return { points: merge(points), what: 'requests in progress' };
}

/** Points of the same concurrency, to 2 %, become one: their medians. */
function merge(points: readonly UslPoint[]): UslPoint[] {
  const groups: UslPoint[][] = [];
  for (const point of [...points].sort((a, b) => a.n - b.n)) {
    const group = groups.at(-1);
    if (group?.[0] && point.n <= group[0].n * 1.02) group.push(point);
    else groups.push([point]);
  }
  return groups.map((group) => ({
    n: median(group.map(({ n }) => n)),
    throughputPerS: median(group.map(({ throughputPerS }) => throughputPerS)),
  }));
}
