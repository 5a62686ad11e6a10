/**
 * How much is needed for so many users? From what was measured, by laws that hold for any server:
 *
 *   demand       X = N / (Z + R)                requests a second of N users (response time law)
 *   processors   U = X · D                      D: processor time a request, the slope of CPU over throughput (utilisation law)
 *   scaling      X(n)                           the Universal Scalability Law, where workers were stepped up
 *   pool         X · q · S                      connections that are busy (Little's law), q statements a request of S seconds
 *   memory       of a worker, its cache included, times the workers, and what is there once a host
 *
 * It refuses what the measurements do not support, and says which measurement would.
 */
import { figureOf } from '../figures.ts';
import type { RunResult } from '../run-result.ts';
import { IN_DATABASE } from '../stages.ts';
import type { Interval } from '../statistics/bootstrap.ts';
import { mean, median, quantile } from '../statistics/quantile.ts';
import { findTrend } from '../statistics/trend.ts';
import { fitUsl, predictUsl, type UslPrediction } from '../statistics/usl.ts';
import { scalingSteps } from './scaling-steps.ts';

export interface CapacityQuestion {
  readonly users: number;
  /** Z: mean time between an answer and the same user's next request. */
  readonly thinkS: number;
  /** Of users, a year, as a share. @defaultValue 0 */
  readonly growthPerYear?: number | undefined;
  /** How far ahead. @defaultValue 1 */
  readonly years?: number | undefined;
  /** Load at the peak ÷ ordinary load. @defaultValue 1 */
  readonly peak?: number | undefined;
  /** Share of the processors that may be busy at the peak. @defaultValue 0.7 */
  readonly cpuShare?: number | undefined;
  /** Processors of a host. @defaultValue those of the machine that was measured */
  readonly coresPerHost?: number | undefined;
}

export interface CapacityPlan {
  /** Requests a second at the peak, at the end. */
  readonly requestsPerS: number;
  /** Processor time of one request, in seconds, of all processes of the server. */
  readonly cpuS: number;
  readonly cores: number;
  /** Of {@link cores}, 95 %, by the cost of a request; undefined with fewer than {@link INTERVAL_STEPS_MIN} steps. */
  readonly coresInterval: Interval | undefined;
  readonly workers: number;
  readonly hosts: number;
  /** The most that one host gives by the Universal Scalability Law, requests a second; undefined where throughput still climbs. */
  readonly ceilingPerS: number | undefined;
  /** Of a measurement there, 95 %, by the fit. */
  readonly ceilingInterval: Interval | undefined;
  /** Connections to the database that are busy at the peak, and as many again for bursts; undefined where no stages were measured. */
  readonly pool: number | undefined;
  /** Of {@link pool}, 95 %, by the requests that were drawn. */
  readonly poolInterval: Interval | undefined;
  /** Undefined where the memory of a worker was not told from that of the other processes. */
  readonly memory: MemoryPlan | undefined;
  /** What a worker kept; undefined where the server's `/health` tells of no cache. */
  readonly cache: WorkingSet | undefined;
  /** Why it is not to be relied on, each with what would help. Empty: the measurements support it. */
  readonly refusals: readonly string[];
  /** What it takes for granted. */
  readonly assumptions: readonly string[];
}

export interface MemoryPlan {
  /** All processes of a host, with a quarter left free. */
  readonly perHostBytes: number;
  /** The largest worker that was seen, with its cache. */
  readonly workerBytes: number;
  /** Supervisor, database: there once, however many workers. */
  readonly otherBytes: number;
}

export interface WorkingSet {
  readonly entries: number;
  /** The most that a worker kept; a part of its memory. */
  readonly bytes: number;
  readonly bytesMax: number;
  /** Nothing had to go to make room. If not, the working set is larger than the cache. */
  readonly fits: boolean;
}

export class CapacityError extends Error {
  readonly code = 'ERR_LAB_CAPACITY';
}

const CPU_SHARE_DEFAULT = 0.7;
/** Beyond so many times the throughput that was measured, nothing is said: what would give way first was not seen. */
const EXTRAPOLATION_MAX = 2;
const STEPS_MIN = 3;
/** Theil and Sen's interval can't hold 95 % with fewer: four steps in any order rise or fall by chance in one case of twelve. */
const INTERVAL_STEPS_MIN = 5;
/** One more than the law has parameters is the least; an error needs some more. */
const USL_STEPS_MIN = 5;
/** Of the highest throughput that was measured. */
const LEVEL_MAX = 1.25;
const POOL_MIN = 4;
/** A host keeps a quarter of its memory free, for the database's cache of pages and the kernel. */
const MEMORY_SHARE = 0.75;

interface LoadStep {
  readonly perS: number;
  readonly cpuCores: number;
  readonly latencyS: number;
}

