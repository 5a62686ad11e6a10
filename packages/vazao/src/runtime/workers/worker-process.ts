/**
 * One process of a worker, as the supervisor sees it. It is forked at once, and loads the platform while it waits for its
 * assignment; so one that was forked ahead of time is ready sooner.
 *
 *   up ──assign()──► starting ──► serving ──drain()──► leaving ──► gone
 *                        │           │                   │
 *                        │ not ready │ silent            │ still there
 *                        ▼ in time   ▼                   ▼ in time
 *                        └──────── SIGKILL, gone ────────┘
 */
import { type ChildProcess, fork } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SeatFigures } from '../../telemetry/index.ts';
import type { HostFigures } from '../health.ts';
import {
  type Assignment,
  BEAT_MS,
  type Beat,
  type FromWorker,
  LISTENING_FDS,
  type ToWorker,
  type WorkerFailure,
} from '../worker-messages.ts';

export interface WorkerProcessOptions {
  readonly socketFd: number;
  /** Options of V8, beside those of this process. */
  readonly execArgv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A module that it loads while it waits. */
  readonly preloads?: string | undefined;
}

export interface WorkerHandlers {
  readonly onReady: (url: string) => void;
  readonly onFailed: (failure: WorkerFailure) => void;
  readonly onBeat: (beat: Beat) => void;
  /** It wants the figures of all workers. */
  readonly onAsked: () => void;
  /** Called once. `how` is a signal, `code 1`, or why it could not be forked. */
  readonly onGone: (how: string) => void;
}

/** TypeScript in the sources, JavaScript in the package. */
const ENTRY: string = fileURLToPath(new URL(`../entry/worker${extname(import.meta.filename)}`, import.meta.url));
/** How long a worker may take from its assignment to its first answer, on a machine that has other things to do. */
const READY_TIMEOUT_MS = 120_000;

export class WorkerProcess {
  readonly child: ChildProcess;
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>;
  /** When it was assigned, by `performance.now()`. */
  startedAtMs: number = performance.now();
  /** It has answered requests. */
  hasServed = false;
  failure: WorkerFailure | undefined;
  /** When, by `performance.now()`, and what. */
  lastBeat: { readonly atMs: number; readonly beat: Beat } | undefined;
  /** It was cut off, and why. */
  cutOff: string | undefined;
  #handlers: WorkerHandlers | undefined;
  #assignment: Assignment | undefined;
  #isUp = false;
  #isLeaving = false;
  #silentMs = 0;
  #isDebugged = false;
  #timer: NodeJS.Timeout | undefined;

  constructor({ socketFd, execArgv, env, preloads }: WorkerProcessOptions) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.gone = promise;
    // The settings of this process (loaders, limits of memory) are the worker's, too.
    this.child = fork(ENTRY, preloads === undefined ? [] : [preloads], {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...LISTENING_FDS.map(() => socketFd)],
      execArgv: [...process.execArgv, ...execArgv],
      env,
    });
    let isGone = false;
    const onGone = (how: string): void => {
      if (isGone) return;
      isGone = true;
      clearTimeout(this.#timer);
      this.#handlers?.onGone(this.cutOff ?? how);
      resolve();
    };
    this.child.on('message', (message: FromWorker) => this.#onMessage(message));
    this.child.once('exit', (code, signal) => onGone(signal ?? `code ${code}`));
    // It could not be started, or sent to. A process that lives on without us ends by itself.
    this.child.on('error', (error) => {
      if (this.child.pid === undefined) onGone(error.message);
    });
  }

  get isRunning(): boolean {
    return this.child.pid !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  assign(assignment: Assignment, handlers: WorkerHandlers): void {
    this.#assignment = assignment;
    this.#handlers = handlers;
    this.startedAtMs = performance.now();
    this.#cutOffAfter(READY_TIMEOUT_MS, `it was not ready in ${READY_TIMEOUT_MS / 1_000} s`);
    if (this.#isUp) this.#send({ kind: 'worker:start', assignment });
  }

  tell(host: HostFigures): void {
    this.#send({ kind: 'worker:host', host });
  }

  tellFigures(workers: readonly SeatFigures[]): void {
    this.#send({ kind: 'worker:figures', workers });
  }

  /** Lets it finish what is in flight. */
  drain(lingerMs: number, timeoutMs: number): void {
    this.#isLeaving = true;
    this.#send({ kind: 'worker:drain', lingerMs });
    this.#cutOffAfter(timeoutMs, `it did not end in ${Math.round(timeoutMs / 1_000)} s`);
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }

  /** Adds to the time for which nothing was heard of it; true when that is too long. Only of one that serves. */
  isSilent(addedMs: number, silenceMaxMs: number): boolean {
    if (!this.hasServed || this.#isLeaving || this.#isDebugged || this.cutOff !== undefined) return false;
    this.#silentMs += addedMs;
    return this.#silentMs - BEAT_MS > silenceMaxMs;
  }

  /** SIGKILL, because what hangs does not listen to anything else. */
  cutOffNow(why: string): void {
    this.cutOff ??= why;
    this.kill();
  }

  #onMessage(message: FromWorker): void {
    this.#silentMs = 0;
    switch (message.kind) {
      case 'worker:up':
        this.#isUp = true;
        if (this.#isLeaving) this.#send({ kind: 'worker:drain', lingerMs: 0 });
        else if (this.#assignment) this.#send({ kind: 'worker:start', assignment: this.#assignment });
        return;
      case 'worker:ready':
        clearTimeout(this.#timer);
        this.hasServed = true;
        this.#handlers?.onReady(message.url);
        return;
      case 'worker:failed':
        this.failure = message;
        this.#handlers?.onFailed(message);
        return;
      case 'worker:beat':
        this.#isDebugged = message.isDebugged;
        this.lastBeat = { atMs: performance.now(), beat: message };
        this.#handlers?.onBeat(message);
        return;
      case 'worker:ask-figures':
        this.#handlers?.onAsked();
        return;
    }
  }

  #cutOffAfter(timeoutMs: number, why: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.cutOffNow(why), timeoutMs);
  }

  #send(message: ToWorker): void {
    if (this.child.connected) this.child.send(message, undefined, undefined, () => {});
  }
}
