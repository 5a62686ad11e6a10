/**
 * Makes `dist/`, the package as it is published: JavaScript and declarations from `tsc`, and a manifest that points at
 * them. `dist/src/` mirrors `src/`, so that a path relative to a source file means the same in both.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const PACKAGE = import.meta.dirname;
const ROOT = join(PACKAGE, '../..');
const DIST = join(PACKAGE, 'dist');

rmSync(DIST, { recursive: true, force: true });
compile();
writeManifest();
cpSync(join(ROOT, 'LICENSE'), join(DIST, 'LICENSE'));
cpSync(join(ROOT, 'README.md'), join(DIST, 'README.md'));
chmodSync(join(DIST, 'src/cli/main.js'), 0o755);

function compile(): void {
  const configuration = join(DIST, '..', 'tsconfig.build.json');
  writeFileSync(
    configuration,
    JSON.stringify({
      extends: '../../tsconfig.base.json',
      compilerOptions: { rootDir: 'src', outDir: 'dist/src', sourceMap: false, declaration: true },
      include: ['src'],
      exclude: [
        'src/**/*.test.ts',
        'src/**/*.test-d.ts',
        'src/**/*.bench.ts',
        'src/**/*.fuzz.ts',
        'src/feed/recorder.ts',
        'src/readset/check-read-sets.ts',
        'src/readset/example-catalog.ts',
        'src/testing',
      ],
    }),
  );
  try {
    const compiler = createRequire(import.meta.url).resolve('typescript/package.json');
    execFileSync(process.execPath, [join(dirname(compiler), 'bin/tsc'), '-p', configuration], { stdio: 'inherit' });
  } finally {
    rmSync(configuration);
  }
}

interface Manifest {
  bin: Record<string, string>;
  exports: Record<string, string>;
  scripts?: unknown;
  devDependencies?: unknown;
}

function writeManifest(): void {
  const manifest = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8')) as Manifest;
  const { scripts: _, devDependencies: __, ...published } = manifest;
  const compiled = (path: string): string => path.replace(/\.ts$/, '.js');
  const content = {
    ...published,
    bin: mapValues(manifest.bin, compiled),
    exports: mapValues(manifest.exports, (path) => ({
      types: path.replace(/\.ts$/, '.d.ts'),
      default: compiled(path),
    })),
    files: ['src'],
  };
  writeFileSync(join(DIST, 'package.json'), `${JSON.stringify(content, null, 2)}\n`);
}

function mapValues<T>(record: Record<string, string>, change: (value: string) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