/** Throws {@link CapacityError} where nothing can be computed at all: no run counts, or none saw the server's processes. */
export function planCapacity(runs: readonly RunResult[], question: CapacityQuestion): CapacityPlan {
  const { users, thinkS, growthPerYear = 0, years = 1, peak = 1, cpuShare = CPU_SHARE_DEFAULT } = question;
  const counting = runs.filter(({ generator }) => !generator.void);
  if (counting.length === 0) {
    throw new CapacityError(
      'None of these runs counts: the generator was late in all of them. Measure again on a quiet machine.',
    );
  }
  const steps = stepsOf(counting);
  if (steps.length === 0) {
    throw new CapacityError(
      'No run saw the processor time of the server. Measure with --serve or --pid, so that the lab sees its processes.',
    );
  }
  const machine = (counting[0] as RunResult).machine;
  const coresPerHost = question.coresPerHost ?? machine.cores;
  // While the server holds, latency is small beside the time to think; at the peak it is taken as it was at the highest step that held.
  const latencyS = (steps.at(-1) as LoadStep).latencyS;
  const requestsPerS = ((users * (1 + growthPerYear) ** years) / (thinkS + latencyS)) * peak;
  const { cpuS, interval, spread } = demandOf(steps);
  const cores = (requestsPerS * cpuS) / cpuShare;
  const workers = Math.max(1, Math.ceil(cores));
  const ceiling = ceilingOf(counting);
  const ceilingPerS = ceiling?.throughputPerS;
  const pool = poolOf(counting, requestsPerS);
  // Processors that wait for one another are idle, and yet there is no more to be had.
  const byCeiling = ceilingPerS === undefined ? 1 : Math.ceil(requestsPerS / (ceilingPerS * cpuShare));
  const hosts = Math.max(1, Math.ceil(workers / coresPerHost), byCeiling);
  const most = Math.max(...steps.map(({ perS }) => perS));
  return {
    requestsPerS,
    cpuS,
    cores,
    coresInterval: steps.length < INTERVAL_STEPS_MIN ? undefined : scale(interval, requestsPerS / cpuShare),
    workers,
    hosts,
    ceilingPerS,
    ceilingInterval: ceiling?.interval,
    pool: pool?.connections,
    poolInterval: pool?.interval,
    memory: memoryOf(counting, Math.ceil(workers / hosts)),
    cache: workingSetOf(counting),
    refusals: refusalsOf({ requestsPerS, most, steps, spread, hosts, coresPerHost, counting }),
    assumptions: [
      `a request costs ${(cpuS * 1_000).toFixed(2)} ms of processor time, as it did up to ${most.toFixed(0)} requests/s`,
      `at the peak ${(cpuShare * 100).toFixed(0)} % of ${coresPerHost} cores a host are busy, generator not counted`,
      'users ask for the same pages in the same proportions, so that the hit rate and the working set stay as measured',
    ],
  };
}

function scale({ low, high }: Interval, factor: number): Interval {
  return { low: low * factor, high: high * factor };
}

function ceilingOf(runs: readonly RunResult[]): UslPrediction | undefined {
  const { points } = scalingSteps(runs);
  if (new Set(points.map(({ n }) => n)).size < USL_STEPS_MIN) return undefined;
  const fit = fitUsl(points);
  const end = 2 * fit.measured.nMax;
  const predicted = predictUsl(fit, Math.min(fit.peakN ?? end, end));
  const most = Math.max(...points.map((point) => point.throughputPerS));
  // A curve that still climbs where the fit ends has shown no ceiling.
  return predicted.refusal === undefined && predicted.throughputPerS <= LEVEL_MAX * most ? predicted : undefined;
}

/** Phases of load under which the server held: every request served, no more than a hundredth in error. */
function stepsOf(runs: readonly RunResult[]): LoadStep[] {
  return runs
    .flatMap((run) =>
      run.phases
        .filter(({ warmUp, succeeded, offered }) => !warmUp && succeeded >= 0.95 * offered)
        .map((phase) => ({
          perS: phase.throughput,
          cpuCores:
            phase.serverCpuCores ?? (run.phases.length === 1 ? (figureOf(run, 'cpuCores') ?? Number.NaN) : Number.NaN),
          latencyS: phase.latency.meanMs / 1_000,
        })),
    )
    .filter(({ perS, cpuCores }) => perS > 0 && cpuCores > 0)
    .sort((a, b) => a.perS - b.perS);
}

/** The slope of CPU over throughput (Theil and Sen): what the server spends anyway is no cost of a request. Of one step, the ratio. */
function demandOf(steps: readonly LoadStep[]): {
  readonly cpuS: number;
  readonly interval: Interval;
  readonly spread: number;
} {
  const ratios = steps.map(({ perS, cpuCores }) => cpuCores / perS);
  const ratio = median(ratios);
  const between = { low: quantile(ratios, 0.1), high: quantile(ratios, 0.9) };
  if (steps.length < STEPS_MIN) return { cpuS: ratio, interval: between, spread: Number.NaN };
  const { slopePerS, interval } = findTrend(steps.map(({ perS, cpuCores }) => ({ atS: perS, value: cpuCores })));
  if (!(slopePerS > 0)) return { cpuS: ratio, interval: between, spread: (between.high - between.low) / ratio };
  return { cpuS: slopePerS, interval, spread: (interval.high - interval.low) / 2 / slopePerS };
}

