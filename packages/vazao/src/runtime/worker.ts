/**
 * A worker: serves the application on the supervisor's feed.
 *
 *   up ──(start)──► starting ──► ready ──► draining ──► gone
 *
 * It drains, and ends, when it is told to, at SIGTERM, when the supervisor is gone, and after an error that nobody caught:
 * after that the state of the process is not known. SIGINT is the supervisor's: a terminal sends it to all.
 */
import { createIpcChannel, createRelayedFeed } from '../feed/index.ts';
import type { Application } from './application.ts';
import { describeError, errorCode } from './errors.ts';
import { toRuntimeError } from './host.ts';
import { loadModule } from './load-application.ts';
import { RELEASE_TIMEOUT_MS } from './release.ts';
import { drainMs, type Serving, serveApplication } from './serving.ts';
import type { Assignment, FromWorker, ToWorker } from './worker-messages.ts';

/** What may remain to be done after the last request: the pool, and the rest of what the application has opened. */
const AFTER_DRAIN_MS: number = 4 * RELEASE_TIMEOUT_MS;

/** Runs in a process that a supervisor has forked; resolves with the exit code. */
export async function runWorker(): Promise<number> {
  const ending = new AbortController();
  const { promise: assigned, resolve: assign } = Promise.withResolvers<Assignment>();
  let exitCode = 0;
  let alive = 1;
  let isReady = false;
  const end = (): void => {
    if (!isReady) process.exit(exitCode); // nothing is in flight, and what was opened goes with the process
    ending.abort();
  };
  const fail = (error: unknown): void => {
    if (!ending.signal.aborted) complain(error);
    exitCode = 1;
    end();
  };
  process.on('message', (message: ToWorker) => {
    if (message.kind === 'worker:start') assign(message.assignment);
    else if (message.kind === 'worker:alive') alive = message.alive;
    else if (message.kind === 'worker:drain') end();
  });
  process.on('disconnect', end);
  process.on('SIGTERM', end);
  for (const name of ['SIGINT', 'SIGHUP'] as const) process.on(name, () => {});
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);

  await using acquired = new AsyncDisposableStack();
  try {
    await tell({ kind: 'worker:up' });
    const assignment = await assigned;
    const { url, port } = await serve(assignment, () => alive, ending.signal, acquired);
    isReady = true;
    await tell({ kind: 'worker:ready', url, port });
    await untilAborted(ending.signal);
    // What the application has opened may hang, too.
    setTimeout(() => process.exit(exitCode), drainMs(assignment.configuration) + AFTER_DRAIN_MS).unref();
  } catch (error) {
    const told = toRuntimeError(error);
    await tell({ kind: 'worker:failed', code: errorCode(told), message: describeError(told) });
    exitCode = 1;
  }
  return exitCode;
}

async function serve(
  { file, configuration, secret, databaseUrl }: Assignment,
  findAlive: () => number,
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
  const findWorkers = (): { pid: number; alive: number } => ({ pid: process.pid, alive: findAlive() });
  return serveApplication(
    { application, configuration, secret, databaseUrl, feed, sharesPort: true, findWorkers, signal },
    acquired,
  );
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
