/** CPU time, memory, descriptors and connections of a process and all that it started, from `/proc` (Linux). */
import { readdir, readFile, readlink } from 'node:fs/promises';
import type { ServerSample } from '../run-result.ts';

/** `sysconf(_SC_CLK_TCK)` on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
/** Of the tree; more is no server but an accident. */
const PROCESSES_MAX = 1_000;

export interface ProcessSampler {
  sample(atS: number): Promise<ServerSample>;
  /** Memory of one process as of the last sample; undefined when it is not of the tree. */
  findRssBytes(pid: number): number | undefined;
}

/** Without `/proc` the samples are empty. @param pid - the root of the tree */
export function createProcessSampler(pid: number): ProcessSampler {
  let before: { readonly at: number; readonly ticks: ReadonlyMap<number, number> } | undefined;
  let sizes: ReadonlyMap<number, number> = new Map();
  return {
    findRssBytes: (of) => sizes.get(of),
    async sample(atS) {
      const at = performance.now();
      const pids = await findTree(pid);
      const figures = (await Promise.all(pids.map(readProcess))).filter((process) => process !== undefined);
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

/** The process and its descendants; empty when it is gone. */
async function findTree(root: number): Promise<readonly number[]> {
  const found: number[] = [root];
  for (let at = 0; at < found.length && found.length < PROCESSES_MAX; at++) {
    const tasks = await readdir(`/proc/${found[at]}/task`).catch(() => []);
    for (const task of tasks) {
      const children = await readFile(`/proc/${found[at]}/task/${task}/children`, 'utf8').catch(() => '');
      for (const child of children.split(' ')) if (child.trim() !== '') found.push(Number(child));
    }
  }
  return found;
}

async function readProcess(pid: number): Promise<ProcessFigures | undefined> {
  const [stat, memory, names, sockets] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''),
    readMemory(pid),
    readdir(`/proc/${pid}/fd`).catch(() => []),
    readEstablished(pid),
  ]);
  if (stat === '') return undefined;
  // After the name in parentheses, which may hold anything: state is field 3, times are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const links = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => '')));
  const connections = links.filter((link) => sockets.has(/^socket:\[(\d+)\]$/.exec(link)?.[1] ?? '')).length;
  return {
    pid,
    ticks: Number(fields[11]) + Number(fields[12]),
    rssBytes: memory,
    handles: names.length,
    connections,
  };
}

/** Memory that processes share counts in parts (PSS), where the kernel tells; else all that is resident. */
async function readMemory(pid: number): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
  const pss = /^Pss:\s+(\d+) kB/m.exec(rollup)?.[1];
  if (pss !== undefined) return Number(pss) * 1024;
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}

/** Inodes of the established TCP connections of the process's network. */
async function readEstablished(pid: number): Promise<ReadonlySet<string>> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/${pid}/net/${name}`, 'utf8').catch(() => '')),
  );
  const inodes = new Set<string>();
  for (const line of tables.flatMap((table) => table.split('\n').slice(1))) {
    const fields = line.trim().split(/\s+/);
    if (fields[3] === '01' && fields[9] !== undefined) inodes.add(fields[9]);
  }
  return inodes;
}
