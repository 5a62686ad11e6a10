/**
 * The supervisor: has what a host has once (`host.ts`), and keeps a number of workers running on it.
 *
 *   seat:   starting ──(ready)──► serving ──(death)──► waiting ──(back-off)──► starting …
 *              └──(death, or not ready in time)──────────►┘
 *              └─ from anywhere, when the supervisor closes ──► draining ──► empty
 *
 * A seat is the place of one worker at a time. A death is quick when it comes soon after the start; too many quick ones in
 * a row on one seat are a crash loop, and end everything: somebody who looks after the whole should know. A worker that
 * says why it can't start ends the start of the whole; later it counts as a quick death.
 *
 * Workers end by themselves when the supervisor is gone, so none outlives it (`worker.ts`).
 */
import { type ChildProcess, fork } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createIpcChannel, FanOut } from '../feed/index.ts';
import type { Configuration } from './configuration.ts';
import { RuntimeError, type RuntimeErrorCode } from './errors.ts';
import { type Host, openHost, resolveStartOptions, type StartOptions } from './host.ts';
import type { RunningServer } from './server.ts';
import { drainMs } from './serving.ts';
import type { FromWorker, ToWorker } from './worker-messages.ts';

export interface SupervisorOptions extends StartOptions {
  /** Path of the application's module, which each worker loads for itself. */
  readonly file: string;
  /** Numbers from 0 to 1, for jitter. @defaultValue `Math.random` */
  readonly random?: (() => number) | undefined;
}

/** How long a worker may take from its start to its first answer. */
const READY_TIMEOUT_MS = 60_000;
/** A death within so long of the worker's start is quick. */
const QUICK_DEATH_MS = 30_000;
/** Quick deaths in a row, on one seat, that end everything. */
const QUICK_DEATHS_MAX = 5;
const RESTART_MIN_MS = 100;
const RESTART_MAX_MS = 5_000;
/** What a worker may take beyond the time for requests in flight before it is cut off. */
const END_EXTRA_MS = 3_000;
const POOL_MIN = 2;

