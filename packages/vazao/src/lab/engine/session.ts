/**
 * The generator as the plans see it: threads that are started once, drive phases as often as asked, and are summed up at the
 * end. Between two drives the users, their cookies and the connections stay.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { LabError, type LabErrorCode } from '../errors.ts';
import type {
  GeneratorHealth,
  LittlesLaw,
  PhaseFigures,
  RequestSample,
  SecondFigures,
  ServerSample,
} from '../run-result.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { checkLittlesLaw } from '../statistics/littles-law.ts';
import { findDriveVoid, findVoid } from './health.ts';
import { addEncoded, createHistogram, summarize } from './histogram.ts';
import { Merged } from './merged.ts';
import type { Cell, FromGenerator, GeneratorData, PhaseTimes, ToGenerator } from './messages.ts';
import { createMetronomeMemory, stopMetronome } from './metronome.ts';
import { createRandom } from './random.ts';
import type { Phase } from './schedule.ts';
import { mergeSeconds, SecondCollector } from './seconds.ts';
import { resolveTarget, type Target } from './target.ts';
import { createScript } from './users.ts';

export interface SessionOptions {
  /** The module's default export, and the `file:` URL from which each thread loads it. */
  readonly scenario: Scenario;
  readonly module: string;
  readonly target: string;
  /** Those of the open model log in before the first phase, those of the closed model when they come. */
  readonly model: 'open' | 'closed';
  /** A host other than this machine that the caller says to own. */
  readonly targetIsMine?: string | undefined;
  readonly seed: number;
  readonly threads: number;
  /** Of all threads. */
  readonly connectionsMax: number;
  /** Called each second, with what the answers said of the server. */
  readonly onSecond?: ((second: SecondFigures, said: ServerSample) => void) | undefined;
}

/** A drive that is over. */
export interface Driven {
  readonly phases: readonly PhaseFigures[];
  /** It was ended before its time. */
  readonly stopped: boolean;
  /** Why it says nothing about the server, in sentences: the generator did not keep up. Empty when it counts. */
  readonly void: readonly string[];
}

export interface SessionSummary {
  readonly generator: GeneratorHealth;
  readonly samples: readonly RequestSample[];
  readonly slowest: readonly RequestSample[];
}

const TIMEOUT_MS_DEFAULT = 10_000;
const USERS_DEFAULT = 100;
const BODY_BYTES_MAX = 64 * 1024 * 1024;
const SAMPLES_MAX = 10_000;
const SLOWEST_MAX = 200;
/** Between the word and the first arrival, so that all threads have heard it. */
const LEAD_MS = 100;
/** Beyond the time-out of requests. */
const END_MS_MAX = 30_000;

export class Session {
  readonly target: Target;
  readonly startedAt: Date = new Date();
  readonly seconds: SecondFigures[] = [];
  readonly said: ServerSample[] = [];
  readonly stepNames: readonly string[];
  readonly #options: SessionOptions;
  readonly #timeoutMs: number;
  readonly #workers: readonly Worker[];
  readonly #metronome: Worker;
  readonly #memory: SharedArrayBuffer;
  readonly #cells: Cell[] = [];
  readonly #broken = Promise.withResolvers<never>();
  readonly #listeners = new Set<(message: FromGenerator) => void>();
  /** Milliseconds since 1970, with fractions. */
  #originAt: number | undefined;
  #measuredS = 0;
  #cpu = process.cpuUsage();
  #cpuFromAt = performance.now();
  #rssMaxBytes = 0;

  private constructor(options: SessionOptions, target: Target) {
    this.target = target;
    this.#options = options;
    this.stepNames = createScript(options.scenario).names;
    this.#broken.promise.catch(() => {});
    const { scenario, threads } = options;
    this.#timeoutMs = scenario.timeoutMs ?? TIMEOUT_MS_DEFAULT;
    this.#memory = createMetronomeMemory(threads);
    this.#metronome = new Worker(entry('metronome'), { workerData: this.#memory });
    const data = (thread: number): GeneratorData => ({
      module: options.module,
      host: target.host,
      port: target.port,
      thread,
      threads,
      connectionsMax: Math.max(4, Math.floor(options.connectionsMax / threads)),
      timeoutMs: this.#timeoutMs,
      redirectsMax: scenario.redirectsMax ?? 0,
      bodyBytesMax: BODY_BYTES_MAX,
      users: scenario.users ?? (scenario.login ? USERS_DEFAULT : threads),
      seed: options.seed,
      samplesMax: Math.ceil(SAMPLES_MAX / threads),
      slowestMax: SLOWEST_MAX,
      metronome: this.#memory,
    });
    this.#workers = Array.from({ length: threads }, (_, thread) => this.#startThread(data(thread)));
  }

