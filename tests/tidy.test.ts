/** Our own rules of layout, each with a message that names the replacement. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '..');
const SOURCES = join(ROOT, 'packages/vazao/src');
const LINES_MAX = 400;

/** From the bottom: a floor imports only from those before it. Floors of one line don't know each other. */
const FLOORS: readonly (readonly string[])[] = [
  ['peer'],
  ['readset'],
  ['feed'],
  ['cache'],
  ['db'],
  ['standalone'],
  ['http', 'jobs'],
  ['adapters'],
  ['telemetry'],
  ['runtime'],
  ['torture'],
  ['lab'],
  ['cli'],
];
/** Speaks HTTP only, so that it measures any server. */
const ALONE = ['lab'];
const FORBIDDEN_FOLDERS: Readonly<Record<string, string>> = {
  utils: 'the concept that the functions belong to',
  helpers: 'the concept that the functions belong to',
  lib: 'the concept that the functions belong to',
  common: 'the lowest floor that needs it',
  types: 'the file whose functions take and return them',
};

interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

interface Import {
  readonly from: string;
  readonly typeOnly: boolean;
}

const files: readonly SourceFile[] = ['packages', 'apps', 'tests', 'bench'].flatMap(listSources).map((path) => {
  const text = readFileSync(path, 'utf8');
  return { path, text, imports: findImports(text) };
});

test('no code is made of text', () => {
  // The lab asks a server that it has started for its garbage collector, by a text of its own.
  const allowed = ['packages/vazao/src/lab/entry/heap-probe.ts'];
  const makers = /(?<![\w.$])(?:eval|Function)\(|(?<!\w)set(?:Timeout|Interval)\(\s*['"`]|['"](?:node:)?vm['"]/;
  const served = files.filter(({ path }) => /^(?:packages|apps)[\\/]/.test(shown(path)) && !isTest(path));
  const found = served.filter(({ text }) => makers.test(text)).map(({ path }) => shown(path));
  assert.deepEqual(found, allowed);
});

test('imports only point down the floors', () => {
  const wrong: string[] = [];
  for (const { path, imports } of files.filter(({ path }) => path.startsWith(SOURCES))) {
    const floor = floorOf(path);
    if (floor === undefined) continue; // src/index.ts, the face
    for (const { from } of imports.filter(({ from }) => from.startsWith('.'))) {
      const target = resolve(dirname(path), from);
      const below = floorOf(target);
      if (below === floor) continue;
      const complaint = complainAbout(floor, below, isTest(path));
      if (complaint) wrong.push(`${shown(path)} imports ${shown(target)}: ${complaint}`);
    }
  }
  assert.deepEqual(wrong, []);
});

function complainAbout(floor: string, below: string | undefined, fromTest: boolean): string | undefined {
  if (below === undefined) return 'import from the floor itself; src/index.ts is the face for applications';
  if (below === 'testing')
    return fromTest ? undefined : 'testing/ is for tests; move what production needs to its floor';
  if (fromTest && floor !== below) return undefined; // a test may stand on the whole house
  if (floor === 'testing') return undefined; // as its tests
  if (ALONE.includes(floor)) return `${floor}/ speaks HTTP only; pass in what it needs`;
  const height = (name: string): number => FLOORS.findIndex((names) => names.includes(name));
  if (height(below) < 0) return `${below}/ is no floor; add it to FLOORS in tests/tidy.test.ts`;
  return height(below) < height(floor)
    ? undefined
    : `${floor}/ stands below ${below}/; take what it needs as an option, or move the shared part down`;
}

test('applications use the library by its exports, and the library uses no application', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'packages/vazao/package.json'), 'utf8'));
  const allowed = new Set(Object.keys(manifest.exports).map((subpath) => subpath.replace(/^\./, 'vazao')));
  const wrong: string[] = [];
  for (const { path, imports } of files) {
    const isApplication = path.startsWith(join(ROOT, 'apps'));
    for (const { from } of imports) {
      const target = from.startsWith('.') ? resolve(dirname(path), from) : undefined;
      if (
        path.startsWith(join(ROOT, 'packages')) &&
        (target?.startsWith(join(ROOT, 'apps')) || from.startsWith('@vazao/'))
      ) {
        wrong.push(`${shown(path)} imports ${from}: a package knows no application; pass it in`);
      }
      if (!isApplication) continue;
      const own = path
        .split('/')
        .slice(0, ROOT.split('/').length + 2)
        .join('/');
      const isTestFloor = target?.startsWith(join(SOURCES, 'testing')) && isTest(path);
      if (target && !target.startsWith(`${own}/`) && !isTestFloor) {
        wrong.push(`${shown(path)} imports ${from}: import from 'vazao' or one of its subpaths`);
      }
      if (/^vazao(\/|$)/.test(from) && !allowed.has(from)) {
        wrong.push(`${shown(path)} imports ${from}: exported are ${[...allowed].join(', ')}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test('no import cycles', () => {
  const graph = new Map(
    files.map(({ path, imports }) => [
      path,
      imports
        .filter(({ from, typeOnly }) => from.startsWith('.') && !typeOnly)
        .map(({ from }) => resolve(dirname(path), from)),
    ]),
  );
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) {
      const cycle = [...way.slice(way.indexOf(path)), path].map(shown).join(' → ');
      cycles.push(`${cycle}: move what they share to a file that imports neither`);
      return;
    }
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...way, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  assert.deepEqual(cycles, []);
});

test(`no file over ${LINES_MAX} lines`, () => {
  const long = files
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > LINES_MAX)
    .map(({ path, lines }) => `${shown(path)} has ${lines} lines: which second concept moved in? Give it a file`);
  assert.deepEqual(long, []);
});

test('no output but by the CLI, and no test that hides the others', () => {
  const wrong = files.flatMap(({ path, text }) => {
    if (path === import.meta.filename) return [];
    const found: string[] = [];
    const mayPrint = path.startsWith(join(SOURCES, 'cli')) || path.startsWith(join(ROOT, 'bench'));
    if (!mayPrint && /\bconsole\.(log|info|debug)\(/.test(text)) {
      found.push(`${shown(path)} prints: log with the request's logger, or report through a callback`);
    }
    if (/\b(test|it|describe|suite)\.only\(|\bonly: true/.test(text)) {
      found.push(`${shown(path)} runs one test only: use --test-name-pattern on the command line`);
    }
    return found;
  });
  assert.deepEqual(wrong, []);
});

