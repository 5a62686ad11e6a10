/** What one thread has seen: by second, by phase and step, and single requests for looking closer. */
import type { Counts, ErrorCounts, ErrorKind, RequestSample } from '../run-result.ts';
import { readCacheStatus, readServerTiming, type ServerTiming } from './fields.ts';
import { createHistogram, encodeHistogram, type Histogram, recordMs } from './histogram.ts';
import type { Cell, PhaseTimes, ThreadSecond } from './messages.ts';
import type { Random } from './random.ts';
import type { ResponseHead } from './response-parser.ts';
import type { Phase } from './schedule.ts';

/** Written within this time of its schedule, an arrival is timely. */
export const TIMELY_MS = 10;

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };
interface Tally extends Writable<Omit<Counts, 'errors'>> {
  errors: Writable<ErrorCounts>;
  queries: [sum: number, count: number];
}

/** One request, as the drivers know it. */
export interface Outcome {
  readonly step: number;
  /** Position of its phase; decides where it is counted. */
  readonly phase: number;
  /** Monotonic milliseconds, as `performance.now()`. */
  readonly scheduledAt: number;
  readonly sentAt: number;
  readonly firstByteAt: number;
  readonly endedAt: number;
  readonly error: ErrorKind | undefined;
  /** Of a complete answer. */
  readonly head: ResponseHead | undefined;
  readonly bytes: number;
}

export interface RecorderOptions {
  readonly stepNames: readonly string[];
  readonly samplesMax: number;
  readonly slowestMax: number;
  readonly random: Random;
}

