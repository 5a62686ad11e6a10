/** The database of a command that only looks: that of DATABASE_URL, else an embedded one. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Configuration } from '../runtime/configuration.ts';
import { startEmbeddedPostgres } from '../runtime/embedded-postgres.ts';
import { RuntimeError } from '../runtime/errors.ts';
import { didYouMean } from '../runtime/nearest.ts';

export interface FoundDatabase extends AsyncDisposable {
  readonly url: string;
  /** For people. */
  readonly name: string;
}

/**
 * The server of DATABASE_URL; else the embedded one: as it runs, or started until it is disposed. Throws {@link RuntimeError}.
 * @param command - as it is typed, for the sentence that asks which application
 */
export async function findDatabase(
  { databaseUrl, dataFolder }: Configuration,
  application: string | undefined,
  command: string,
): Promise<FoundDatabase> {
  if (databaseUrl !== undefined) {
    const { hostname, port, pathname } = new URL(databaseUrl);
    const name = `${decodeURIComponent(pathname.slice(1))} at ${hostname}:${port || 5432}`;
    return { url: databaseUrl, name, async [Symbol.asyncDispose]() {} };
  }
  const name = chooseApplication(dataFolder, application, command);
  const server = await startEmbeddedPostgres({ folder: join(dataFolder, name) });
  return {
    url: server.url(name),
    name: `${name} (embedded, ${server.owned ? 'started for this' : 'running'})`,
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

function chooseApplication(dataFolder: string, wanted: string | undefined, command: string): string {
  const known = existsSync(dataFolder)
    ? readdirSync(dataFolder).filter((name) => existsSync(join(dataFolder, name, 'data')))
    : [];
  const [only] = known;
  if (wanted === undefined && known.length === 1 && only !== undefined) return only;
  if (wanted !== undefined && known.includes(wanted)) return wanted;
  throw new RuntimeError('ERR_RUNTIME_DATABASE', sentenceFor(dataFolder, known, wanted, command));
}

function sentenceFor(
  dataFolder: string,
  known: readonly string[],
  wanted: string | undefined,
  command: string,
): string {
  if (wanted !== undefined && known.length > 0) {
    return `There is no database of ${wanted} in ${dataFolder}${didYouMean(wanted, known)}`;
  }
  return known.length > 1
    ? `Which application? \`${command} <app>\`, with one of ${known.join(', ')}.`
    : `There is no database in ${dataFolder} yet. \`vazao dev <app>\` creates one, or set DATABASE_URL to one of your own.`;
}
