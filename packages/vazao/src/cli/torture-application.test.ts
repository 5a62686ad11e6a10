import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { findTorturable } from './torture-application.ts';

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** A workspace with these files. */
function createWorkspace(...files: readonly string[]): string {
  const root = mkdtempSync(join(tmpdir(), 'vazao-torturable-'));
  folders.push(root);
  for (const file of ['package.json', ...files]) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), file === 'package.json' ? '{"workspaces":["apps/*"]}' : '{}');
  }
  return root;
}

const app = (name: string): string[] => [`apps/${name}/package.json`, `apps/${name}/src/app.ts`];

test('the only application with a profile is meant when none is named', () => {
  const root = createWorkspace(...app('one'), ...app('two'), 'apps/two/src/torture.ts', 'apps/three/package.json');
  assert.equal(findTorturable(root), 'two');
  assert.equal(findTorturable(join(root, 'apps/two')), 'two');
});

test('an application that is the folder itself', () => {
  assert.equal(findTorturable(createWorkspace('src/app.ts', 'src/torture.ts')), '.');
});

test('none, or several', () => {
  assert.throws(() => findTorturable(createWorkspace(...app('one'))), {
    name: 'UsageError',
    message: /^No application here has a profile/,
  });
  const several = [...app('one'), ...app('two'), 'apps/one/src/torture.ts', 'apps/two/src/torture.ts'];
  assert.throws(() => findTorturable(createWorkspace(...several)), {
    name: 'UsageError',
    message: 'Which application? A profile have one, two.',
  });
});
