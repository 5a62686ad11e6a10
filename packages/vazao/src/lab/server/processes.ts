/**
 * CPU time, memory, descriptors and connections of a process and all that it started, from `/proc` (Linux).
 *
 * It must cost little, for it is measured beside the server on one machine. Files of `/proc` are in memory: to read one at once takes
 * microseconds, and a tenth of what it takes to be told later. What the kernel has to work for is read once in a while (memory, page by
 * page) or once for all processes (their sockets).
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { ServerSample } from '../run-result.ts';

/** `sysconf(_SC_CLK_TCK)` on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
/** Of the tree; more is no server but an accident. */
const PROCESSES_MAX = 1_000;
/** Of each process the memory is looked at in one of so many samples. */
const MEMORY_EVERY = 5;

export interface ProcessSampler {
  sample(atS: number): ServerSample;
  /** Memory of one process as of the last sample; undefined when it is not of the tree. */
  findRssBytes(pid: number): number | undefined;
}

/** Without `/proc` the samples are empty. @param pid - the root of the tree */
export function createProcessSampler(pid: number): ProcessSampler {
  let before: { readonly at: number; readonly ticks: ReadonlyMap<number, number> } | undefined;
  let sizes: ReadonlyMap<number, number> = new Map();
  let turn = 0;
  return {
    findRssBytes: (of) => sizes.get(of),
    sample(atS) {
      const at = performance.now();
      const sockets = readEstablished(pid);
      turn++;
      const figures = findTree(pid)
        .map((of) => readProcess(of, sockets, (turn + of) % MEMORY_EVERY === 0 ? undefined : sizes.get(of)))
        .filter((process) => process !== undefined);
      if (figures.length === 0) return { atS };
      sizes = new Map(figures.map((process) => [process.pid, process.rssBytes]));
      const ticks = new Map(figures.map((process) => [process.pid, process.ticks]));
      // By process: one that ended takes its time with it, and must not make the sum go back.
      let spent = 0;
      for (const [of, now] of ticks) spent += now - (before?.ticks.get(of) ?? now);
      const cpuCores = before ? spent / TICKS_PER_SECOND / ((at - before.at) / 1_000) : undefined;
      before = { at, ticks };
      const sum = (pick: (process: ProcessFigures) => number): number =>
        figures.reduce((all, process) => all + pick(process), 0);
      return {
        atS,
        processes: figures.length,
        ...(cpuCores !== undefined && { cpuCores }),
        rssBytes: sum(({ rssBytes }) => rssBytes),
        handles: sum(({ handles }) => handles),
        connections: sum(({ connections }) => connections),
      };
    },
  };
}

interface ProcessFigures {
  readonly pid: number;
  readonly ticks: number;
  readonly rssBytes: number;
  readonly handles: number;
  readonly connections: number;
}

/** The process and its descendants; itself alone when it is gone. */
function findTree(root: number): readonly number[] {
  const found: number[] = [root];
  for (let at = 0; at < found.length && found.length < PROCESSES_MAX; at++) {
    for (const task of list(`/proc/${found[at]}/task`)) {
      const children = read(`/proc/${found[at]}/task/${task}/children`);
      for (const child of children.split(' ')) if (child.trim() !== '') found.push(Number(child));
    }
  }
  return found;
}

/** @param rssBytes - what is known of its memory; undefined: look */
function readProcess(
  pid: number,
  sockets: ReadonlySet<string>,
  rssBytes: number | undefined,
): ProcessFigures | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === '') return undefined;
  const descriptors = list(`/proc/${pid}/fd`);
  // After the name in parentheses, which may hold anything: state is field 3, times are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    pid,
    ticks: Number(fields[11]) + Number(fields[12]),
    rssBytes: rssBytes ?? readMemory(pid),
    handles: descriptors.length,
    connections: descriptors.filter((name) => sockets.has(link(`/proc/${pid}/fd/${name}`))).length,
  };
}

/** Memory that processes share counts in parts (PSS), where the kernel tells; else all that is resident. */
function readMemory(pid: number): number {
  const pss = /^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1];
  if (pss !== undefined) return Number(pss) * 1024;
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
}

/** Number, two addresses, the state (01: established), five fields more, and the inode (proc_net_tcp of the kernel's documentation). */
const ESTABLISHED = /^ *\d+: \S+ \S+ 01 (?:\S+ +){5}(\d+)/gm;

/** The established TCP connections of the process's network, as links of descriptors name them. */
function readEstablished(pid: number): ReadonlySet<string> {
  const sockets = new Set<string>();
  for (const name of ['tcp', 'tcp6']) {
    for (const [, inode] of read(`/proc/${pid}/net/${name}`).matchAll(ESTABLISHED)) sockets.add(`socket:[${inode}]`);
  }
  return sockets;
}

// A process may end between any two looks: what is gone is empty.

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function list(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
