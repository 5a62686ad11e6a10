/** The process that runs on a PostgreSQL data directory, as its `postmaster.pid` tells. */
import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

export interface RunningServer {
  readonly pid: number;
  readonly port: number;
}

/** The server that runs on the data directory, in whatever state it is; undefined when none does. */
export async function findServer(dataFolder: string): Promise<RunningServer | undefined> {
  const lines = await readPidFile(dataFolder);
  const pid = Number(lines?.[0]);
  const port = Number(lines?.[3]);
  return pid > 0 && port > 0 && isServing(pid, dataFolder) ? { pid, port } : undefined;
}

/**
 * After a crash of the machine the process id in `postmaster.pid` may belong to another program. PostgreSQL can't tell
 * and refuses to start while that one lives; we can, and remove the file. Should we be wrong, PostgreSQL's second
 * safeguard, the shared memory segment named after the data directory, still keeps two servers apart.
 */
export async function removeStalePidFile(dataFolder: string): Promise<void> {
  const pid = Number((await readPidFile(dataFolder))?.[0]);
  if (pid > 0 && isAlive(pid) && !isServing(pid, dataFolder)) {
    await rm(join(dataFolder, 'postmaster.pid'), { force: true });
  }
}

/** True for a process of any user. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function readPidFile(dataFolder: string): Promise<string[] | undefined> {
  const text = await readFile(join(dataFolder, 'postmaster.pid'), 'utf8').catch(() => undefined);
  return text?.split('\n');
}

/** True while the process is the server of the data directory. A zombie is none: it has no folder and no command. */
export function isServing(pid: number, dataFolder: string): boolean {
  if (!isAlive(pid)) return false;
  if (process.platform !== 'linux') return /postgres/.test(commandOf(pid));
  try {
    // A postmaster works in its data directory. The link can be read by root and by the process's own user.
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(dataFolder);
  } catch {
    return /postgres/.test(commandOf(pid));
  }
}

function commandOf(pid: number): string {
  try {
    if (process.platform === 'linux') return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0] ?? '';
    return execFileSync('ps', ['-p', String(pid), '-o', 'comm='], { encoding: 'utf8' });
  } catch {
    return ''; // it has ended meanwhile
  }
}