/** Statements in progress by Little's law, doubled for bursts (a Poisson stream of 8 exceeds 16 once in a hundred). */
function poolOf(
  runs: readonly RunResult[],
  requestsPerS: number,
): { readonly connections: number; readonly interval: Interval } | undefined {
  const busyS = runs
    .flatMap(({ samples }) => samples)
    .flatMap(({ stages }) =>
      stages === undefined ? [] : [IN_DATABASE.reduce((sum, name) => sum + (stages[name] ?? 0), 0) / 1_000],
    );
  if (busyS.length === 0) return undefined;
  const meanS = mean(busyS);
  const variance = busyS.reduce((sum, one) => sum + (one - meanS) ** 2, 0) / Math.max(1, busyS.length - 1);
  const width = 1.96 * Math.sqrt(variance / busyS.length);
  const connections = (of: number): number => Math.max(POOL_MIN, Math.ceil(requestsPerS * of * 2));
  return {
    connections: connections(meanS),
    interval: { low: connections(meanS - width), high: connections(meanS + width) },
  };
}

/**
 * A worker's memory is known where `/health` says which process it is, and where the server is one process. What is left of the whole
 * doesn't grow with workers: PostgreSQL's processes are no workers, however many they are.
 */
function memoryOf(runs: readonly RunResult[], workersPerHost: number): MemoryPlan | undefined {
  const seen = runs.flatMap(({ server }) => server.filter(({ rssBytes }) => rssBytes));
  const mostOf = (sizes: readonly (number | undefined)[]): number => Math.max(0, ...sizes.map((size) => size ?? 0));
  const told = seen.filter(({ workers, workerRssBytes }) => workers && workerRssBytes);
  if (told.length === 0 && !(seen.length > 0 && seen.every(({ processes }) => processes === 1))) return undefined;
  const workerBytes = mostOf(
    (told.length > 0 ? told : seen).map(({ workerRssBytes, rssBytes }) => workerRssBytes ?? rssBytes),
  );
  // Of several workers one is seen at a time: the others are as large as the middle one.
  const middle = median(told.map(({ workerRssBytes = 0 }) => workerRssBytes));
  const otherBytes = mostOf(told.map(({ rssBytes = 0, workers = 0 }) => rssBytes - workers * middle));
  return { perHostBytes: (otherBytes + workersPerHost * workerBytes) / MEMORY_SHARE, workerBytes, otherBytes };
}

function workingSetOf(runs: readonly RunResult[]): WorkingSet | undefined {
  const caches = runs.flatMap(({ server }) => server.flatMap(({ cache }) => cache ?? []));
  const [first, ...others] = caches;
  if (!first) return undefined;
  const { entries, bytes, bytesMax } = others.reduce((most, cache) => (cache.bytes > most.bytes ? cache : most), first);
  return { entries, bytes, bytesMax, fits: caches.every(({ evicted }) => evicted === 0) };
}

function refusalsOf(seen: {
  readonly requestsPerS: number;
  readonly most: number;
  readonly steps: readonly LoadStep[];
  readonly spread: number;
  readonly hosts: number;
  readonly coresPerHost: number;
  readonly counting: readonly RunResult[];
}): string[] {
  const { requestsPerS, most, steps, spread, hosts, coresPerHost, counting } = seen;
  const refusals: string[] = [];
  const perHost = requestsPerS / hosts;
  if (perHost > EXTRAPOLATION_MAX * most) {
    refusals.push(
      `${perHost.toFixed(0)} requests/s a host are more than ${EXTRAPOLATION_MAX} times the ${most.toFixed(0)} that were measured: measure up to ${(perHost / EXTRAPOLATION_MAX).toFixed(0)} requests/s`,
    );
  }
  if (steps.length < STEPS_MIN) {
    refusals.push(
      `${steps.length} step${steps.length === 1 ? '' : 's'} of load held, and ${STEPS_MIN} are needed to tell what a request costs from what the server costs anyway: measure with --plan stress`,
    );
  } else if (spread > 0.25) {
    refusals.push(
      `the processor time of a request is uncertain by ±${(spread * 100).toFixed(0)} %: measure longer steps, on a quiet machine`,
    );
  }
  const cores = counting[0]?.machine.cores ?? coresPerHost;
  if (hosts > 1) {
    refusals.push(
      `${hosts} hosts share one database, and one host was measured: measure two against a database of its own before you rely on more`,
    );
  } else if (coresPerHost > EXTRAPOLATION_MAX * cores) {
    refusals.push(
      `hosts of ${coresPerHost} cores are more than ${EXTRAPOLATION_MAX} times the ${cores} that were measured: measure on such a host`,
    );
  }
  return refusals;
}
