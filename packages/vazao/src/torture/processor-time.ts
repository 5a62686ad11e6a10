/** How much processor time each part takes, by the process table: what limits the number of reads. */
import { listProcesses, type Process } from './parts/process-table.ts';
import type { Stage } from './stage.ts';

export const PARTS = ['client', 'supervisors', 'workers', 'primary', 'standbys', 'Redis'] as const;
export type Part = (typeof PARTS)[number];

/** Whose children come and go all the time: PostgreSQL starts a process for each connection. */
const SERVERS: readonly Part[] = ['primary', 'standbys'];

interface Seen {
  readonly part: Part;
  readonly fromMs: number;
  toMs: number;
  /** The server that it is a child of: in its account is what it took, when it has ended. */
  readonly server: number | undefined;
}

export class ProcessorTime {
  readonly #stage: Pick<Stage, 'hosts' | 'cluster' | 'redis'>;
  /** By process, which its id and its start name: the part that it was of, and its time when it was last seen. */
  readonly #seen = new Map<string, Seen>();

  constructor(stage: Pick<Stage, 'hosts' | 'cluster' | 'redis'>) {
    this.#stage = stage;
  }

  /**
   * Called every now and then. What a process uses between the last call and its end is not seen, but for the processes of the
   * database servers.
   */
  sample(): void {
    const processes = listProcesses();
    const parts = this.#findParts(processes);
    const isFirst = this.#seen.size === 0;
    const alive = new Set<string>();
    for (const { pid, parent, startedAt, processorMs, endedMs } of processes) {
      const part = parts.get(pid);
      if (part === undefined) continue;
      const key = `${part} ${pid} ${startedAt}`;
      alive.add(`${pid} ${startedAt}`);
      const server = SERVERS.includes(part) && parts.get(parent) === part ? parent : undefined;
      const isServer = SERVERS.includes(part) && server === undefined;
      const ms = processorMs + (isServer ? endedMs : 0);
      const seen = this.#seen.get(key);
      if (seen) seen.toMs = ms;
      // What ran before the first look is not of the run; what began since is, all of it.
      else this.#seen.set(key, { part, fromMs: isFirst || this.#changedPart(key) ? ms : 0, toMs: ms, server });
    }
    for (const [key, seen] of this.#seen) {
      // What it took before the first look is in the account as well, and is taken off.
      const isOver = !alive.has(processOf(key));
      if (isOver && seen.server !== undefined && parts.has(seen.server)) seen.toMs = 0;
    }
  }

  /** Of each part, in seconds. */
  get seconds(): Readonly<Record<Part, number>> {
    const sums = { client: 0, supervisors: 0, workers: 0, primary: 0, standbys: 0, Redis: 0 };
    for (const { part, fromMs, toMs } of this.#seen.values()) sums[part] += (toMs - fromMs) / 1_000;
    return sums;
  }

  /** A standby that has become the primary: what it took before is counted already. */
  #changedPart(key: string): boolean {
    return PARTS.some((part) => this.#seen.has(`${part} ${processOf(key)}`));
  }

  #findParts(processes: readonly Process[]): ReadonlyMap<number, Part> {
    const { hosts, cluster, redis } = this.#stage;
    const roots = new Map<number | undefined, Part>([
      [process.pid, 'client'],
      [redis.pid, 'Redis'],
      [cluster.primary.pid, 'primary'],
      ...cluster.standbys.map(({ pid }) => [pid, 'standbys'] as const),
      ...hosts.map(({ pid }) => [pid, 'supervisors'] as const),
    ]);
    const parts = new Map<number, Part>();
    for (const { pid, parent } of processes) {
      const part = roots.get(pid) ?? roots.get(parent);
      if (part !== undefined) parts.set(pid, part === 'supervisors' && !roots.has(pid) ? 'workers' : part);
    }
    return parts;
  }
}

/** Of a key, without the part. */
function processOf(key: string): string {
  return key.slice(key.indexOf(' ') + 1);
}
