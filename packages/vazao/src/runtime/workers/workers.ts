/**
 * Keeps a number of workers serving.
 *
 *   seat:   empty ──► coming ──(ready)──► serving ──(death)──► waiting ──(back-off; the database is there)──► coming …
 *                       └──(death, or not ready in time)─────────►┘
 *   replaced:  serving, and another coming ──(ready)──► serving, and the old one leaving ──► gone
 *
 * A seat is the place of one worker at a time. Reload and recycling put another into the seat first, and the old one leaves
 * when that one answers; one that does not get as far changes nothing. They do so with one seat at a time, and wait until
 * the old one is gone: there is never more than one worker too many.
 */
import { isDeepStrictEqual } from 'node:util';
import { createIpcChannel, type FanOut } from '../../feed/index.ts';
import { attachCounter, MemoryStore } from '../../http/index.ts';
import type { SeatFigures } from '../../telemetry/index.ts';
import type { Configuration } from '../configuration.ts';
import { drainMs, lingerMs } from '../drain.ts';
import { RuntimeError, type RuntimeErrorCode } from '../errors.ts';
import type { HostFigures } from '../health.ts';
import type { Host } from '../host.ts';
import { BEAT_MS, type Beat, type WorkerFailure } from '../worker-messages.ts';
import type { ListeningSocket } from './listening-socket.ts';
import { crashLoop, createSeat, drawBounds, findReached, judgeDeath, type Seat } from './seat.ts';
import { WorkerProcess } from './worker-process.ts';

export interface WorkersOptions {
  readonly fanOut: FanOut;
  readonly host: Pick<Host, 'secret' | 'database' | 'feed' | 'findRelay'>;
  readonly file: string;
  readonly socket: ListeningSocket;
  readonly count: number;
  readonly plan: WorkerPlan;
  readonly random: () => number;
  /** Forked while the rest was opened. */
  readonly spares: readonly WorkerProcess[];
  /**
   * Another is wanted in a hurry: one is forked ahead of time, and nobody waits until the old one is gone. A crash loop waits
   * for a reload, which is for somebody who is about to mend it.
   */
  readonly isDevelopment: boolean;
  readonly onCrash: (error: Error) => void;
}

/** How each worker is to be. */
export interface WorkerPlan {
  /** Of one worker. */
  readonly configuration: Configuration;
  readonly execArgv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** More than this of memory, and it is replaced. 0: no bound. */
  readonly rssMaxBytes: number;
}

/** What a worker may take beyond the time for requests in flight before it is cut off. */
const END_EXTRA_MS = 3_000;
const TICK_MS = 250;
/** So long may connections wait where there is no worker: longer than the pauses after the first deaths. */
const EMPTY_MAX_MS = 1_000;
/** The host has just reached the database, so a worker that can't reach it in the first start is given a few seconds. */
const START_DATABASE_DEATHS_MAX = 4;

