/** `vazao dev` and `vazao start`: serves one application until a signal ends it. */
import type { Application } from '../runtime/application.ts';
import { type Configuration, type Environment, readConfiguration } from '../runtime/configuration.ts';
import { putInto, readEnvironment } from '../runtime/environment.ts';
import { errorCode } from '../runtime/errors.ts';
import { findModule, findRoot, loadModule } from '../runtime/load-application.ts';
import { type RunningServer, startServer } from '../runtime/server.ts';
import { type RunningSupervisor, type SupervisorOptions, sayWorkers, startSupervisor } from '../runtime/supervisor.ts';
import { reportFailure } from './failure.ts';
import { followCode } from './follow-code.ts';
import { createProgressLine } from './progress.ts';

/** All that stopping may take, after which what is left is cut off. Under 2 s in development, by promise. */
const STOP_DEVELOPMENT_MS = 1_800;
const STOP_PRODUCTION_MS = 30_000;
/** Where a worker was wanted, and can't be followed by another. */
const ALONE =
  'this database tells of no changes but those that a process makes itself, so one process serves alone, which nobody restarts, replaces or reloads; `vazao doctor` names what mends it';

/** Resolves with the exit code when everything has been released. */
export async function serve(word: string, environment: Environment): Promise<number> {
  const startedAt = performance.now() - process.uptime() * 1_000;
  const cwd = process.cwd();
  const root = findRoot(cwd);
  const environmentGiven = { ...process.env };
  let given = readEnvironment(root, environmentGiven);
  const configuration = readConfiguration(environment, given.values, root);
  putInto(process.env, given);
  process.env.NODE_ENV ||= environment; // libraries look there
  const file = findModule(word, { root, cwd });

  const stopping = new AbortController();
  let server: RunningServer | RunningSupervisor | undefined;
  const readAgain = (): Configuration => {
    const now = readEnvironment(root, environmentGiven);
    const configurationNow = readConfiguration(environment, now.values, root);
    putInto(process.env, now, given);
    given = now;
    return configurationNow;
  };
  const end = watchForTheEnd(stopping, environment, {
    kill: () => server?.kill(),
    reload: () => reload(server, readAgain),
  });
  const progress = createProgressLine(process.stderr);
  try {
    const { signal } = stopping;
    server = await start({ file, cwd, configuration, onProgress: progress.update, onCrash: end.fail, signal });
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
    return end.exitCode();
  } finally {
    progress.end();
  }
  using _watch =
    environment === 'development' ? followCode(server, { file, root, configuration, readAgain }) : undefined;
  greet(await loadModule(file, cwd), server, configuration, (performance.now() - startedAt) / 1_000);

  await end.requested;
  const cutOff = setTimeout(
    () => {
      server.kill();
      process.exit(end.exitCode());
    },
    environment === 'production' ? STOP_PRODUCTION_MS : STOP_DEVELOPMENT_MS,
  );
  await server.close();
  clearTimeout(cutOff);
  // Whatever the application has left running ends here, too.
  process.exit(end.exitCode());
}

/** A supervisor with as many workers as WORKERS says, or one process alone: without any, and where one could not be replaced. */
async function start(options: SupervisorOptions): Promise<RunningServer | RunningSupervisor> {
  const { environment, workers } = options.configuration;
  const startAlone = async (): Promise<RunningServer> =>
    startServer({ ...options, application: await loadModule(options.file, options.cwd) });
  if (workers === 0) return startAlone();
  try {
    return await startSupervisor(options);
  } catch (error) {
    if (workers > 1 || errorCode(error) !== 'ERR_RUNTIME_UNSHARED') throw error;
    if (environment === 'production') say(ALONE);
    return startAlone();
  }
}

/**
 * SIGHUP in production reloads. Of the others the first signal asks for an orderly end, the second ends at once. An error
 * that nobody caught asks for the end, too: after it the state of the process is not known.
 */
function watchForTheEnd(
  stopping: AbortController,
  environment: Environment,
  { kill, reload }: { readonly kill: () => void; readonly reload: () => void },
): { requested: Promise<void>; exitCode(): number; fail(error: unknown): void } {
  let exitCode = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const request = (): void => {
    stopping.abort();
    resolve();
  };
  const fail = (error: unknown): void => {
    if (!stopping.signal.aborted) reportFailure(error);
    exitCode = 1;
    request();
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      // In production the terminal is not what it lives in.
      if (name === 'SIGHUP' && environment === 'production') {
        if (!stopping.signal.aborted) reload();
        return;
      }
      if (stopping.signal.aborted) {
        kill();
        process.exit(130);
      }
      if (process.stderr.isTTY) process.stderr.write('\rStopping. Once more to stop at once.\n');
      request();
    });
  }
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  return { requested: promise, exitCode: () => exitCode, fail };
}

function say(sentence: string): void {
  process.stderr.write(`vazao: ${sentence}\n`);
}

/** SIGHUP: the code and the configuration of now, without a gap. What fails is told, and changes nothing. */
async function reload(
  server: RunningServer | RunningSupervisor | undefined,
  readAgain: () => Configuration,
): Promise<void> {
  if (!server) return say('SIGHUP came during the start and is left alone; it starts with the code of now.');
  if (!('reload' in server)) {
    return say(
      'SIGHUP: one process alone can’t be reloaded without a gap. Stop and start it, or set WORKERS to 1 or more.',
    );
  }
  const startedAt = performance.now();
  say('reloading');
  try {
    await server.reload(readAgain());
    say(`reloaded in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
  } catch (error) {
    reportFailure(error);
  }
}

function greet(
  application: Application,
  server: RunningServer | RunningSupervisor,
  { environment, workers }: Configuration,
  seconds: number,
): void {
  if (environment === 'production') {
    const processes = 'reload' in server ? sayWorkers(workers) : 'one process';
    process.stdout.write(`${application.name} serves on ${server.url} with ${processes}\n`);
    return;
  }
  const paths = application.firstPaths ?? ['/'];
  const first = paths[0] ?? '/';
  const lines = [
    `${application.name} is ready at ${server.url} (${seconds.toFixed(1)} s)`,
    '',
    ...paths.map((path) => `  try it    curl -i '${server.url}${path}'`),
    `  explain   npx vazao explain '${first}'`,
    `  health    ${server.url}/health`,
    `  database  ${server.psql}`,
    '  stop      Ctrl-C',
    '',
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