export class Recorder {
  readonly lateness: Histogram = createHistogram();
  timely = 0;
  sampled = 0;
  readonly samples: RequestSample[] = [];
  readonly slowest: RequestSample[] = [];
  readonly #options: RecorderOptions;
  #second = createTally();
  readonly #secondLatency = createHistogram();
  #stages = new Map<string, [sumMs: number, count: number]>();
  #cells = new Map<number, { tally: Tally; latency: Histogram; service: Histogram }>();
  #phases: readonly Phase[] = [];
  #times: Writable<PhaseTimes>[] = [];
  /** The phase of this moment, and when it ends, as `performance.now()`. */
  #current = 0;
  #ends: readonly number[] = [];
  /** `performance.now()` at second 0 of the run. */
  #originAt = 0;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Both moments as `performance.now()`. @param originAt - second 0 of the run */
  begin(phases: readonly Phase[], beginAt: number, originAt: number): void {
    this.#phases = phases;
    this.#originAt = originAt;
    // What the log-ins before it have left.
    this.#second = createTally();
    this.#secondLatency.reset();
    this.#stages = new Map();
    this.#cells.clear();
    let end = beginAt;
    this.#ends = phases.map(({ durationS }) => {
      end += durationS * 1_000;
      return end;
    });
    this.#current = 0;
    this.#times = phases.map(() => ({ responseMs: 0, responses: 0, served: 0, thinkMs: 0, waited: 0 }));
  }

  offered(phase: number, step: number): void {
    this.#second.offered += 1;
    this.#cell(phase, step).tally.offered += 1;
  }

  unsent(phase: number, step: number): void {
    this.#second.unsent += 1;
    this.#cell(phase, step).tally.unsent += 1;
  }

  sent(phase: number, step: number): void {
    this.#second.sent += 1;
    this.#cell(phase, step).tally.sent += 1;
  }

  /** An arrival found no free connection. */
  waited(phase: number): void {
    const times = this.#times[phase];
    if (times) times.waited += 1;
  }

  /** An arrival that found a free connection was handed to it so much later than it was due. */
  late(ms: number): void {
    recordMs(this.lateness, ms);
    if (ms <= TIMELY_MS) this.timely += 1;
  }

  /** Users have thought so long, all together. */
  thought(phase: number, ms: number): void {
    const times = this.#times[phase];
    if (times) times.thinkMs += ms;
  }

  answered(outcome: Outcome): void {
    const { head, error } = outcome;
    const cell = this.#cell(outcome.phase, outcome.step);
    const latencyMs = outcome.endedAt - outcome.scheduledAt;
    const serviceMs = outcome.endedAt - outcome.sentAt;
    const status = head && readCacheStatus(head.fields.get('cache-status'));
    const cache = status?.outcome;
    const timing = head && readServerTiming(head.fields.get('server-timing'), status?.isVazao === true);
    count(this.#second, outcome, cache, timing);
    count(cell.tally, outcome, cache, timing);
    // A refusal is quick, and no answer to what was asked. Who gave up waiting has waited at least so long.
    if (error === undefined || error === 'timeout') {
      recordMs(this.#secondLatency, latencyMs);
      recordMs(cell.latency, latencyMs);
      recordMs(cell.service, serviceMs);
    }
    const times = this.#times[outcome.phase];
    if (times) {
      times.responseMs += serviceMs;
      times.responses += 1;
    }
    if (error === undefined) this.#serve(outcome.endedAt);
    if (timing) this.#addStages(timing);
    if (this.#phases[outcome.phase]?.warmUp === false) this.#sample(outcome, latencyMs, serviceMs, cache, timing);
  }

  /** Takes what was counted since the last time. */
  takeSecond(atS: number, now: Pick<ThreadSecond, 'inFlight' | 'waiting' | 'connections' | 'users'>): ThreadSecond {
    const second: ThreadSecond = {
      ...this.#second,
      ...now,
      atS,
      latency: encodeHistogram(this.#secondLatency),
      stages: Object.fromEntries(this.#stages),
    };
    this.#second = createTally();
    this.#secondLatency.reset();
    this.#stages = new Map();
    return second;
  }

  takeCells(): { readonly cells: readonly Cell[]; readonly phases: readonly PhaseTimes[] } {
    const cells = [...this.#cells].map(([key, { tally, latency, service }]) => ({
      ...tally,
      phase: Math.floor(key / this.#options.stepNames.length),
      step: key % this.#options.stepNames.length,
      latency: encodeHistogram(latency),
      service: encodeHistogram(service),
    }));
    this.#cells.clear();
    return { cells, phases: this.#times };
  }

  #cell(phase: number, step: number): { tally: Tally; latency: Histogram; service: Histogram } {
    const key = phase * this.#options.stepNames.length + step;
    let cell = this.#cells.get(key);
    if (!cell) {
      cell = { tally: createTally(), latency: createHistogram(), service: createHistogram() };
      this.#cells.set(key, cell);
    }
    return cell;
  }

  #serve(endedAt: number): void {
    while (endedAt >= (this.#ends[this.#current] ?? Number.POSITIVE_INFINITY)) this.#current += 1;
    const times = this.#times[this.#current];
    if (times) times.served += 1;
  }

  #addStages({ stages }: ServerTiming): void {
    for (const name in stages) {
      const sum = this.#stages.get(name);
      if (sum) {
        sum[0] += stages[name] as number;
        sum[1] += 1;
      } else this.#stages.set(name, [stages[name] as number, 1]);
    }
  }

  /** A reservoir (Vitter's R) for the samples; the slowest in any order. */
  #sample(
    outcome: Outcome,
    latencyMs: number,
    serviceMs: number,
    cache: 'hit' | 'miss' | undefined,
    timing: ServerTiming | undefined,
  ): void {
    const { samplesMax, slowestMax, random, stepNames } = this.#options;
    this.sampled += 1;
    const place = this.samples.length < samplesMax ? this.samples.length : random.integer(this.sampled);
    const slot = place < samplesMax ? place : -1;
    const isSlow = this.slowest.length < slowestMax || latencyMs > (this.slowest.at(-1)?.latencyMs ?? 0);
    if (slot < 0 && !isSlow) return;
    const { firstByteAt, sentAt, scheduledAt, head, error } = outcome;
    const sample: RequestSample = {
      atS: (scheduledAt - this.#originAt) / 1_000,
      step: stepNames[outcome.step] as string,
      latencyMs,
      serviceMs,
      ...(firstByteAt > 0 && { firstByteMs: firstByteAt - sentAt }),
      status: head?.status ?? 0,
      ...(error && { error }),
      ...(cache && { cache }),
      ...(timing && { stages: timing.stages }),
      ...(timing?.statements && { statements: timing.statements }),
    };
    if (slot >= 0) this.samples[slot] = sample;
    if (isSlow) insertByLatency(this.slowest, sample, slowestMax);
  }
}

function createTally(): Tally {
  return {
    offered: 0,
    sent: 0,
    unsent: 0,
    completed: 0,
    succeeded: 0,
    errors: { timeout: 0, connect: 0, reset: 0, malformed: 0, status: 0, check: 0 },
    bytesReceived: 0,
    cacheHits: 0,
    cacheMisses: 0,
    queries: [0, 0],
  };
}

function count(
  tally: Tally,
  { error, head, bytes }: Outcome,
  cache: 'hit' | 'miss' | undefined,
  timing: ServerTiming | undefined,
): void {
  tally.bytesReceived += bytes;
  if (head !== undefined) tally.completed += 1;
  if (error === undefined) tally.succeeded += 1;
  else tally.errors[error] += 1;
  if (cache === 'hit') tally.cacheHits += 1;
  else if (cache === 'miss') tally.cacheMisses += 1;
  if (timing?.queries === undefined) return;
  tally.queries[0] += timing.queries;
  tally.queries[1] += 1;
}

/** Slowest first. */
function insertByLatency(list: RequestSample[], sample: RequestSample, max: number): void {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] as RequestSample).latencyMs >= sample.latencyMs) low = middle + 1;
    else high = middle;
  }
  list.splice(low, 0, sample);
  if (list.length > max) list.pop();
}
