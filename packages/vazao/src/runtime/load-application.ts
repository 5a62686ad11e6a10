/** Finds the module of an application by the word that a person typed, and checks what it exports. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Application } from './application.ts';
import { describeError, errorCode, RuntimeError } from './errors.ts';
import { didYouMean } from './nearest.ts';

const ENTRIES = ['src/app.ts', 'src/app.js', 'app.ts', 'app.js', 'src/index.ts', 'index.ts', 'index.js'];

/** The nearest folder above that holds a workspace, else the nearest with a `package.json`, else the folder itself. */
export function findRoot(folder: string): string {
  let nearest: string | undefined;
  for (let at = resolve(folder); ; at = dirname(at)) {
    const manifest = readManifest(at);
    if (manifest?.workspaces !== undefined) return at;
    if (manifest) nearest ??= at;
    if (dirname(at) === at) return nearest ?? resolve(folder);
  }
}

/** `word` names an application of the workspace, or is the path of a module or of a folder. Throws {@link RuntimeError}. */
export function loadApplication(word: string, options: { root: string; cwd: string }): Promise<Application> {
  return loadModule(findModule(word, options), options.cwd);
}

/** Loads the module at a path that {@link findModule} gave. Throws {@link RuntimeError}. */
export async function loadModule(file: string, cwd: string): Promise<Application> {
  const shown = relative(cwd, file) || file;
  let module: { default?: unknown };
  try {
    module = await import(pathToFileURL(file).href);
  } catch (cause) {
    throw new RuntimeError(
      'ERR_RUNTIME_APPLICATION',
      `${shown} failed while it was loaded: ${describeImportError(cause, cwd)}.`,
      { cause },
    );
  }
  assertApplication(module.default, shown);
  return module.default;
}

/** The path of the module that `word` means; see {@link loadApplication}. Throws {@link RuntimeError}. */
export function findModule(word: string, { root, cwd }: { root: string; cwd: string }): string {
  const applications = listApplications(root);
  const named = applications.get(word);
  const path = named ?? resolve(cwd, word);
  if (!existsSync(path)) {
    const known = [...applications.keys()];
    const nearest = didYouMean(word, known);
    const others = known.length > 0 ? ` There are: ${known.join(', ')}.` : ' Give the path of its module.';
    throw new RuntimeError(
      'ERR_RUNTIME_APPLICATION',
      /[/\\.]/.test(word)
        ? `There is no ${word} in ${cwd}. Give the path of the module that exports the application.`
        : `There is no application ${word}${nearest}${nearest === '.' ? others : ''}`,
    );
  }
  if (statSync(path).isFile()) return path;
  const declared = readManifest(path)?.exports;
  const entries = typeof declared === 'string' ? [declared, ...ENTRIES] : ENTRIES;
  const entry = entries.map((candidate) => join(path, candidate)).find((candidate) => existsSync(candidate));
  if (entry !== undefined) return entry;
  throw new RuntimeError(
    'ERR_RUNTIME_APPLICATION',
    `${relative(cwd, path) || path} holds no application: no \`exports\` in its package.json, and no ${ENTRIES[0]}.`,
  );
}

/** Folder of each application of the workspace, by its folder's name and by its package's. */
export function listApplications(root: string): Map<string, string> {
  const folder = join(root, 'apps');
  const found = new Map<string, string>();
  if (!existsSync(folder)) return found;
  for (const name of readdirSync(folder)) {
    if (readManifest(join(folder, name))) found.set(name, join(folder, name));
  }
  return found;
}

function readManifest(folder: string): { exports?: unknown; workspaces?: unknown } | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  } catch {
    return undefined; // absent, or not ours to complain about
  }
}

function assertApplication(value: unknown, shown: string): asserts value is Application {
  const wrong = (what: string): RuntimeError =>
    new RuntimeError(
      'ERR_RUNTIME_APPLICATION',
      `${shown} ${what}. An application is \`export default defineApplication({ name, migrations, register })\`.`,
    );
  if (typeof value !== 'object' || value === null) throw wrong('has no application as its default export');
  const { name, migrations, register } = value as Partial<Application>;
  // The name becomes the name of a folder and of a database.
  if (typeof name !== 'string' || !/^[a-z][a-z0-9_-]{0,50}$/.test(name)) {
    throw wrong(
      `exports an application whose \`name\` is ${JSON.stringify(name)}; allowed are a to z, 0 to 9, _ and -`,
    );
  }
  if (!(migrations instanceof URL) || migrations.protocol !== 'file:') {
    throw wrong(
      "exports an application whose `migrations` is not a file URL, as `new URL('../migrations/', import.meta.url)` makes",
    );
  }
  if (typeof register !== 'function') throw wrong('exports an application without the function `register`');
}

/** The message, and the first place of the application's own code in the stack. */
function describeImportError(error: unknown, cwd: string): string {
  const message = describeError(error).replace(/\.$/, '');
  const hint = errorCode(error) === 'ERR_MODULE_NOT_FOUND' ? ' (is it installed? `npm install`)' : '';
  const place = /(?:file:\/\/)(\/[^\s)]+?:\d+)(?::\d+)?/.exec(error instanceof Error ? (error.stack ?? '') : '')?.[1];
  if (place === undefined || message.includes(place)) return message + hint;
  const shown = isAbsolute(place) && !relative(cwd, place).startsWith('..') ? relative(cwd, place) : place;
  return `${message}${hint} (${shown})`;
}
