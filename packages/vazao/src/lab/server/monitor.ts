/** Looks at the server while it is asked: its processes, its `/health`, and its heap where the probe is in it. */
import type { ServerSample } from '../run-result.ts';
import { askHealth, type Health } from './ask-health.ts';
import { readProbes } from './probe-files.ts';
import { createProcessSampler, type ProcessSampler } from './processes.ts';

const INTERVAL_MS = 1_000;

export interface MonitorOptions {
  /** Root of the server's processes. */
  readonly pid: number | undefined;
  /** Folder in which the probe leaves what it finds. */
  readonly probeFolder: string | undefined;
  /** URL of the server's health; asked until it answers something else than JSON. */
  readonly healthUrl: string | undefined;
  /** Seconds of the run. */
  readonly elapsedS: () => number;
}

export interface Monitor {
  readonly samples: readonly ServerSample[];
  stop(): void;
}

export function startMonitor({ pid, probeFolder, healthUrl, elapsedS }: MonitorOptions): Monitor {
  const samples: ServerSample[] = [];
  const processes = pid === undefined ? undefined : createProcessSampler(pid);
  let asksHealth = healthUrl !== undefined;
  let busy = false;
  const sample = async (): Promise<void> => {
    const atS = elapsedS();
    const [seen, heap, health] = await Promise.all([
      processes?.sample(atS),
      probeFolder === undefined ? undefined : readProbes(probeFolder),
      asksHealth && healthUrl !== undefined ? askHealth(healthUrl) : undefined,
    ]);
    if (health === 'none') asksHealth = false;
    samples.push({
      ...seen,
      atS,
      ...(heap !== undefined && { heapAfterGcBytes: heap }),
      ...(health !== undefined && health !== 'none' && readHealth(health, processes)),
    });
  };
  const tick = (): void => {
    if (busy) return;
    busy = true;
    sample()
      .catch(() => {}) // A process that ended between two looks.
      .finally(() => {
        busy = false;
      });
  };
  tick();
  const timer = setInterval(tick, INTERVAL_MS);
  return { samples, stop: () => clearInterval(timer) };
}

/** What `/health` says, with the memory of the process that has said it. */
function readHealth(
  { status, workers, pid, cache }: Health,
  processes: ProcessSampler | undefined,
): Omit<ServerSample, 'atS'> {
  const workerRssBytes = pid === undefined ? undefined : processes?.findRssBytes(pid);
  return {
    health: status,
    ...(workers !== undefined && { workers }),
    ...(workerRssBytes !== undefined && { workerRssBytes }),
    ...(cache !== undefined && { cache }),
  };
}
