/** The package as it is published: built, packed, installed into an empty folder, used from there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '..');
const NPM = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];

test('the packed package installs, and its library and command line work', { timeout: 280_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-package-'));
  const run = (command: string, words: string[], cwd = folder): string =>
    execFileSync(command, words, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    run(process.execPath, ['packages/vazao/build.ts'], ROOT);
    const tarball = run('npm', ['pack', join(ROOT, 'packages/vazao/dist'), '--silent']).trim();
    writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
    run('npm', ['install', `./${tarball}`, ...NPM]);

    const { version, exports } = JSON.parse(readFileSync(join(ROOT, 'packages/vazao/package.json'), 'utf8'));
    const subpaths = Object.keys(exports).map((subpath) => subpath.replace(/^\./, 'vazao'));
    writeFileSync(
      join(folder, 'use.js'),
      `for (const subpath of ${JSON.stringify(subpaths)}) await import(subpath);
       const { defineApplication } = await import('vazao');
       process.stdout.write(typeof defineApplication);`,
    );
    assert.equal(run(process.execPath, ['use.js']), 'function');
    assert.equal(run(process.execPath, ['node_modules/vazao/src/cli/main.js', '--version']).trim(), version);
    assert.ok(existsSync(join(folder, 'node_modules/vazao/src/index.d.ts')));
    assert.ok(existsSync(join(folder, 'node_modules/vazao/LICENSE')));
    assert.ok(!existsSync(join(folder, 'node_modules/vazao/src/testing')));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
