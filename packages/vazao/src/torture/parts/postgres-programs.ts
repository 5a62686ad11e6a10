/** PostgreSQL's programs as Debian installs them: real ones with `pg_basebackup` and `pg_rewind`, which the embedded server lacks. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Account, spawnAs } from '../../runtime/embedded-account.ts';
import { PartError } from './errors.ts';

const DEBIAN_FOLDER = '/usr/lib/postgresql';
const OUTPUT_CHARACTERS_MAX = 100_000;

/** Folder of the programs: `VAZAO_TEST_PG_BIN`, else that of Debian's highest version. Throws {@link PartError}. */
export async function findPostgresPrograms(): Promise<string> {
  const named = process.env.VAZAO_TEST_PG_BIN?.trim();
  if (named) return named;
  const versions = (await readdir(DEBIAN_FOLDER).catch(() => [])).filter((name) => /^\d+$/.test(name));
  const highest = Math.max(...versions.map(Number));
  if (versions.length > 0) return join(DEBIAN_FOLDER, String(highest), 'bin');
  throw new PartError(
    'ERR_PART_MISSING',
    `There are no PostgreSQL server programs in ${DEBIAN_FOLDER}. Install Debian's package \`postgresql\`, or name their folder in VAZAO_TEST_PG_BIN.`,
  );
}

/** Runs a program to its end. Throws {@link PartError} with what it said. */
export async function runAs(
  account: Account | undefined,
  command: string,
  words: readonly string[],
  folder: string,
  timeoutMs: number,
): Promise<void> {
  const child = spawnAs(account, command, words, { cwd: folder, stdio: 'pipe' });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      said = (said + chunk).slice(-OUTPUT_CHARACTERS_MAX);
    });
  }
  const timeout = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  const outcome = await new Promise<number | string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  clearTimeout(timeout);
  if (outcome === 0) return;
  throw new PartError('ERR_PART_PROGRAM', `${command} failed (${outcome}): ${said.trim() || 'it said nothing'}`);
}
