/**
 * A host: one `vazao start` with its workers, on a port of its own. Signals go to process ids that this object started, or
 * that are children of those.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection, writeRequest } from './connection.ts';
import { TortureError } from './errors.ts';
import { isAtWork, listChildren, sendSignal } from './parts/process-table.ts';

/** Two hosts with their workers start at the same time, on a machine that may be busy. */
const START_TIMEOUT_MS = 240_000;
const HEALTH_TIMEOUT_MS = 2_000;
const GONE_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 20_000;
const PAUSE_MS = 50;
/** A worker's death so soon after its start is quick, for the supervisor (`runtime/supervisor.ts`), and a bit more. */
const QUICK_DEATH_MS = 32_000;
/** Of one host, where the supervisor allows more of one seat. */
const QUICK_KILLS_MAX = 3;
const LOG_SHOWN_CHARACTERS_MAX = 1_500;

export interface HostOptions {
  readonly name: string;
  readonly port: number;
  /** Node's own options, then the module of the command line. */
  readonly command: readonly string[];
  /** The word of the application. */
  readonly application: string;
  readonly cwd: string;
  /** The whole of it. */
  readonly environment: Readonly<Record<string, string>>;
  readonly logFile: string;
}

export class Host {
  readonly name: string;
  readonly port: number;
  readonly logFile: string;
  readonly #options: HostOptions;
  #child: ChildProcess | undefined;
  /** When each worker was first seen. */
  readonly #seenAtMs = new Map<number, number>();
  #quickKills = 0;
  /** Workers of supervisors that are gone: they have to go, too. */
  #orphans: readonly number[] = [];

  constructor(options: HostOptions) {
    this.#options = options;
    this.name = options.name;
    this.port = options.port;
    this.logFile = options.logFile;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number | undefined {
    return this.isRunning ? this.#child?.pid : undefined;
  }

  /** Process ids of its workers; none where one process serves alone. */
  get workers(): readonly number[] {
    return this.pid === undefined ? [] : listChildren(this.pid);
  }

  /**
   * Process ids of the workers that may be killed: a supervisor takes workers that die one soon after the other for a crash
   * loop, and ends.
   */
  get expendable(): readonly number[] {
    const { workers } = this;
    const now = performance.now();
    for (const pid of workers) if (!this.#seenAtMs.has(pid)) this.#seenAtMs.set(pid, now);
    for (const pid of this.#seenAtMs.keys()) if (!workers.includes(pid)) this.#seenAtMs.delete(pid);
    if (this.#quickKills < QUICK_KILLS_MAX) return workers;
    return workers.filter((pid) => now - (this.#seenAtMs.get(pid) ?? now) > QUICK_DEATH_MS);
  }

  killWorker(pid: number): void {
    if (performance.now() - (this.#seenAtMs.get(pid) ?? 0) < QUICK_DEATH_MS) this.#quickKills++;
    this.signal(pid, 'SIGKILL');
  }

  /** Resolves when it answers. Throws {@link TortureError} with the end of its log. */
  async start(environment: Readonly<Record<string, string>> = {}): Promise<void> {
    const { command, application, cwd } = this.#options;
    const log = openSync(this.logFile, 'a', 0o600);
    const words = [...command, 'start', application];
    // The kernel ends it when this process is gone, however that comes about.
    const bound =
      process.platform === 'linux' ? ['setpriv', '--pdeathsig', 'KILL', '--', process.execPath] : [process.execPath];
    const [first = process.execPath, ...rest] = bound;
    const child = spawn(first, [...rest, ...words], {
      cwd,
      env: { ...this.#options.environment, ...environment, PORT: String(this.port) },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    const atExit = (): void => void child.kill('SIGKILL');
    process.once('exit', atExit);
    child.once('exit', () => process.off('exit', atExit)).once('error', () => {});
    child.unref();
    this.#child = child;
    this.#quickKills = 0;
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!(await this.isHealthy())) {
      if (this.isRunning && performance.now() < deadline) {
        await delay(PAUSE_MS);
        continue;
      }
      const said = (await readFile(this.logFile, 'utf8').catch(() => '')).slice(-LOG_SHOWN_CHARACTERS_MAX).trim();
      throw new TortureError(
        'ERR_TORTURE_START',
        `${this.name} did not start. Its last words in ${this.logFile}: ${said || '(none)'}`,
      );
    }
  }

  /** It answers, and its database does. */
  async isHealthy(): Promise<boolean> {
    const connection = new Connection(this.port);
    try {
      return (await connection.ask(writeRequest('GET', '/health', {}), HEALTH_TIMEOUT_MS)).status === 200;
    } catch {
      return false;
    } finally {
      connection.close();
    }
  }

  /** The end of its log. */
  lastWords(): string {
    try {
      return readFileSync(this.logFile, 'utf8').slice(-LOG_SHOWN_CHARACTERS_MAX).trim();
    } catch {
      return '(nothing)';
    }
  }

  signal(pid: number, name: NodeJS.Signals): void {
    sendSignal(pid, name);
  }

  /** Its first process is cut off. What is left of the host has to end by itself, within a bound. */
  async kill(): Promise<void> {
    const { pid } = this;
    if (pid === undefined) return;
    this.#orphans = this.workers;
    this.signal(pid, 'SIGKILL');
    await this.#untilGone(this.#child);
    const deadline = performance.now() + GONE_TIMEOUT_MS;
    while (this.#orphans.some(isAtWork)) {
      if (performance.now() > deadline) {
        throw new TortureError(
          'ERR_TORTURE_END',
          `Workers of ${this.name} outlive their supervisor by more than ${GONE_TIMEOUT_MS} ms: ${this.#orphans.filter(isAtWork)}.`,
        );
      }
      await delay(PAUSE_MS);
    }
  }

  /** In order; after the bound it is cut off. */
  async stop(): Promise<void> {
    const child = this.#child;
    const family = this.pid === undefined ? [] : [this.pid, ...this.workers];
    for (const pid of family) this.signal(pid, 'SIGCONT');
    child?.kill('SIGTERM');
    const cutOff = setTimeout(() => {
      for (const pid of family) this.signal(pid, 'SIGKILL');
    }, STOP_TIMEOUT_MS);
    await this.#untilGone(child);
    clearTimeout(cutOff);
  }

  /** All of it at once, whatever state it is in. */
  async destroy(): Promise<void> {
    const family = [...(this.pid === undefined ? [] : [this.pid]), ...this.workers, ...this.#orphans.filter(isAtWork)];
    for (const pid of family) this.signal(pid, 'SIGKILL');
    await this.#untilGone(this.#child);
  }

  async #untilGone(child: ChildProcess | undefined): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.ref();
    await new Promise<void>((resolve) => child.once('exit', () => resolve()));
  }
}
