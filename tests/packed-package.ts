/** The package as it is published, in an empty folder: built, packed, installed from the tarball. */
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export const ROOT: string = resolve(import.meta.dirname, '..');
const NPM = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];

export interface PackedPackage extends Disposable {
  readonly folder: string;
  /** Runs a program in the folder and returns what it printed. Throws when it fails. */
  run(command: string, words: readonly string[], env?: Readonly<Record<string, string>>): string;
  /** Installs more packages beside it. */
  install(...packages: readonly string[]): void;
  writeFile(name: string, text: string): void;
}

export function installPackedPackage(): PackedPackage {
  execFileSync(process.execPath, ['packages/vazao/build.ts'], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
  const folder = mkdtempSync(join(tmpdir(), 'vazao-package-'));
  const run: PackedPackage['run'] = (command, words, env = {}) =>
    execFileSync(command, [...words], {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
  const packed: PackedPackage = {
    folder,
    run,
    install: (...packages) => void run('npm', ['install', ...packages, ...NPM]),
    writeFile: (name, text) => writeFileSync(join(folder, name), text),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
  try {
    packed.writeFile('package.json', '{ "private": true, "type": "module" }');
    const tarball = run('npm', ['pack', join(ROOT, 'packages/vazao/dist'), '--silent']).trim();
    packed.install(`./${tarball}`);
    rmSync(join(folder, tarball));
    return packed;
  } catch (error) {
    packed[Symbol.dispose]();
    throw error;
  }
}

/** The packages in `node_modules`, with their scope. */
export function listInstalled(folder: string): string[] {
  const lock = JSON.parse(readFileSync(join(folder, 'node_modules/.package-lock.json'), 'utf8')) as {
    packages: Record<string, { optional?: boolean }>;
  };
  return Object.keys(lock.packages).map((path) => path.replace(/^.*node_modules\//, ''));
}

/** As `du --apparent-size` counts. */
export function sizeBytes(path: string): number {
  const found = lstatSync(path);
  if (!found.isDirectory()) return found.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeBytes(join(path, name)), found.size);
}