export class Workers {
  readonly #options: WorkersOptions;
  readonly #seats: readonly Seat[];
  readonly #leaving = new Set<WorkerProcess>();
  /** What all workers count together for the limits. */
  readonly #counter = new MemoryStore();
  readonly #started = Promise.withResolvers<void>();
  readonly #emptied = Promise.withResolvers<void>();
  readonly #ticker: NodeJS.Timeout;
  #plan: WorkerPlan;
  readonly #spares: WorkerProcess[];
  #url = '';
  #hasStarted = false;
  #isClosing = false;
  /** The last of the changes that wait for each other. */
  #changes: Promise<void> = Promise.resolve();
  #tickedAtMs = performance.now();
  /** For how long there has been no worker. */
  #emptyMs = 0;
  #toldAtMs = performance.now();
  /** When the feed was last seen not to be fresh. */
  #staleAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#plan = options.plan;
    this.#spares = [...options.spares];
    this.#seats = Array.from({ length: options.count }, createSeat);
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#ticker.unref();
  }

  get url(): string {
    return this.#url;
  }

  /** Resolves when every seat has a worker that is ready. */
  start(): Promise<void> {
    for (const seat of this.#seats) this.#fill(seat);
    return this.#started.promise;
  }

  /** Replaces every worker by one of the plan. Rejects with {@link RuntimeError} when one can't start; those that served go on. */
  async reload(plan: WorkerPlan): Promise<void> {
    // One that is not ready yet, and of which this is the successor, is not waited for.
    for (const seat of this.#seats) if (seat.replacement && seat.coming) this.#dismiss(seat, 'it was superseded');
    await this.#inTurn(async () => {
      const before = this.#plan;
      this.#plan = plan;
      // One that was forked for another plan is of no use.
      if (!isDeepStrictEqual([before.env, before.execArgv], [plan.env, plan.execArgv])) this.#dropSpares();
      for (const [index, seat] of this.#seats.entries()) {
        if (this.#isClosing) return;
        try {
          await this.#replace(seat);
        } catch (error) {
          if (index === 0) this.#plan = before;
          const { message } = error as Error;
          const others =
            index === 0
              ? 'Everything serves on as before.'
              : `${index} of ${this.#seats.length} workers are new, the others serve on as before.`;
          this.#keepSpare();
          throw new RuntimeError('ERR_RUNTIME_RELOAD', `The reload was given up: ${message} ${others}`);
        }
      }
    });
  }

  /** Resolves when none is left. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#ticker);
    this.#dropSpares();
    // Connections that come from now on are refused when the last worker stops listening, and not left in the queue.
    this.#options.socket.close();
    const { configuration } = this.#plan;
    for (const seat of this.#seats) {
      clearTimeout(seat.restart);
      for (const worker of [seat.serving, seat.coming]) {
        worker?.drain(lingerMs(configuration, 'end'), drainMs(configuration) + END_EXTRA_MS);
      }
    }
    this.#findEmpty();
    await this.#emptied.promise;
  }

  /** Cuts all off, at once and synchronously. */
  kill(): void {
    this.#isClosing = true;
    clearInterval(this.#ticker);
    for (const worker of this.#all()) worker.kill();
  }

  #all(): WorkerProcess[] {
    const all = [...this.#seats.flatMap(({ serving, coming }) => [serving, coming]), ...this.#leaving, ...this.#spares];
    return all.filter((worker) => worker !== undefined);
  }

  #fork(): WorkerProcess {
    const { execArgv, env } = this.#plan;
    return new WorkerProcess({ socketFd: this.#options.socket.fd(), execArgv, env });
  }

  #fill(seat: Seat): void {
    const { host, file, fanOut, random, onCrash } = this.#options;
    seat.isWaitingForDatabase = false;
    let worker: WorkerProcess;
    try {
      const spare = this.#spares.shift();
      worker = spare?.isRunning ? spare : this.#fork();
    } catch (error) {
      onCrash(error as Error); // the port was taken meanwhile
      return;
    }
    seat.coming = worker;
    const leave = fanOut.add(createIpcChannel(worker.child));
    attachCounter(this.#counter, worker.child);
    const { configuration } = this.#plan;
    const { rssMaxBytes } = this.#plan;
    const bounds = drawBounds({ requestsMax: configuration.workerRequestsMax, rssMaxBytes }, random);
    worker.assign(
      {
        file,
        configuration: { ...configuration, port: this.#options.socket.port },
        secret: host.secret,
        databaseUrl: host.database.url,
      },
      {
        onReady: (url) => {
          seat.bounds = bounds;
          this.#onReady(seat, worker, url);
        },
        onFailed: (failure) => this.#onFailed(seat, failure),
        onBeat: (beat) => this.#onBeat(seat, worker, beat),
        onAsked: () => worker.tellFigures(this.#findFigures()),
        onGone: (how) => {
          leave();
          this.#onGone(seat, worker, how);
        },
      },
    );
  }

  #onReady(seat: Seat, worker: WorkerProcess, url: string): void {
    if (seat.coming !== worker) return;
    const old = seat.serving;
    seat.serving = worker;
    seat.coming = undefined;
    seat.databaseDeaths = 0;
    this.#url = url;
    this.#tellHost();
    if (old) this.#let(old);
    seat.replacement?.resolve();
    if (this.#seats.some(({ serving }) => serving === undefined)) return;
    this.#hasStarted = true;
    this.#started.resolve();
    this.#keepSpare();
  }

  /** A worker whose place another has taken, or will take, leaves. */
  #let(worker: WorkerProcess): void {
    const { configuration } = this.#plan;
    const wait = lingerMs(configuration, 'replacement');
    this.#leaving.add(worker);
    worker.drain(wait, wait + drainMs(configuration) + END_EXTRA_MS);
  }

  #onFailed(seat: Seat, { code, message, isDatabaseAway }: WorkerFailure): void {
    if (this.#hasStarted || (isDatabaseAway && seat.databaseDeaths < START_DATABASE_DEATHS_MAX)) return;
    const isOurs = code?.startsWith('ERR_RUNTIME_') ?? false;
    this.#started.reject(new RuntimeError(isOurs ? (code as RuntimeErrorCode) : 'ERR_RUNTIME_APPLICATION', message));
  }

  #onGone(seat: Seat, worker: WorkerProcess, how: string): void {
    const hasLeft = this.#leaving.delete(worker);
    if (seat.coming === worker) seat.coming = undefined;
    if (seat.serving === worker) seat.serving = undefined;
    if (this.#isClosing) {
      seat.replacement?.resolve();
      this.#findEmpty();
      return;
    }
    if (hasLeft) return;
    this.#tellHost();
    const what = worker.failure ? `a worker did not start: ${worker.failure.message}` : `a worker ended by ${how}`;
    if (!worker.hasServed) seat.replacement?.reject(new Error(sentence(what)));
    if (seat.serving || seat.coming) return;
    this.#scheduleRestart(seat, worker, { how, what });
  }

  #scheduleRestart(seat: Seat, worker: WorkerProcess, { how, what }: { how: string; what: string }): void {
    const { random, onCrash, isDevelopment } = this.#options;
    const pauseMs = judgeDeath(seat, { worker, how, staleAtMs: this.#staleAtMs, random });
    if (pauseMs === 'crash loop') {
      const error = crashLoop(how);
      if (this.#hasStarted && isDevelopment) report(`${error.message} It waits for the code to change.`);
      else if (this.#hasStarted) onCrash(error);
      else this.#started.reject(error);
      return;
    }
    report(`${what.replace(/\.$/, '')}; another starts in ${Math.round(pauseMs)} ms`);
    seat.restart = setTimeout(() => {
      // The first start goes on, or fails, as a whole; later nobody is helped by a worker that can't start either.
      if (!this.#hasStarted || this.#options.host.feed.isFresh()) this.#fill(seat);
      else {
        report('it waits for the database, which can’t be reached');
        seat.isWaitingForDatabase = true;
        this.#tellHost();
      }
    }, pauseMs);
  }

  #onBeat(seat: Seat, worker: WorkerProcess, beat: Beat): void {
    if (seat.serving !== worker || seat.isToBeReplaced || seat.replacement || this.#isClosing) return;
    const reached = findReached(seat.bounds, beat, performance.now() - worker.startedAtMs);
    if (!reached) return;
    if (reached === 'memory') {
      const [has, part] = [toMegabytes(beat.rssBytes), toMegabytes(this.#plan.rssMaxBytes)];
      report(
        `worker ${worker.child.pid} has ${has} MB of memory, and its part is about ${part} MB; another takes its place`,
      );
    }
    seat.isToBeReplaced = true;
    void this.#inTurn(async () => {
      seat.isToBeReplaced = false;
      if (seat.serving === worker && !this.#isClosing) await this.#replace(seat);
    }).catch((error: Error) => {
      worker.startedAtMs = performance.now(); // it is tried again, and not at once
      report(`worker ${worker.child.pid} could not be replaced, and serves on: ${error.message}`);
    });
  }

  /** Resolves when another worker serves in the seat, and the old one is gone. Rejects when none could. */
  async #replace(seat: Seat): Promise<void> {
    const replacement = Promise.withResolvers<void>();
    seat.replacement = replacement;
    try {
      const old = seat.serving;
      clearTimeout(seat.restart);
      if (seat.coming) this.#dismiss(seat, 'it was superseded');
      this.#fill(seat);
      await replacement.promise;
      if (!this.#options.isDevelopment) await old?.gone;
    } finally {
      seat.replacement = undefined;
    }
  }

  /** Whoever is coming to the seat is not wanted any more. */
  #dismiss(seat: Seat, why: string): void {
    if (!seat.coming) return;
    this.#let(seat.coming);
    seat.coming = undefined;
    seat.replacement?.reject(new Error(sentence(why)));
  }

  #keepSpare(): void {
    if (this.#options.isDevelopment && !this.#isClosing && this.#spares.length === 0) this.#spares.push(this.#fork());
  }

  #dropSpares(): void {
    for (const spare of this.#spares.splice(0)) spare.kill();
  }

  /** One change after the other, whatever became of the one before. */
  #inTurn(change: () => Promise<void>): Promise<void> {
    const done = this.#changes.then(change);
    this.#changes = done.catch(() => {});
    return done;
  }

  #tick(): void {
    const now = performance.now();
    // While this process itself had no turn, the silence of the others says nothing.
    const addedMs = Math.min(now - this.#tickedAtMs, 2 * TICK_MS);
    this.#tickedAtMs = now;
    const { host, socket } = this.#options;
    const isFresh = host.feed.isFresh();
    if (!isFresh) this.#staleAtMs = now;
    const { workerTimeoutMs } = this.#plan.configuration;
    for (const seat of this.#seats) {
      const { serving } = seat;
      if (workerTimeoutMs > 0 && serving?.isSilent(addedMs, workerTimeoutMs)) {
        report(`worker ${serving.child.pid} has given no sign of life for ${workerTimeoutMs / 1_000} s and is cut off`);
        serving.cutOffNow(`SIGKILL after it hung`);
      }
      if (seat.isWaitingForDatabase && isFresh) this.#fill(seat);
    }
    if (now - this.#toldAtMs >= BEAT_MS && host.findRelay()) this.#tellHost(); // its lag changes all the time
    // Connections wait for a worker that is due in a moment. Where none is, they are refused, and don't wait for nothing.
    this.#emptyMs = this.#all().length === 0 ? this.#emptyMs + addedMs : 0;
    if (this.#hasStarted && this.#emptyMs > EMPTY_MAX_MS) socket.close();
  }

  #tellHost(): void {
    const alive = this.#seats.filter(({ serving }) => serving !== undefined).length;
    const waits = this.#seats.some(({ isWaitingForDatabase }) => isWaitingForDatabase);
    const relay = this.#options.host.findRelay();
    this.#toldAtMs = performance.now();
    const host: HostFigures = { alive, wanted: this.#seats.length, ...(waits && { waiting_for: 'database' }), relay };
    for (const { serving } of this.#seats) serving?.tell(host);
  }

  #findFigures(): SeatFigures[] {
    const now = performance.now();
    return this.#seats.flatMap(({ serving }, index) => {
      const last = serving?.lastBeat;
      return last ? [{ seat: index + 1, ageMs: now - last.atMs, figures: last.beat.figures }] : [];
    });
  }

  #findEmpty(): void {
    if (
      this.#isClosing &&
      this.#seats.every(({ serving, coming }) => !serving && !coming) &&
      this.#leaving.size === 0
    ) {
      this.#emptied.resolve();
    }
  }
}

function toMegabytes(bytes: number): number {
  return Math.round(bytes / 1024 ** 2);
}

function sentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`;
}

function report(text: string): void {
  process.stderr.write(`vazao: ${text}\n`);
}
