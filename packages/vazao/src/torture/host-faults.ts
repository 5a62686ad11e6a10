/**
 * Faults of hosts and their workers. Of one host at a time all processes are in trouble; meanwhile single ones of the other may
 * be, and another of it serves.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type FaultKind, type FaultWorld, needsNothing } from './fault.ts';
import type { Host } from './host.ts';
import type { Random } from './random.ts';
import type { Stage } from './stage.ts';

const needsWorkers = ({ stage }: FaultWorld): string | undefined =>
  stage.hosts.some(({ workers }) => workers.length > 0) || stage.knows('WORKERS') ? undefined : 'no workers (WORKERS)';

export const HOST_FAULTS: readonly FaultKind[] = [
  hostFault({
    name: 'worker-killed',
    restarts: true,
    typicalMs: 4_000,
    missing: needsWorkers,
    isReady: ({ expendable }) => expendable.length > 0,
    async run(host, random, { stage }) {
      const { expendable } = host;
      if (expendable.length === 0) return; // they have ended meanwhile
      host.killWorker(random.pick(expendable));
      await untilWorkers(host, stage);
    },
  }),
  hostFault({
    name: 'worker-frozen',
    typicalMs: 2_000,
    missing: needsWorkers,
    async run(host, random) {
      const { workers } = host;
      if (workers.length === 0) return;
      const pid = random.pick(workers);
      host.signal(pid, 'SIGSTOP');
      await delay(random.between(1_000, 3_000));
      host.signal(pid, 'SIGCONT');
    },
  }),
  hostFault({
    name: 'supervisor-frozen',
    // The workers serve without it.
    excuses: false,
    typicalMs: 1_700,
    missing: needsWorkers,
    async run(host, random) {
      const { pid } = host;
      if (pid === undefined) return;
      host.signal(pid, 'SIGSTOP');
      await delay(random.between(300, 3_000));
      host.signal(pid, 'SIGCONT');
    },
  }),
  hostFault({
    name: 'host-killed',
    restarts: true,
    typicalMs: 8_000,
    isOfAll: true,
    async run(host, random, { environment }) {
      await host.kill();
      await delay(random.between(0, 300));
      await startPatiently(host, environment);
    },
  }),
  hostFault({
    name: 'host-frozen',
    typicalMs: 2_000,
    isOfAll: true,
    async run(host, random) {
      const family = [...(host.pid === undefined ? [] : [host.pid]), ...host.workers];
      for (const pid of family) host.signal(pid, 'SIGSTOP');
      await delay(random.between(1_000, 3_000));
      for (const pid of family) host.signal(pid, 'SIGCONT');
    },
  }),
];

interface HostFault {
  readonly name: string;
  /** @defaultValue true */
  readonly excuses?: boolean;
  /** @defaultValue false */
  readonly restarts?: boolean;
  readonly typicalMs: number;
  /** @defaultValue {@link needsNothing} */
  readonly missing?: FaultKind['missing'];
  /** No process of the host serves meanwhile. @defaultValue false */
  readonly isOfAll?: boolean;
  readonly isReady?: (host: Host) => boolean;
  readonly run: (host: Host, random: Random, world: FaultWorld) => Promise<void>;
}

function hostFault(options: HostFault): FaultKind {
  const { name, excuses = true, restarts = false, typicalMs, missing = needsNothing } = options;
  const { isOfAll = false, isReady = () => true } = options;
  return {
    name,
    excuses,
    restarts,
    typicalMs,
    missing,
    plan({ stage }, random) {
      const host = random.pick(stage.hosts);
      return {
        takes: isOfAll ? ['host', host.name] : [host.name],
        detail: host.name,
        host: host.name,
        isReady: () => isReady(host),
        run: (world, chance) => options.run(host, chance, world),
      };
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
