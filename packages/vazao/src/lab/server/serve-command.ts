/** Starts a server by a command, for the time of a run, with all that it starts. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { LabError } from '../errors.ts';
import { PROBE_FOLDER_VARIABLE } from './probe-files.ts';

export interface ServeOptions {
  /** Where it answers when it is ready. */
  readonly origin: string;
  /** Puts the probe into its Node processes: their heap after a collection of garbage. */
  readonly probe: boolean;
  /** What messages call it. @defaultValue the command */
  readonly name?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ServedByCommand {
  readonly pid: number;
  readonly probeFolder: string | undefined;
  stop(): Promise<void>;
}

const READY_MS_MAX = 120_000;
const ASKED_EVERY_MS = 200;
const STOPPED_MS_MAX = 15_000;
const OUTPUT_MAX = 4_000;

/** Resolves when it answers. Rejects with {@link LabError} when it ends before, or does not answer in two minutes. */
export async function serveByCommand(command: string, options: ServeOptions): Promise<ServedByCommand> {
  if (await answers(options.origin)) {
    throw new LabError(
      'ERR_LAB_START',
      `Something answers at ${options.origin} already: stop it, or leave --serve out.`,
    );
  }
  const probeFolder = options.probe ? await mkdtemp(join(tmpdir(), 'vazao-lab-')) : undefined;
  const child = start(command, probeFolder === undefined ? {} : probeEnvironment(probeFolder));
  const output = collectOutput(child);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  // Whoever presses Ctrl-C twice leaves no server behind.
  const kill = (): void => signalGroup(child, 'SIGKILL');
  process.once('exit', kill);
  const stop = async (): Promise<void> => {
    process.off('exit', kill);
    signalGroup(child, 'SIGTERM');
    const killer = setTimeout(() => signalGroup(child, 'SIGKILL'), STOPPED_MS_MAX);
    await ended;
    clearTimeout(killer);
    if (probeFolder !== undefined) await rm(probeFolder, { recursive: true, force: true });
  };
  const giveUpAt = performance.now() + READY_MS_MAX;
  while (!(await answers(options.origin))) {
    const gone = child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
    if (gone || performance.now() > giveUpAt || options.signal?.aborted) {
      await stop();
      const what = options.signal?.aborted
        ? 'was stopped before it answered'
        : gone
          ? 'ended before it answered'
          : `did not answer at ${options.origin} in ${READY_MS_MAX / 1_000} s`;
      const said = `It said: ${output() || 'nothing'}`;
      throw new LabError('ERR_LAB_START', `The server (${options.name ?? command}) ${what}. ${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, ASKED_EVERY_MS));
  }
  return { pid: child.pid as number, probeFolder, stop };
}

/** Resolves when it has ended with 0. Rejects with {@link LabError}. */
export async function runToEnd(command: string, environment: Readonly<Record<string, string>>): Promise<void> {
  const child = start(command, environment);
  const output = collectOutput(child);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0)
    throw new LabError('ERR_LAB_START', `${command} ended with ${code}. It said: ${output() || 'nothing'}`);
}

/** In a process group of its own, so that all of it can be ended. */
function start(command: string, environment: Readonly<Record<string, string>>): ChildProcess {
  return spawn(command, {
    shell: true,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
}

function probeEnvironment(folder: string): Record<string, string> {
  const probe = new URL(`../entry/heap-probe${extname(import.meta.filename)}`, import.meta.url).href;
  const before = process.env.NODE_OPTIONS === undefined ? '' : `${process.env.NODE_OPTIONS} `;
  return { NODE_OPTIONS: `${before}--import=${probe}`, [PROBE_FOLDER_VARIABLE]: folder };
}

/** The end of what it said. */
function collectOutput(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8');
    stream?.on('data', (chunk: string) => {
      text = (text + chunk).slice(-OUTPUT_MAX);
    });
  }
  child.on('error', (error) => {
    text += error.message;
  });
  return () => text.trim();
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It is gone.
  }
}

function answers(origin: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(`${origin}/`, { agent: false, timeout: 2_000, headers: { connection: 'close' } }, (answer) => {
      answer.resume();
      resolve((answer.statusCode ?? 500) < 500 || answer.statusCode === 501);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}
