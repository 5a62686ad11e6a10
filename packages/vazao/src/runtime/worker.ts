/**
 * A worker: serves the application on the supervisor's feed, and on the socket that it has inherited.
 *
 *   up ──(start)──► starting ──► ready ──► draining ──► gone
 *
 * It drains, and ends, when it is told to, at SIGTERM, when the supervisor is gone, and after an error that nobody caught:
 * after that the state of the process is not known. SIGINT and SIGHUP are the supervisor's: a terminal sends them to all.
 *
 * Without a supervisor there are no changes, so nothing is answered from memory any more, and another may want the port: it
 * stops listening at once, and takes less time for what is in flight.
 */
import inspector from 'node:inspector';
import { flushCompileCache } from 'node:module';
import { createIpcChannel, createRelayedFeed } from '../feed/index.ts';
import { loadPeer } from '../peer/index.ts';
import { loadParser } from '../readset/parse.ts';
import type { ProcessFigures } from '../telemetry/index.ts';
import type { Application } from './application.ts';
import { AskedFigures } from './asked-figures.ts';
import { isDatabaseAway } from './database-errors.ts';
import { Drain } from './drain.ts';
import { describeError, errorCode } from './errors.ts';
import type { HostFigures } from './health.ts';
import { toRuntimeError } from './host.ts';
import { loadModule } from './load-application.ts';
import { RELEASE_TIMEOUT_MS } from './release.ts';
import { type Serving, serveApplication } from './serving.ts';
import { type Assignment, BEAT_MS, type FromWorker, LISTENING_FDS, type ToWorker } from './worker-messages.ts';

/** What may remain to be done after the last request: the pool, and the rest of what the application has opened. */
const AFTER_DRAIN_MS: number = 4 * RELEASE_TIMEOUT_MS;
/** What a worker without a supervisor may take in all. */
const ORPHAN_MS = 1_000;

/**
 * Runs in a process that a supervisor has forked; resolves with the exit code.
 * @param preloads - path of a module to load while there is no assignment yet
 */
export async function runWorker(preloads: string | undefined): Promise<number> {
  const ending = new AbortController();
  const { promise: assigned, resolve: assign } = Promise.withResolvers<Assignment>();
  let exitCode = 0;
  let host: HostFigures = { alive: 1, wanted: 1 };
  const figures = new AskedFigures(() => void tell({ kind: 'worker:ask-figures' }));
  let drain: Drain | undefined;
  let isReady = false;
  const end = (lingerMs?: number): void => {
    if (!isReady) process.exit(exitCode); // nothing is in flight, and what was opened goes with the process
    if (drain && lingerMs !== undefined) drain.lingerMs = lingerMs;
    ending.abort();
  };
  const fail = (error: unknown): void => {
    if (!ending.signal.aborted) complain(error);
    exitCode = 1;
    end();
  };
  process.on('message', (message: ToWorker) => {
    if (message.kind === 'worker:start') assign(message.assignment);
    else if (message.kind === 'worker:host') host = message.host;
    else if (message.kind === 'worker:figures') figures.receive(message.workers);
    else if (message.kind === 'worker:drain') end(message.lingerMs);
  });
  process.on('disconnect', () => {
    setTimeout(() => process.exit(1), ORPHAN_MS);
    end(0);
  });
  process.on('SIGTERM', () => end());
  for (const name of ['SIGINT', 'SIGHUP'] as const) process.on(name, () => {});
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);

  await using acquired = new AsyncDisposableStack();
  try {
    await tell({ kind: 'worker:up' });
    void preload(preloads);
    const assignment = await assigned;
    drain = new Drain(assignment.configuration);
    const { url, collect } = await serve(assignment, () => host, figures, drain, ending.signal, acquired);
    isReady = true;
    await tell({ kind: 'worker:ready', url });
    flushCompileCache(); // the next one starts sooner, however this one ends
    const beating = beat(drain, collect);
    await untilAborted(ending.signal);
    clearInterval(beating);
    // What the application has opened may hang, too.
    setTimeout(() => process.exit(exitCode), drain.lingerMs + drain.drainMs + AFTER_DRAIN_MS).unref();
  } catch (error) {
    const told = toRuntimeError(error);
    const [code, message] = [errorCode(told), describeError(told)];
    await tell({ kind: 'worker:failed', code, message, isDatabaseAway: isDatabaseAway(error) });
    exitCode = 1;
  }
  return exitCode;
}

/** What every application needs, and is else loaded when it is first used: whoever waits for an assignment has time for it. */
async function preload(file: string | undefined): Promise<void> {
  // What fails fails again where it is used, and is told there.
  await Promise.allSettled([loadParser(), loadPeer('fastify', 'Serving an application')]);
  if (file !== undefined) await loadModule(file, process.cwd()).catch(() => {});
}

async function serve(
  { file, configuration, secret, databaseUrl }: Assignment,
  findHost: () => HostFigures,
  figures: AskedFigures,
  drain: Drain,
  signal: AbortSignal,
  acquired: AsyncDisposableStack,
): Promise<Serving> {
  process.env.NODE_ENV ||= configuration.environment; // libraries look there
  const application: Application = await loadModule(file, process.cwd());
  signal.throwIfAborted();
  const feed = createRelayedFeed({ channel: createIpcChannel(process) });
  acquired.use(feed);
  await feed.start();
  signal.throwIfAborted();
  return serveApplication(
    {
      application,
      configuration,
      secret,
      databaseUrl,
      feed,
      drain,
      listeningFds: LISTENING_FDS,
      findWorkers: () => ({ pid: process.pid, ...findHost() }),
      findFigures: (own) => figures.find(own),
      signal,
    },
    acquired,
  );
}

function beat(drain: Drain, collect: () => ProcessFigures): NodeJS.Timeout {
  const tellFigures = (): void => {
    const isDebugged = inspector.url() !== undefined;
    const figures = collect();
    void tell({ kind: 'worker:beat', requests: drain.requests, rssBytes: figures.rssBytes, isDebugged, figures });
  };
  tellFigures();
  return setInterval(tellFigures, BEAT_MS).unref();
}

/** Resolves when it is on its way. */
async function tell(message: FromWorker): Promise<void> {
  if (!process.connected) return;
  await new Promise((resolve) => process.send?.(message, undefined, undefined, resolve));
}

function complain(error: unknown): void {
  process.stderr.write(`vazao: worker ${process.pid} ends: ${describeError(error)}\n`);
  if (error instanceof Error && ['1', 'true'].includes(process.env.VAZAO_DEBUG ?? '')) {
    process.stderr.write(`${error.stack}\n`);
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