/** Starts everything; resolves when every worker answers. Throws {@link RuntimeError}, or the reason of the signal. */
export async function startSupervisor(options: SupervisorOptions): Promise<RunningServer> {
  const resolved = resolveStartOptions(options);
  const { configuration, onProgress, onCrash, signal } = resolved;
  await using acquired = new AsyncDisposableStack();
  const host = await openHost(resolved, acquired, (source) =>
    acquired.adopt(new FanOut({ source }), (fanOut) => fanOut.close()),
  );
  assertSeenByAll(host);

  onProgress(`starting ${configuration.workers} workers`);
  const workers = new Workers({
    fanOut: host.attached,
    host,
    file: options.file,
    configuration: shareOut(configuration),
    count: configuration.workers,
    random: options.random ?? Math.random,
    onCrash,
  });
  acquired.defer(() => workers.close());
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  aborted.catch(() => {}); // nobody may wait for it any more
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  try {
    await Promise.race([workers.start(), aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }

  const release = acquired.move();
  const close = (): Promise<void> => release.disposeAsync();
  const kill = (): void => {
    workers.kill();
    host.database.kill();
  };
  return { url: workers.url, psql: host.database.psql, close, kill, [Symbol.asyncDispose]: close };
}

/** What one process writes must reach the feed of all; a feed that sees its own process alone can't be shared. */
function assertSeenByAll({ feed }: Host): void {
  if (feed.status().source !== 'app') return;
  throw new RuntimeError(
    'ERR_RUNTIME_CONFIGURATION',
    'This database tells of no changes, so only those that a process makes itself are seen, and several workers would not see each other’s. Set WORKERS=1, or mend what `vazao doctor` names.',
  );
}

/** Cache and pool are those of the host; each worker has its part. */
function shareOut(configuration: Configuration): Configuration {
  const { workers, cacheSizeMaxBytes, databasePoolMax } = configuration;
  return {
    ...configuration,
    cacheSizeMaxBytes: Math.floor(cacheSizeMaxBytes / workers),
    databasePoolMax: Math.max(POOL_MIN, Math.floor(databasePoolMax / workers)),
  };
}

interface WorkersOptions {
  readonly fanOut: FanOut;
  readonly host: Host;
  readonly file: string;
  /** Of one worker. */
  readonly configuration: Configuration;
  readonly count: number;
  readonly random: () => number;
  readonly onCrash: (error: Error) => void;
}

interface Seat {
  worker: ChildProcess | undefined;
  isReady: boolean;
  quickDeaths: number;
  restart: NodeJS.Timeout | undefined;
}

class Workers {
  readonly #options: WorkersOptions;
  readonly #seats: Seat[];
  readonly #started = Promise.withResolvers<void>();
  #port: number;
  #url = '';
  #hasStarted = false;
  #isClosing = false;
  #emptied = Promise.withResolvers<void>();

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#port = options.configuration.port;
    this.#seats = Array.from({ length: options.count }, () => ({
      worker: undefined,
      isReady: false,
      quickDeaths: 0,
      restart: undefined,
    }));
  }

  get url(): string {
    return this.#url;
  }

  /** Resolves when every seat has a worker that is ready. */
  start(): Promise<void> {
    // Where any free port will do, the first worker finds it for all.
    for (const seat of this.#port === 0 ? this.#seats.slice(0, 1) : this.#seats) this.#fill(seat);
    return this.#started.promise;
  }

  /** Resolves when none is left. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (const seat of this.#seats) {
      clearTimeout(seat.restart);
      if (seat.worker) send(seat.worker, { kind: 'worker:drain' });
    }
    const cutOff = setTimeout(() => this.kill(), drainMs(this.#options.configuration) + END_EXTRA_MS);
    this.#findEmpty();
    await this.#emptied.promise;
    clearTimeout(cutOff);
  }

  /** Cuts all off, at once and synchronously. */
  kill(): void {
    this.#isClosing = true;
    for (const { worker } of this.#seats) worker?.kill('SIGKILL');
  }

  #fill(seat: Seat): void {
    const startedAt = performance.now();
    // The settings of this process (loaders, limits of memory) are the worker's, too.
    const worker = fork(ENTRY, { serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const leave = this.#options.fanOut.add(createIpcChannel(worker));
    const late = setTimeout(() => worker.kill('SIGKILL'), READY_TIMEOUT_MS);
    seat.worker = worker;
    worker.on('message', (message: FromWorker) => {
      if (message.kind === 'worker:up') this.#assign(worker);
      else if (message.kind === 'worker:ready') {
        clearTimeout(late);
        this.#onReady(seat, message);
      } else if (message.kind === 'worker:failed') this.#onFailed(message);
    });
    let isGone = false;
    const onGone = (how: string): void => {
      if (isGone) return;
      isGone = true;
      clearTimeout(late);
      leave();
      this.#onDeath(seat, performance.now() - startedAt, how);
    };
    worker.once('exit', (code, signal) => onGone(signal ?? `code ${code}`));
    // It could not be started, or sent to. A process that lives on without us ends by itself.
    worker.on('error', (error) => {
      if (worker.pid === undefined) onGone(error.message);
    });
  }

  #assign(worker: ChildProcess): void {
    if (this.#isClosing) {
      send(worker, { kind: 'worker:drain' });
      return;
    }
    const { file, host } = this.#options;
    const configuration = { ...this.#options.configuration, port: this.#port };
    const assignment = { file, configuration, secret: host.secret, databaseUrl: host.database.url };
    send(worker, { kind: 'worker:start', assignment });
  }

  #onReady(seat: Seat, { url, port }: { readonly url: string; readonly port: number }): void {
    seat.isReady = true;
    this.#url = url;
    if (this.#port === 0) {
      this.#port = port;
      for (const other of this.#seats) if (other !== seat) this.#fill(other);
    }
    this.#tellAlive();
    if (this.#seats.every(({ isReady }) => isReady)) {
      this.#hasStarted = true;
      this.#started.resolve();
    }
  }

  #onFailed({ code, message }: { readonly code: string | undefined; readonly message: string }): void {
    if (this.#hasStarted) {
      report(`a worker did not start: ${message}`);
      return;
    }
    const isOurs = code?.startsWith('ERR_RUNTIME_') ?? false;
    this.#started.reject(new RuntimeError(isOurs ? (code as RuntimeErrorCode) : 'ERR_RUNTIME_APPLICATION', message));
  }

  #onDeath(seat: Seat, livedMs: number, how: string): void {
    seat.worker = undefined;
    seat.isReady = false;
    this.#findEmpty();
    if (this.#isClosing) return;
    this.#tellAlive();
    seat.quickDeaths = livedMs < QUICK_DEATH_MS ? seat.quickDeaths + 1 : 0;
    if (seat.quickDeaths >= QUICK_DEATHS_MAX) {
      const error = new RuntimeError(
        'ERR_RUNTIME_WORKERS',
        `${QUICK_DEATHS_MAX} workers in a row ended within ${QUICK_DEATH_MS / 1_000} s of their start, the last by ${how}. The lines above say why; \`vazao dev\` shows it in one process.`,
      );
      if (this.#hasStarted) this.#options.onCrash(error);
      else this.#started.reject(error);
      return;
    }
    const pauseMs = restartMs(seat.quickDeaths, this.#options.random);
    report(`a worker ended by ${how}; another starts in ${Math.round(pauseMs)} ms`);
    seat.restart = setTimeout(() => this.#fill(seat), pauseMs);
  }

  #tellAlive(): void {
    const serving = this.#seats.filter(({ isReady }) => isReady);
    for (const { worker } of serving) if (worker) send(worker, { kind: 'worker:alive', alive: serving.length });
  }

  #findEmpty(): void {
    if (this.#isClosing && this.#seats.every(({ worker }) => worker === undefined)) this.#emptied.resolve();
  }
}

/** TypeScript in the sources, JavaScript in the package. */
const ENTRY: string = fileURLToPath(new URL(`./entry/worker${extname(import.meta.filename)}`, import.meta.url));

/** Doubles from the minimum to the maximum, and between half of that and all of it, so that workers don't return together. */
function restartMs(deaths: number, random: () => number): number {
  const fullMs = Math.min(RESTART_MAX_MS, RESTART_MIN_MS * 2 ** Math.max(0, deaths - 1));
  return fullMs * (0.5 + 0.5 * random());
}

function send(worker: ChildProcess, message: ToWorker): void {
  if (worker.connected) worker.send(message, undefined, undefined, () => {});
}

function report(sentence: string): void {
  process.stderr.write(`vazao: ${sentence}\n`);
}
