/** Processes by their ids, as Linux tells of them in /proc. */
import { readdirSync, readFileSync } from 'node:fs';

/** Children of a process; empty where there is no /proc: they notice the end of their parent by themselves. */
export function listChildren(pid: number): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && readStatus(name)?.parent === pid)
    .map(Number);
}

export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** With its id it names the process: ids are used again. */
  readonly startedAt: string;
  /** In the program and in the kernel, without its children. */
  readonly processorMs: number;
  /** Of its children that have ended, and theirs. */
  readonly endedMs: number;
}

/** All processes; none where there is no /proc. */
export function listProcesses(): Process[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc').flatMap((name) => {
    const fields = /^\d+$/.test(name) ? readFields(name) : undefined;
    if (!fields) return [];
    const [user, system, endedUser, endedSystem] = fields.slice(11, 15).map(Number) as [number, number, number, number];
    return [
      {
        pid: Number(name),
        parent: Number(fields[1]),
        startedAt: fields[19] ?? '',
        processorMs: (user + system) * TICK_MS,
        endedMs: (endedUser + endedSystem) * TICK_MS,
      },
    ];
  });
}

/** Of the kernel's accounts, on every architecture that Node runs on. */
const TICK_MS = 10;

/** A zombie waits for the process 1 of its container to look at it, which some never do. */
export function isAtWork(pid: number): boolean {
  if (process.platform !== 'linux') return false;
  const status = readStatus(String(pid));
  return status !== undefined && status.state !== 'Z' && status.state !== 'X';
}

/** Does nothing to a process that has ended meanwhile. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}

function readStatus(pid: string): { readonly state: string; readonly parent: number } | undefined {
  const [state = '', parent] = readFields(pid) ?? [];
  return parent === undefined ? undefined : { state, parent: Number(parent) };
}

/** From the state on: "123 (name, which may hold anything) S 1 …". */
function readFields(pid: string): readonly string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
  } catch {
    return undefined; // it has ended meanwhile
  }
}
