/**
 * What a run leaves behind: plain data, so that it can be written as JSON, compared, and reported without the engine.
 *
 * Times are milliseconds if they end in `Ms`, seconds since the first scheduled arrival if they end in `S`. Rates are per
 * second, shares are from 0 to 1, sizes are bytes. A number that was not measured is absent, never 0.
 */

export const RUN_RESULT_FORMAT = 'vazao-lab-run/1';

export interface RunResult {
  readonly format: typeof RUN_RESULT_FORMAT;
  readonly scenario: ScenarioName;
  /** Origin of the server: `http://127.0.0.1:3000`. */
  readonly target: string;
  /** Name of the architecture under which the application ran, when several are compared. */
  readonly architecture?: string | undefined;
  readonly plan: PlanName;
  /** Repeats arrivals, choice of steps and generated data. */
  readonly seed: number;
  /** ISO 8601. */
  readonly startedAt: string;
  /** From the first scheduled arrival to the last one, without the time in which the last answers come in. */
  readonly durationS: number;
  readonly ended: RunEnd;
  readonly machine: Machine;
  readonly generator: GeneratorHealth;
  /** Whole run, warm-up excluded. */
  readonly total: Figures;
  /** In order. The phases of a plan: its steps of load, or before, during and after a spike. */
  readonly phases: readonly PhaseFigures[];
  /** By the name of a scenario's step, warm-up excluded. */
  readonly steps: readonly StepFigures[];
  /** One for each second of the run, warm-up included, in order. */
  readonly seconds: readonly SecondFigures[];
  /** Requests drawn at random, all with the same chance, warm-up excluded. At most 10,000. */
  readonly samples: readonly RequestSample[];
  /** The slowest requests, slowest first. At most 200. */
  readonly slowest: readonly RequestSample[];
  /** About one a second while the processes of the server were known or its answers said something. */
  readonly server: readonly ServerSample[];
  readonly criteria: readonly CriterionVerdict[];
  /** What the plan was there to find. */
  readonly findings: Findings;
  /** `void` when the generator was late, whatever the criteria say; `none` without criteria. */
  readonly verdict: 'passed' | 'failed' | 'void' | 'none';
}

export interface ScenarioName {
  readonly name: string;
  /** Names of its steps, in order. */
  readonly steps: readonly string[];
}

/**
 * `criteria`, `saturated`: `stress` stopped stepping up, for the server; `generator`: because the generator could offer no more.
 * `interrupted`: by Ctrl-C.
 */
export type RunEnd = 'complete' | 'criteria' | 'saturated' | 'generator' | 'interrupted';

export type PlanKind = 'load' | 'stress' | 'spike' | 'volume' | 'soak' | 'smoke';

export interface PlanName {
  readonly kind: PlanKind;
  /**
   * `open`: arrivals follow a schedule, whatever the server does. `closed`: a number of users, each of whom waits for the
   * answer, thinks, and goes on.
   */
  readonly model: 'open' | 'closed';
  /** `Z` of the closed model: mean time between an answer and the same user's next request. */
  readonly thinkMs?: number | undefined;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
  /** Load average of the last minute, before the run. */
  readonly loadAverage: number;
}

/** Whether the generator did what the plan asked of it. If not, its figures say something about itself and not about the server. */
export interface GeneratorHealth {
  readonly threads: number;
  /** Most connections that were open at a time. */
  readonly connections: number;
  /** Share of the arrivals that were written within 10 ms of their schedule, of those that found a free connection. */
  readonly timelyShare: number;
  /** How late they were written. */
  readonly lateness: LatencySummary;
  /** Worst of the threads: 99th percentile of the delay of its event loop. */
  readonly eventLoopDelayP99Ms: number;
  /** Busiest of the threads: share of the time in which its event loop ran code. */
  readonly eventLoopUtilisation: number;
  /** CPU time of the whole process, in cores. */
  readonly cpuCores: number;
  /** Most resident memory of the whole process. */
  readonly rssMaxBytes: number;
  /** Why the run says nothing about the server, in sentences; absent when it counts. */
  readonly void?: readonly string[] | undefined;
}

/** How a request may fail; each failed request counts once. */
export interface ErrorCounts {
  /** No complete answer within the time-out, counted from the send. */
  readonly timeout: number;
  /** The connection could not be made. */
  readonly connect: number;
  /** The connection ended before the answer did. */
  readonly reset: number;
  /** What came was no HTTP/1.1 answer, or larger than allowed. */
  readonly malformed: number;
  /** A status that the step does not accept: 400 and above, if it says nothing. */
  readonly status: number;
  /** An accepted status, and a check of the scenario that failed. */
  readonly check: number;
}

