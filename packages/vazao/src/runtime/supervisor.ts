/**
 * The supervisor: has what a host has once (`host.ts`) and the socket that it listens on, and keeps a number of workers
 * serving (`workers/`).
 *
 * Workers end by themselves when the supervisor is gone, so none outlives it (`worker.ts`).
 */
import type { Configuration } from './configuration.ts';
import { RuntimeError } from './errors.ts';
import { type Host, openHost, resolveStartOptions, type StartOptions } from './host.ts';
import { loadModule } from './load-application.ts';
import { heapOptions, rssMax } from './memory.ts';
import { assertNoDefaults } from './refusals.ts';
import type { RunningServer } from './server.ts';
import { ListeningSocket } from './workers/listening-socket.ts';
import { WorkerProcess } from './workers/worker-process.ts';
import { type WorkerPlan, Workers } from './workers/workers.ts';

export interface SupervisorOptions extends Omit<StartOptions, 'application'> {
  /** Path of the application's module, which this process and each worker load for themselves. */
  readonly file: string;
  /** Paths in errors are shown from here. */
  readonly cwd: string;
  /** Numbers from 0 to 1, for jitter. @defaultValue `Math.random` */
  readonly random?: (() => number) | undefined;
}

export interface RunningSupervisor extends RunningServer {
  /**
   * Replaces the workers, one at a time, by ones with the code and the configuration of now: nothing that is asked meanwhile
   * is lost. New migrations are applied first. Rejects with {@link RuntimeError} when that fails, or a new worker can't
   * start; those that served go on.
   * @param options - `migrates`: false if it is known that no migration has come. @defaultValue true
   */
  reload(configuration: Configuration, options?: { readonly migrates?: boolean | undefined }): Promise<void>;
}

const POOL_MIN = 2;

/** Starts everything; resolves when every worker answers. Throws {@link RuntimeError}, or the reason of the signal. */
export async function startSupervisor(options: SupervisorOptions): Promise<RunningSupervisor> {
  const { file, cwd, random, configuration } = options;
  await using acquired = new AsyncDisposableStack();
  const socket = acquired.use(await ListeningSocket.bind(configuration));
  const plan = makePlan(configuration);
  const isDevelopment = configuration.environment === 'development';
  // They load the platform and the code while the rest is opened. In development, where one more than there are seats is always
  // there, the code is that of when it is needed.
  const { execArgv, env } = plan;
  const preloads = isDevelopment ? undefined : file;
  const spares = Array.from(
    { length: configuration.workers },
    () => new WorkerProcess({ socketFd: socket.fd(), execArgv, env, preloads }),
  );
  acquired.defer(() => {
    for (const spare of spares) spare.kill(); // those that became workers are gone by then
  });
  const resolved = resolveStartOptions({ ...options, application: await loadModule(file, cwd) });
  const { onProgress, onCrash, signal } = resolved;
  const host = await openHost(resolved, acquired);
  assertSeenByAll(host);

  onProgress(isDevelopment ? 'starting the application' : `starting ${sayWorkers(configuration.workers)}`);
  const workers = new Workers({
    fanOut: host.fanOut,
    host,
    file,
    socket,
    plan,
    count: configuration.workers,
    random: random ?? Math.random,
    spares,
    isDevelopment,
    onCrash,
  });
  acquired.defer(() => workers.close());
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  aborted.catch(() => {}); // nobody may wait for it any more
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  try {
    await Promise.race([workers.start(), aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }

  const release = acquired.move();
  const close = (): Promise<void> => release.disposeAsync();
  const kill = (): void => {
    workers.kill();
    host.database.kill();
  };
  const reload: RunningSupervisor['reload'] = async (now, { migrates = true } = {}) => {
    assertReloadable(configuration, now);
    assertNoDefaults(resolved.application, now);
    if (migrates) await host.migrate();
    await workers.reload(makePlan(now));
  };
  return { url: workers.url, psql: host.database.psql, close, kill, reload, [Symbol.asyncDispose]: close };
}

/** In words. */
export function sayWorkers(workers: number): string {
  return workers === 1 ? 'one worker' : `${workers} workers`;
}

/** What one process writes must reach the feed of all; a feed that sees its own process alone can't be shared, not even by the two workers of a reload. */
function assertSeenByAll({ feed }: Host): void {
  if (feed.status().source !== 'app') return;
  throw new RuntimeError(
    'ERR_RUNTIME_UNSHARED',
    'This database tells of no changes, so only those that a process makes itself are seen, and several workers would not see each other’s. Set WORKERS=0, or mend what `vazao doctor` names.',
  );
}

/** What the supervisor itself has opened, or made others agree on, stays as it is. */
const KEPT: readonly (readonly [keyof Configuration, string])[] = [
  ['host', 'HOST'],
  ['port', 'PORT'],
  ['workers', 'WORKERS'],
  ['databaseUrl', 'DATABASE_URL'],
  ['feedSource', 'VAZAO_FEED'],
  ['feedNotify', 'VAZAO_FEED_NOTIFY'],
  ['redisUrl', 'REDIS_URL'],
  ['secret', 'VAZAO_SECRET'],
  ['dataFolder', 'VAZAO_DATA'],
];

function assertReloadable(before: Configuration, now: Configuration): void {
  const changed = KEPT.filter(([field]) => before[field] !== now[field]).map(([, name]) => name);
  if (changed.length === 0) return;
  throw new RuntimeError(
    'ERR_RUNTIME_RELOAD',
    `The reload was given up: ${changed.join(', ')} changed, which needs a stop and a start. Everything serves on as before.`,
  );
}

/** Cache and pool are those of the host; each worker has its part. */
function makePlan(configuration: Configuration): WorkerPlan {
  const { workers, cacheSizeMaxBytes, databasePoolMax, memory } = configuration;
  return {
    configuration: {
      ...configuration,
      cacheSizeMaxBytes: Math.floor(cacheSizeMaxBytes / workers),
      databasePoolMax: Math.max(POOL_MIN, Math.floor(databasePoolMax / workers)),
    },
    execArgv: memory && !hasOwnHeapOption() ? heapOptions(memory) : [],
    env: { ...process.env },
    rssMaxBytes: memory ? rssMax(memory) : 0,
  };
}

function hasOwnHeapOption(): boolean {
  return [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((option) => /--max[-_]old[-_]space/.test(option));
}
