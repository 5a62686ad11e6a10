/**
 * How much is needed for so many users? From what was measured, by laws that hold for any server:
 *
 *   demand       X = N / (Z + R)                requests a second of N users (response time law)
 *   processors   U = X · D                      D: processor time a request, the slope of CPU over throughput (utilisation law)
 *   scaling      X(n)                           the Universal Scalability Law, where workers were stepped up
 *   pool         X · q · S                      connections that are busy (Little's law), q statements a request of S seconds
 *   cache        bytes at the hit rate that was measured
 *
 * It refuses what the measurements do not support, and says which measurement would.
 */
import { figureOf } from '../figures.ts';
import type { RunResult } from '../run-result.ts';
import { IN_DATABASE } from '../stages.ts';
import { median, quantile } from '../statistics/quantile.ts';
import { findTrend } from '../statistics/trend.ts';
import { fitUsl, predictUsl } from '../statistics/usl.ts';
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
  readonly workers: number;
  readonly hosts: number;
  /** The most that one host gives by the Universal Scalability Law, requests a second; undefined where throughput still climbs. */
  readonly ceilingPerS: number | undefined;
  /** Connections to the database that are busy at the peak, and as many again for bursts; undefined where no stages were measured. */
  readonly pool: number | undefined;
  /** Bytes of memory of the processes: of each worker, and all together on a host. */
  readonly memoryPerHostBytes: number | undefined;
  /** Why it is not to be relied on, each with what would help. Empty: the measurements support it. */
  readonly refusals: readonly string[];
  /** What it takes for granted. */
  readonly assumptions: readonly string[];
}

export class CapacityError extends Error {
  readonly code = 'ERR_LAB_CAPACITY';
}

const CPU_SHARE_DEFAULT = 0.7;
/** Beyond so many times the throughput that was measured, nothing is said: what would give way first was not seen. */
const EXTRAPOLATION_MAX = 2;
const STEPS_MIN = 3;
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
  const { cpuS, spread } = demandOf(steps);
  const cores = (requestsPerS * cpuS) / cpuShare;
  const workers = Math.max(1, Math.ceil(cores));
  const ceilingPerS = ceilingOf(counting);
  // Processors that wait for one another are idle, and yet there is no more to be had.
  const byCeiling = ceilingPerS === undefined ? 1 : Math.ceil(requestsPerS / (ceilingPerS * cpuShare));
  const hosts = Math.max(1, Math.ceil(workers / coresPerHost), byCeiling);
  const most = Math.max(...steps.map(({ perS }) => perS));
  return {
    requestsPerS,
    cpuS,
    cores,
    workers,
    hosts,
    ceilingPerS,
    pool: poolOf(counting, requestsPerS),
    memoryPerHostBytes: memoryOf(counting, Math.ceil(workers / hosts)),
    refusals: refusalsOf({ requestsPerS, most, steps, spread, hosts, coresPerHost, counting }),
    assumptions: [
      `a request costs ${(cpuS * 1_000).toFixed(2)} ms of processor time, as it did up to ${most.toFixed(0)} requests/s`,
      `at the peak ${(cpuShare * 100).toFixed(0)} % of ${coresPerHost} cores a host are busy, generator not counted`,
      'users ask for the same pages in the same proportions, so that the hit rate and the working set stay as measured',
    ],
  };
}

function ceilingOf(runs: readonly RunResult[]): number | undefined {
  const { points } = scalingSteps(runs);
  if (new Set(points.map(({ n }) => n)).size < USL_STEPS_MIN) return undefined;
  const fit = fitUsl(points);
  const end = 2 * fit.measured.nMax;
  const { throughputPerS, refusal } = predictUsl(fit, Math.min(fit.peakN ?? end, end));
  const most = Math.max(...points.map((point) => point.throughputPerS));
  // A curve that still climbs where the fit ends has shown no ceiling.
  return refusal === undefined && throughputPerS <= LEVEL_MAX * most ? throughputPerS : undefined;
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
function demandOf(steps: readonly LoadStep[]): { readonly cpuS: number; readonly spread: number } {
  const ratios = steps.map(({ perS, cpuCores }) => cpuCores / perS);
  const ratio = median(ratios);
  if (steps.length < STEPS_MIN) return { cpuS: ratio, spread: Number.NaN };
  const { slopePerS, interval } = findTrend(steps.map(({ perS, cpuCores }) => ({ atS: perS, value: cpuCores })));
  if (!(slopePerS > 0)) return { cpuS: ratio, spread: (quantile(ratios, 0.9) - quantile(ratios, 0.1)) / ratio };
  return { cpuS: slopePerS, spread: (interval.high - interval.low) / 2 / slopePerS };
}

/** Statements in progress by Little's law, doubled for bursts (a Poisson stream of 8 exceeds 16 once in a hundred). */
function poolOf(runs: readonly RunResult[], requestsPerS: number): number | undefined {
  const samples = runs.flatMap(({ samples }) => samples).filter(({ stages }) => stages !== undefined);
  if (samples.length === 0) return undefined;
  const inDatabase = ({ stages = {} }: (typeof samples)[number]): number =>
    IN_DATABASE.reduce((sum, name) => sum + (stages[name] ?? 0), 0);
  const busyS = samples.reduce((sum, sample) => sum + inDatabase(sample), 0) / samples.length / 1_000;
  return Math.max(POOL_MIN, Math.ceil(requestsPerS * busyS * 2));
}

function memoryOf(runs: readonly RunResult[], workersPerHost: number): number | undefined {
  const sizes = runs.flatMap(({ server }) => server.map(({ rssBytes, processes }) => ({ rssBytes, processes })));
  const perProcess = sizes.flatMap(({ rssBytes, processes }) =>
    rssBytes && processes ? [{ rssBytes, processes }] : [],
  );
  const largest = perProcess.reduce((most, one) => (one.rssBytes > most.rssBytes ? one : most), {
    rssBytes: 0,
    processes: 1,
  });
  if (largest.rssBytes === 0) return undefined;
  const workersSeen = Math.max(1, largest.processes > 1 ? largest.processes - 1 : 1);
  return (largest.rssBytes * Math.max(1, workersPerHost / workersSeen)) / MEMORY_SHARE;
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