export type ErrorKind = keyof ErrorCounts;

export interface Counts {
  /** Requests that the schedule asked for. In the closed model, the same as `sent`. */
  readonly offered: number;
  readonly sent: number;
  /** Offered and never written, because all allowed connections were taken until the run ended or the arrival was too old. */
  readonly unsent: number;
  /** Answered completely, whatever the status. */
  readonly completed: number;
  /** Completed, with an accepted status and all checks passed. */
  readonly succeeded: number;
  readonly errors: ErrorCounts;
  readonly bytesReceived: number;
  /** Answers by what `Cache-Status` said: `hit`, or a forward. Answers without the field are in neither. */
  readonly cacheHits: number;
  readonly cacheMisses: number;
}

/**
 * Latency counts from the scheduled send, so that a stall of the server is charged to every request that it delayed; in the
 * closed model from the send. Answers that succeeded count, and so do time-outs, with the time after which they were given up: leaving
 * out those would flatter. Other failures don't: a 503 in a millisecond makes nobody fast. Their share is in {@link Counts}.
 */
export interface LatencySummary {
  readonly count: number;
  readonly minMs: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

/** An HDR histogram (V2, compressed, base64) of microseconds with three significant digits: `decodeFromBase64` of `hdr-histogram-js` reads it. */
export type EncodedHistogram = string;

export interface Figures extends Counts {
  readonly durationS: number;
  /** Succeeded answers per second. */
  readonly throughput: number;
  readonly latency: LatencySummary;
  readonly histogram: EncodedHistogram;
  /** The same requests from the actual send: the difference is time spent waiting for a free connection. */
  readonly service: LatencySummary;
  readonly serviceHistogram: EncodedHistogram;
  /** Statements per request, where the server or a hook tells. */
  readonly queriesPerRequest?: number | undefined;
  /** The closed model checked against Little's law. */
  readonly littlesLaw?: LittlesLaw | undefined;
}

/** N = X(R + Z): what the users, the throughput, the response time and the think time say of one another. */
export interface LittlesLaw {
  readonly users: number;
  /** X: completed or failed requests per second. */
  readonly throughput: number;
  /** R. */
  readonly responseMs: number;
  /** Z as it was, not as it was asked for. */
  readonly thinkMs: number;
  /** X(R + Z) / N. Far from 1, the generator lost users or time. */
  readonly ratio: number;
}

export interface PhaseFigures extends Figures {
  readonly name: string;
  readonly fromS: number;
  readonly toS: number;
  /** Not part of the total. */
  readonly warmUp: boolean;
  /** Succeeded answers that came during the phase, whenever they were due: less than offered, and the server falls behind. */
  readonly served: number;
  /** Requests per second that the schedule asked for on average, in the open model. */
  readonly offeredRate?: number | undefined;
  /** Arrivals that found no free connection, in the open model. */
  readonly waited?: number | undefined;
  /** In the closed model. */
  readonly users?: number | undefined;
  /** Mean over the phase of what {@link ServerSample} says: for the fit of the capacity. */
  readonly serverCpuCores?: number | undefined;
}

export interface StepFigures extends Figures {
  readonly name: string;
}

export interface SecondFigures extends Counts {
  /** The second [atS, atS + 1). Offered and sent count when they were; answers, errors and latencies when they came. */
  readonly atS: number;
  /** Name of the phase in which it began. */
  readonly phase: string;
  readonly latency: LatencySummary;
  /** Requests without their answer, at the end of the second. */
  readonly inFlight: number;
  /** Arrivals that wait for a free connection, at the end of the second. */
  readonly waiting: number;
  /** In the closed model. */
  readonly users?: number | undefined;
}

/** One request, for asking where its time went. */
export interface RequestSample {
  /** Of the scheduled send. */
  readonly atS: number;
  readonly step: string;
  readonly latencyMs: number;
  /** From the actual send to the end of the answer. */
  readonly serviceMs: number;
  /** From the actual send to the first byte of the answer; absent when none came. */
  readonly firstByteMs?: number | undefined;
  /** 0 when no answer came. */
  readonly status: number;
  readonly error?: ErrorKind | undefined;
  readonly cache?: 'hit' | 'miss' | undefined;
  /** Metrics of `Server-Timing` with a duration, by name, in milliseconds; the same name twice is added up, and Vazão's `q1`, `q2` … are `queries`. */
  readonly stages?: Readonly<Record<string, number>> | undefined;
  /** Milliseconds by the name of a statement (`select campanhas`), where the server tells; they may run side by side. */
  readonly statements?: Readonly<Record<string, number>> | undefined;
}

/** All processes of the server together. */
export interface ServerSample {
  readonly atS: number;
  readonly processes?: number | undefined;
  /** CPU time per time since the last sample: 1.5 is one and a half cores. */
  readonly cpuCores?: number | undefined;
  readonly rssBytes?: number | undefined;
  /** Open file descriptors, connections among them. */
  readonly handles?: number | undefined;
  /** Established TCP connections. */
  readonly connections?: number | undefined;
  /** Of the JavaScript heap after a garbage collection, where the server tells. */
  readonly heapAfterGcBytes?: number | undefined;
  /** Share of hits among the answers of this second that carried `Cache-Status`. */
  readonly hitRate?: number | undefined;
  /** Statements per request in this second. */
  readonly queriesPerRequest?: number | undefined;
  /** Mean duration of each stage of `Server-Timing` in this second, in milliseconds. */
  readonly stages?: Readonly<Record<string, number>> | undefined;
  /** What `/health` calls itself: `ok`, `degraded`, `unavailable`. */
  readonly health?: string | undefined;
  /** Workers that serve, where `/health` tells. */
  readonly workers?: number | undefined;
  /** Memory of the worker that answered `/health`, its cache included. */
  readonly workerRssBytes?: number | undefined;
  /** Of the worker that answered `/health`: which of them it is changes from sample to sample. */
  readonly cache?: CacheSample | undefined;
}

/** What one worker keeps. */
export interface CacheSample {
  readonly entries: number;
  readonly bytes: number;
  readonly bytesMax: number;
  /** Answers that had to go because others needed their room, since the worker began. */
  readonly evicted: number;
}

/** In the unit of the run's figures: requests per second, milliseconds, shares, bytes. */
export type Metric =
  | 'throughput'
  | 'mean'
  | 'p50'
  | 'p95'
  | 'p99'
  | 'hitRate'
  | 'successRate'
  | 'timeoutRate'
  | 'errorRate'
  | 'rssMax'
  | 'queriesPerRequest';

/** A figure and what it must be. */
export interface Criterion {
  readonly metric: Metric;
  /** At least one of the two. Both belong to what is allowed. */
  readonly min?: number | undefined;
  readonly max?: number | undefined;
}

export interface CriterionVerdict extends Criterion {
  /** Absent when it was not measured. */
  readonly value?: number | undefined;
  /** `unknown` fails the run: what is asked for has to be shown. */
  readonly outcome: 'passed' | 'failed' | 'unknown';
  /** The phase that it was judged on. @defaultValue the whole run without warm-up */
  readonly phase?: string | undefined;
}

export interface Findings {
  /** `stress`: where more load stopped giving more throughput, or the criteria broke. */
  readonly knee?: Knee | undefined;
  /** `spike`. */
  readonly recovery?: Recovery | undefined;
  /** `soak`: one for each series that was looked at. */
  readonly trends?: readonly Trend[] | undefined;
}

export interface Knee {
  /** Requests per second that the server still served within the criteria. */
  readonly throughput: number;
  /** What could take or offer no more. `generator`: the server may take more, this is no knee of it. Absent when nothing broke. */
  readonly limit?: 'server' | 'generator' | undefined;
  /** Of the last phase that held and the first that did not. */
  readonly heldRate: number;
  readonly brokeRate?: number | undefined;
  /** A sentence. */
  readonly why: string;
}

export interface Recovery {
  /** p99 of the phase before the spike. */
  readonly baselineP99Ms: number;
  /** Highest p99 of a second. */
  readonly worstP99Ms: number;
  /** From the end of the spike until the figures stayed as before. Absent: they did not in the time watched. */
  readonly recoveredAfterS?: number | undefined;
}

/** A series that should stay level. */
export interface Trend {
  readonly series: 'heap' | 'rss' | 'handles' | 'connections' | 'p99';
  /** Unit of the series per hour. */
  readonly slopePerHour: number;
  /** 95 % confidence interval of the slope. */
  readonly low: number;
  readonly high: number;
  readonly outcome: 'level' | 'rising' | 'unknown';
  /** A sentence. */
  readonly why: string;
}