  /** Starts the threads and logs the users in. Rejects with {@link LabError}. */
  static async open(options: SessionOptions): Promise<Session> {
    const session = new Session(options, await resolveTarget(options.target, options.targetIsMine));
    try {
      await session.#ask(undefined, 'ready');
      if (options.model === 'open') await session.#ask({ kind: 'prepare' }, 'ready');
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** Seconds since the first arrival; 0 before. */
  get elapsedS(): number {
    return this.#originAt === undefined ? 0 : Math.max(0, (now() - this.#originAt) / 1_000);
  }

  /** Drives phases of one model one after the other, without a gap. @param signal - ends them early, with what they have */
  async drive(phases: readonly Phase[], signal?: AbortSignal | undefined): Promise<Driven> {
    const durationS = phases.reduce((sum, phase) => sum + phase.durationS, 0);
    const first = this.#originAt === undefined;
    const originAt = this.#originAt ?? now() + LEAD_MS;
    this.#originAt = originAt;
    // Seconds of the run begin with seconds of the drive.
    const fromS = first ? 0 : Math.ceil((now() + LEAD_MS - originAt) / 1_000);
    const beginAt = originAt + fromS * 1_000;
    const collector = new SecondCollector(this.#workers.length, (parts) => {
      const { second, said } = mergeSeconds(parts, nameOfPhase(phases, fromS, parts[0]?.atS ?? fromS));
      this.seconds.push(second);
      this.said.push(said);
      this.#rssMaxBytes = Math.max(this.#rssMaxBytes, process.memoryUsage.rss());
      this.#options.onSecond?.(second, said);
    });
    const listen = (message: FromGenerator): void => {
      if (message.kind === 'second') collector.add(message.second);
    };
    this.#listeners.add(listen);
    let stoppedAtS: number | undefined;
    const stop = (): void => {
      stoppedAtS ??= Math.max(0, this.elapsedS - fromS);
      this.#send({ kind: 'stop' });
    };
    signal?.addEventListener('abort', stop);
    if (signal?.aborted) stop();
    try {
      const bound = (durationS + this.#timeoutMs / 1_000) * 1_000 + LEAD_MS + END_MS_MAX;
      const answers = await this.#ask({ kind: 'drive', phases, beginAt, originAt }, 'driven', bound, () => {
        if (signal?.aborted) stop();
      });
      collector.end();
      const drivenS = Math.min(durationS, stoppedAtS ?? durationS);
      return {
        phases: this.#sumUp(phases, fromS, drivenS, answers),
        stopped: stoppedAtS !== undefined,
        void: findDriveVoid(answers.map(({ health }) => health)),
      };
    } finally {
      signal?.removeEventListener('abort', stop);
      this.#listeners.delete(listen);
    }
  }

