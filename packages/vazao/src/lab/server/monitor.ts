/** Looks at the server while it is asked: its processes, its `/health`, and its heap where the probe is in it. */
import { get } from 'node:http';
import type { ServerSample } from '../run-result.ts';
import { readProbes } from './probe-files.ts';
import { createProcessSampler } from './processes.ts';

const INTERVAL_MS = 1_000;
const HEALTH_TIMEOUT_MS = 900;
const HEALTH_BYTES_MAX = 64 * 1024;

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
      ...(health !== undefined && health !== 'none' && { health }),
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

/** The word that the server has for itself; `none` if it has no such page. */
function askHealth(url: string): Promise<string> {
  return new Promise((resolve) => {
    const request = get(
      url,
      { agent: false, timeout: HEALTH_TIMEOUT_MS, headers: { connection: 'close' } },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => {
          text += chunk;
          if (text.length > HEALTH_BYTES_MAX) request.destroy();
        });
        answer.on('close', () => resolve(readStatus(text) ?? 'none'));
      },
    );
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve('unreachable'));
  });
}

function readStatus(text: string): string | undefined {
  try {
    const { status } = JSON.parse(text) as { status?: unknown };
    return typeof status === 'string' ? status : undefined;
  } catch {
    return undefined;
  }
}
