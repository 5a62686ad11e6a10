/** What the threads of the generator and the session say to one another. Times of day are milliseconds since 1970, with fractions. */
import type { Counts, EncodedHistogram, RequestSample } from '../run-result.ts';
import type { Phase } from './schedule.ts';

/** For each thread at its start. */
export interface GeneratorData {
  /** URL of the scenario's module. */
  readonly module: string;
  readonly host: string;
  readonly port: number;
  /** Of all threads. */
  readonly thread: number;
  readonly threads: number;
  /** Of this thread. */
  readonly connectionsMax: number;
  readonly timeoutMs: number;
  readonly redirectsMax: number;
  readonly bodyBytesMax: number;
  /** Of all threads, in the open model. */
  readonly users: number;
  readonly seed: number;
  readonly samplesMax: number;
  readonly slowestMax: number;
  readonly metronome: SharedArrayBuffer;
}

export type ToGenerator =
  /** Logs the users of the open model in. */
  | { readonly kind: 'prepare' }
  /** Drives phases from a time of day on; `originAt` is second 0 of the run. */
  | { readonly kind: 'drive'; readonly phases: readonly Phase[]; readonly beginAt: number; readonly originAt: number }
  /** Ends the phases now: nothing more is sent, and what is on its way is waited for. */
  | { readonly kind: 'stop' }
  | { readonly kind: 'finish' };

export type FromGenerator =
  | { readonly kind: 'ready' }
  | { readonly kind: 'second'; readonly second: ThreadSecond }
  | {
      readonly kind: 'driven';
      readonly cells: readonly Cell[];
      readonly phases: readonly PhaseTimes[];
      readonly health: DriveHealth;
    }
  | { readonly kind: 'finished'; readonly summary: ThreadSummary }
  | { readonly kind: 'failed'; readonly code: string | undefined; readonly message: string };

export interface ThreadSecond extends Counts {
  readonly atS: number;
  readonly latency: EncodedHistogram;
  readonly inFlight: number;
  readonly waiting: number;
  readonly connections: number;
  readonly users: number;
  /** Sum of durations and number of answers, by stage. */
  readonly stages: Readonly<Record<string, readonly [sumMs: number, count: number]>>;
  /** Sum, and number of answers that told. */
  readonly queries: readonly [sum: number, count: number];
}

/** Of one phase and one step. */
export interface Cell extends Counts {
  readonly phase: number;
  readonly step: number;
  readonly latency: EncodedHistogram;
  readonly service: EncodedHistogram;
  readonly queries: readonly [sum: number, count: number];
}

/** Of one phase. */
export interface PhaseTimes {
  readonly responseMs: number;
  readonly responses: number;
  /** Succeeded answers that came during the phase, of whichever phase their requests were. */
  readonly served: number;
  /** Of all users, within the phase: also of thoughts that had begun before it, or had not ended when it did. */
  readonly thinkMs: number;
  /** Arrivals that found no free connection. */
  readonly waited: number;
}

/** Of one thread in one drive. */
export interface DriveHealth {
  /** Arrivals that found a free connection, and those of them that were handed to it in time. */
  readonly arrivals: number;
  readonly timely: number;
  readonly eventLoopDelayP99Ms: number;
  /** In what is measured: neither while it warms up, nor while the last answers are waited for. */
  readonly eventLoopUtilisation: number;
}

export interface ThreadSummary {
  readonly samples: readonly RequestSample[];
  /** How many requests the samples were drawn from. */
  readonly sampled: number;
  readonly slowest: readonly RequestSample[];
  readonly lateness: EncodedHistogram;
  readonly timely: number;
  readonly eventLoopDelayP99Ms: number;
  readonly eventLoopUtilisation: number;
  readonly connectionsMax: number;
}
