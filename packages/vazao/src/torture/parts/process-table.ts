/** Processes by their ids, as Linux tells of them in /proc. */
import { readdirSync, readFileSync } from 'node:fs';

/** Children of a process; empty where there is no /proc: they notice the end of their parent by themselves. */
export function listChildren(pid: number): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && readStatus(name)?.parent === pid)
    .map(Number);
}

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
  try {
    // "123 (name, which may hold anything) S 1 …"
    const [state = '', parent] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return { state, parent: Number(parent) };
  } catch {
    return undefined; // it has ended meanwhile
  }
}
