/** One process that is host and worker at once: what the host has, and on it what serves. */
import type { FastifyInstance } from 'fastify';
import { Drain } from './drain.ts';
import { openHost, resolveStartOptions, type StartOptions } from './host.ts';
import { assertPortFree } from './listen.ts';
import { serveApplication } from './serving.ts';

export interface RunningServer extends AsyncDisposable {
  readonly url: string;
  /** A command line that opens the database. */
  readonly psql: string;
  /** Finishes what is in flight (bounded), then releases everything. */
  close(): Promise<void>;
  /** Ends what would outlive this process, at once and synchronously. */
  kill(): void;
}

/** Starts everything; resolves when the server answers. Throws {@link RuntimeError}, or the reason of the signal. */
export async function startServer(options: StartOptions): Promise<RunningServer & { readonly app: FastifyInstance }> {
  const resolved = resolveStartOptions(options);
  const { application, configuration, onProgress, signal } = resolved;
  await using acquired = new AsyncDisposableStack();
  await assertPortFree(configuration);
  const { secret, database, feed, findRelay } = await openHost(resolved, acquired);
  onProgress('starting the application');
  const { url, app } = await serveApplication(
    {
      application,
      configuration: { ...configuration, workers: 0 }, // whatever was wanted, there is no supervisor to ask
      secret,
      databaseUrl: database.url,
      feed,
      drain: new Drain(configuration),
      findWorkers: () => ({ pid: process.pid, alive: 1, wanted: 1, relay: findRelay() }),
      findFigures: async (figures) => [{ seat: 1, ageMs: 0, figures }],
      signal,
    },
    acquired,
  );
  const release = acquired.move();
  const close = (): Promise<void> => release.disposeAsync();
  return { url, psql: database.psql, app, close, kill: () => database.kill(), [Symbol.asyncDispose]: close };
}
