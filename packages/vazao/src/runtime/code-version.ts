/**
 * Which code answers come from: those of one release are none of another that runs beside it.
 *
 * `VAZAO_RELEASE` says it, with the application's name. Else it is a hash of the application's folder, from its package.json downwards (without
 * `node_modules` and folders that begin with a dot), of the packages of the same workspace that are linked there, of the
 * lock file above it, of our version and of Node's.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Application } from './application.ts';
import { RuntimeError } from './errors.ts';
import { readVersion } from './version.ts';

const FILES_MAX = 20_000;
const BYTES_MAX: number = 256 * 1024 * 1024;
const LOCK_FILES = ['package-lock.json', 'npm-shrinkwrap.json', 'pnpm-lock.yaml', 'yarn.lock', 'bun.lock'];

/** Throws {@link RuntimeError} when the folder of the application is too large to be read. */
export function findCodeVersion(
  release: string | undefined,
  { name, migrations: inside }: Pick<Application, 'name' | 'migrations'>,
): string {
  // Several applications may be of one package, or one repository, and use one database: their URLs mean different things.
  const digest = createHash('sha256').update(`${readVersion()} ${process.version} ${name}\0`);
  if (release !== undefined) return digest.update(`release ${release}`).digest('base64url').slice(0, 16);
  const folder = findUp(fileURLToPath(inside), ['package.json']) ?? dirname(fileURLToPath(inside));
  const locked = findUp(folder, LOCK_FILES);
  const linked = locked === undefined ? [] : listLinked(join(locked, 'node_modules'), folder);
  let bytes = 0;
  let files = 0;
  for (const file of [folder, ...linked].flatMap((each) => [...listFiles(each)])) {
    const content = readFileSync(file);
    bytes += content.length;
    if (++files > FILES_MAX || bytes > BYTES_MAX) {
      throw new RuntimeError(
        'ERR_RUNTIME_CONFIGURATION',
        `VAZAO_RELEASE is not set, and the folder of the application is too large to tell releases apart by (more than ${FILES_MAX} files or ${BYTES_MAX / 1024 ** 2} MB). Set VAZAO_RELEASE to something that differs for each release, such as the commit.`,
      );
    }
    digest.update(`${relative(folder, file)}\0${content.length}\0`).update(content);
  }
  for (const name of LOCK_FILES) {
    if (locked && existsSync(join(locked, name))) digest.update(readFileSync(join(locked, name)));
  }
  return digest.digest('base64url').slice(0, 16);
}

/** In an order that does not depend on the file system. */
function* listFiles(folder: string): Generator<string> {
  const entries = readdirSync(folder, { withFileTypes: true });
  for (const entry of entries.sort((left, right) => (left.name < right.name ? -1 : 1))) {
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
    if (entry.isDirectory()) yield* listFiles(join(folder, entry.name));
    else if (entry.isFile()) yield join(folder, entry.name);
  }
}

/**
 * Packages of the workspace: those that a package manager has linked, and not copied. A symbolic link into the folder itself,
 * or into a store of packages, is none.
 */
function listLinked(modules: string, folder: string): string[] {
  if (!existsSync(modules)) return [];
  const found: string[] = [];
  for (const entry of readdirSync(modules, { withFileTypes: true })) {
    const path = join(modules, entry.name);
    if (entry.isDirectory() && entry.name.startsWith('@')) found.push(...listLinked(path, folder));
    if (!entry.isSymbolicLink() || !existsSync(path)) continue;
    const target = realpathSync(path);
    if (!target.split(sep).includes('node_modules') && relative(folder, target) !== '') found.push(target);
  }
  return found.sort();
}

/** The nearest folder, upwards, that has one of the files. */
export function findUp(from: string, names: readonly string[]): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    if (names.some((name) => existsSync(join(folder, name)))) return folder;
    if (dirname(folder) === folder) return undefined;
  }
}
