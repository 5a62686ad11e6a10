/** Faults of hosts and their workers. One host serves while the other is in trouble. */
import { setTimeout as delay } from 'node:timers/promises';
import { type FaultKind, type FaultWorld, needsNothing } from './fault.ts';
import type { Host } from './host.ts';
import type { Random } from './random.ts';
import type { Stage } from './stage.ts';

const needsWorkers = ({ stage }: FaultWorld): string | undefined =>
  stage.hosts.some(({ workers }) => workers.length > 0) || stage.knows('WORKERS') ? undefined : 'no workers (WORKERS)';

export const HOST_FAULTS: readonly FaultKind[] = [
  hostFault(
    'worker-killed',
    needsWorkers,
    async (host, random, { stage }) => {
      const { expendable } = host;
      if (expendable.length === 0) return; // they have ended meanwhile
      host.killWorker(random.pick(expendable));
      await untilWorkers(host, stage);
    },
    ({ expendable }) => expendable.length > 0,
  ),
  hostFault('worker-frozen', needsWorkers, async (host, random) => {
    const { workers } = host;
    if (workers.length === 0) return;
    const pid = random.pick(workers);
    host.signal(pid, 'SIGSTOP');
    await delay(random.between(1_000, 3_000));
    host.signal(pid, 'SIGCONT');
  }),
  {
    ...hostFault('supervisor-frozen', needsWorkers, async (host, random) => {
      const { pid } = host;
      if (pid === undefined) return;
      host.signal(pid, 'SIGSTOP');
      await delay(random.between(300, 3_000));
      host.signal(pid, 'SIGCONT');
    }),
    // The workers serve without it.
    excuses: false,
  },
  hostFault('host-killed', needsNothing, async (host, random, { environment }) => {
    await host.kill();
    await delay(random.between(0, 300));
    await startPatiently(host, environment);
  }),
  hostFault('host-frozen', needsNothing, async (host, random) => {
    const family = [...(host.pid === undefined ? [] : [host.pid]), ...host.workers];
    for (const pid of family) host.signal(pid, 'SIGSTOP');
    await delay(random.between(1_000, 3_000));
    for (const pid of family) host.signal(pid, 'SIGCONT');
  }),
];

function hostFault(
  name: string,
  missing: FaultKind['missing'],
  run: (host: Host, random: Random, world: FaultWorld) => Promise<void>,
  isReady: (host: Host) => boolean = () => true,
): FaultKind {
  return {
    name,
    excuses: true,
    missing,
    plan({ stage }, random) {
      const ready = stage.hosts.filter(isReady);
      if (ready.length === 0) return undefined;
      const host = random.pick(ready);
      // One host serves while the other is in trouble: what both would do at once is what the database's faults show.
      return { takes: ['host'], detail: host.name, run: (world, chance) => run(host, chance, world) };
    },
  };
}

const STARTS_MAX = 20;
const RESTART_PAUSE_MS = 500;

/** As whatever looks after a host does: a start while the database is away fails, and is tried again. */
async function startPatiently(host: Host, environment: Readonly<Record<string, string>>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await host.start(environment);
      return;
    } catch (error) {
      if (host.isRunning || tries >= STARTS_MAX) throw error;
      await delay(RESTART_PAUSE_MS);
    }
  }
}

const WORKERS_TIMEOUT_MS = 15_000;

/** Until the supervisor has as many as before, and they answer; or the bound, after which others show what is wrong. */
async function untilWorkers(host: Host, { hosts }: Stage): Promise<void> {
  const wanted = Math.max(...hosts.map(({ workers }) => workers.length));
  const deadline = performance.now() + WORKERS_TIMEOUT_MS;
  while (performance.now() < deadline) {
    if (host.workers.length >= wanted && (await host.isHealthy())) return;
    await delay(50);
  }
}