test('folders are named after concepts', () => {
  const folders = new Set(files.flatMap(({ path }) => relative(ROOT, dirname(path)).split('/')));
  const wrong = [...folders]
    .filter((name) => Object.hasOwn(FORBIDDEN_FOLDERS, name))
    .map((name) => `a folder is called ${name}: name ${FORBIDDEN_FOLDERS[name]}`);
  assert.deepEqual(wrong, []);
});

function listSources(folder: string): string[] {
  const from = join(ROOT, folder);
  if (!existsSync(from)) return [];
  return readdirSync(from, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name) && !/(^|\/)(node_modules|dist|\.vazao)\//.test(name))
    .map((name) => join(from, name));
}

/** `import … from`, `export … from`, `import('…')` of a literal. An import of types alone makes no cycle when it runs. */
function findImports(text: string): Import[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const statements = /^\s*(import|export)\s+(type\s+)?([^'";]*?\sfrom\s+)?'([^']+)'/gm;
  const dynamic = /\bimport\('([^']+)'\)/g;
  return [
    ...[...code.matchAll(statements)].map((match) => ({ from: match[4] ?? '', typeOnly: match[2] !== undefined })),
    // Imported when it is asked for: no cycle at load.
    ...[...code.matchAll(dynamic)].map((match) => ({ from: match[1] ?? '', typeOnly: true })),
  ];
}

function floorOf(path: string): string | undefined {
  const [first, second] = relative(SOURCES, path).split('/');
  return second === undefined ? undefined : first;
}

function isTest(path: string): boolean {
  return /\.(test|bench|fuzz|test-d)\.tsx?$|\/src\/testing\//.test(path) && floorOf(path) !== 'testing';
}

function shown(path: string): string {
  return relative(ROOT, path);
}