  /** All phases that are no warm-up, together and by step. */
  total(): { readonly total: Merged; readonly steps: readonly Merged[]; readonly durationS: number } {
    const steps = this.stepNames.map((_, step) => Merged.of(this.#cells.filter((cell) => cell.step === step)));
    return { total: Merged.of(this.#cells), steps, durationS: this.#measuredS };
  }

  async summarize(): Promise<SessionSummary> {
    const { user, system } = process.cpuUsage(this.#cpu);
    const wallMs = performance.now() - this.#cpuFromAt;
    const summaries = (await this.#ask({ kind: 'finish' }, 'finished')).map(({ summary }) => summary);
    const lateness = createHistogram();
    for (const summary of summaries) addEncoded(lateness, summary.lateness);
    const sum = (pick: (summary: (typeof summaries)[number]) => number): number =>
      summaries.reduce((all, summary) => all + pick(summary), 0);
    const health = {
      threads: summaries.length,
      connections: sum(({ connectionsMax }) => connectionsMax),
      timelyShare: lateness.totalCount === 0 ? 1 : sum(({ timely }) => timely) / lateness.totalCount,
      lateness: summarize(lateness),
      eventLoopDelayP99Ms: Math.max(...summaries.map(({ eventLoopDelayP99Ms }) => eventLoopDelayP99Ms)),
      eventLoopUtilisation: Math.max(...summaries.map(({ eventLoopUtilisation }) => eventLoopUtilisation)),
      cpuCores: (user + system) / 1_000 / wallMs,
      rssMaxBytes: this.#rssMaxBytes,
    };
    const reasons = findVoid(health);
    const random = createRandom(this.#options.seed);
    return {
      generator: { ...health, ...(reasons.length > 0 && { void: reasons }) },
      samples: mergeSamples(summaries, random.next),
      slowest: summaries
        .flatMap(({ slowest }) => slowest)
        .sort((a, b) => b.latencyMs - a.latencyMs)
        .slice(0, SLOWEST_MAX),
    };
  }

  async close(): Promise<void> {
    stopMetronome(this.#memory);
    await Promise.all([this.#metronome, ...this.#workers].map((worker) => worker.terminate()));
  }

  #sumUp(
    phases: readonly Phase[],
    fromS: number,
    drivenS: number,
    answers: readonly { readonly cells: readonly Cell[]; readonly phases: readonly PhaseTimes[] }[],
  ): PhaseFigures[] {
    const cells = answers.flatMap((answer) => answer.cells);
    let begin = 0;
    return phases.map((phase, index) => {
      const durationS = Math.max(0, Math.min(phase.durationS, drivenS - begin));
      const own = cells.filter((cell) => cell.phase === index);
      if (!phase.warmUp) {
        this.#cells.push(...own);
        this.#measuredS += durationS;
      }
      const from = fromS + begin;
      begin += phase.durationS;
      const { load, name, warmUp } = phase;
      const mean = (load.from + load.to) / 2;
      const times = answers.map((answer) => answer.phases[index]).filter((time) => time !== undefined);
      return {
        ...Merged.of(own).figures(durationS),
        name,
        fromS: from,
        toS: from + durationS,
        warmUp,
        served: times.reduce((sum, { served }) => sum + served, 0),
        ...(load.model === 'open'
          ? { offeredRate: mean, waited: times.reduce((sum, { waited }) => sum + waited, 0) }
          : { users: mean, ...checkUsers(times, mean, durationS) }),
      };
    });
  }

  #startThread(data: GeneratorData): Worker {
    const worker = new Worker(entry('generator'), { workerData: data });
    worker.on('message', (message: FromGenerator) => {
      if (message.kind === 'failed') {
        const code = (message.code ?? 'ERR_LAB_ENGINE') as LabErrorCode;
        this.#broken.reject(new LabError(code, message.message));
      }
      for (const listener of this.#listeners) listener(message);
    });
    worker.on('error', (cause) => {
      this.#broken.reject(
        new LabError('ERR_LAB_ENGINE', `A thread of the generator failed: ${(cause as Error).message}`, { cause }),
      );
    });
    return worker;
  }

  #send(message: ToGenerator): void {
    for (const worker of this.#workers) worker.postMessage(message);
  }

  /** Resolves with one answer of that kind from each thread. */
  #ask<Kind extends FromGenerator['kind']>(
    message: ToGenerator | undefined,
    kind: Kind,
    boundMs: number = END_MS_MAX * 10,
    onAsked: () => void = () => {},
  ): Promise<Extract<FromGenerator, { kind: Kind }>[]> {
    const answers: Extract<FromGenerator, { kind: Kind }>[] = [];
    const answered = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new LabError('ERR_LAB_ENGINE', `A thread of the generator did not answer in ${boundMs} ms.`)),
        boundMs,
      );
      const listener = (answer: FromGenerator): void => {
        if (answer.kind !== kind) return;
        answers.push(answer as Extract<FromGenerator, { kind: Kind }>);
        if (answers.length < this.#workers.length) return;
        this.#listeners.delete(listener);
        clearTimeout(timer);
        resolve();
      };
      this.#listeners.add(listener);
      this.#broken.promise.catch((error: unknown) => {
        this.#listeners.delete(listener);
        clearTimeout(timer);
        reject(error);
      });
    });
    if (message) this.#send(message);
    onAsked();
    return answered.then(() => answers);
  }
}

/** TypeScript in the sources, JavaScript in the package. */
function entry(name: string): URL {
  return new URL(`../entry/${name}${extname(import.meta.filename)}`, import.meta.url);
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

function nameOfPhase(phases: readonly Phase[], fromS: number, atS: number): string {
  let begin = fromS;
  for (const { name, durationS } of phases) {
    begin += durationS;
    if (atS < begin) return name;
  }
  return phases.at(-1)?.name ?? '';
}

/** Little's law: response times as the answers told them, times to think as the users had them. */
function checkUsers(
  times: readonly PhaseTimes[],
  users: number,
  durationS: number,
): { readonly littlesLaw?: LittlesLaw } {
  const sum = (pick: (time: PhaseTimes) => number): number => times.reduce((all, time) => all + pick(time), 0);
  const responses = sum((time) => time.responses);
  if (responses === 0 || durationS === 0 || users === 0) return {};
  const responseMs = sum((time) => time.responseMs) / responses;
  const thinkMs = sum((time) => time.thinkMs) / responses;
  const throughput = responses / durationS;
  const found = checkLittlesLaw({
    users,
    throughputPerS: throughput,
    latencyS: responseMs / 1_000,
    thinkS: thinkMs / 1_000,
  });
  return {
    littlesLaw: {
      users,
      throughput,
      responseMs,
      thinkMs,
      ratio: found.usersFound / users,
    },
  };
}

/** From each thread in proportion to what it drew from. */
function mergeSamples(
  parts: readonly { readonly samples: readonly RequestSample[]; readonly sampled: number }[],
  draw: () => number,
): readonly RequestSample[] {
  const fullest = Math.max(...parts.map(({ sampled, samples }) => sampled / Math.max(1, samples.length)));
  return parts
    .flatMap(({ samples, sampled }) => {
      const kept = sampled / Math.max(1, samples.length) / fullest;
      return kept >= 1 ? samples : samples.filter(() => draw() < kept);
    })
    .sort((a, b) => a.atS - b.atS);
}
