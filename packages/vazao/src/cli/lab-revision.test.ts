/** A revision beside the working tree: its own sources, the packages that are installed here, and nothing left behind. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, suite, test } from 'node:test';
import { checkOutRevision } from './lab-revision.ts';

suite('a workspace with packages of its own and of others', () => {
  const root = mkdtempSync(join(tmpdir(), 'vazao-revision-test-'));
  after(() => rmSync(root, { recursive: true, force: true }));
  const git = (...words: string[]): string =>
    execFileSync('git', ['-C', root, '-c', 'user.name=a', '-c', 'user.email=a@example.com', ...words], {
      encoding: 'utf8',
      env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' },
    });
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  };
  write('.gitignore', 'node_modules\n');
  write('packages/own/package.json', '{ "name": "own", "type": "module", "exports": "./index.js" }');
  write('packages/own/index.js', "export const version = 'old';");
  write('packages/scoped/package.json', '{ "name": "@us/scoped", "type": "module", "exports": "./index.js" }');
  write('packages/scoped/index.js', "export const scoped = 'old';");
  const program = `import { version } from 'own'; import { scoped } from '@us/scoped'; import { other } from 'other';
    import { theirs } from '@them/theirs'; console.log(version, scoped, other, theirs);`;
  write('program.mjs', program);
  git('init', '--quiet', '--initial-branch', 'main');
  git('add', '.');
  git('commit', '--quiet', '--message', 'old');
  // What came later: changed, not committed, and a package that the revision does not know.
  write('packages/own/index.js', "export const version = 'new';");
  write('packages/scoped/index.js', "export const scoped = 'new';");
  write('packages/young/package.json', '{ "name": "young" }');
  for (const [name, code] of [
    ['other', "export const other = 'installed';"],
    ['@them/theirs', "export const theirs = 'installed';"],
  ] as const) {
    write(`node_modules/${name}/package.json`, `{ "name": "${name}", "type": "module", "exports": "./index.js" }`);
    write(`node_modules/${name}/index.js`, code);
  }
  mkdirSync(join(root, 'node_modules/@us'));
  symlinkSync('../packages/own', join(root, 'node_modules/own'));
  symlinkSync('../packages/young', join(root, 'node_modules/young'));
  symlinkSync('../../packages/scoped', join(root, 'node_modules/@us/scoped'));
  const runIn = (folder: string): string =>
    execFileSync(process.execPath, [join(folder, 'program.mjs')], { encoding: 'utf8' }).trim();

  test('it runs with its own sources and the packages of here, and is gone afterwards', async () => {
    const before = git('status', '--porcelain');
    const revision = await checkOutRevision(root, 'main');
    try {
      assert.equal(runIn(root), 'new new installed installed');
      assert.equal(runIn(revision.folder), 'old old installed installed');
      assert.ok(!existsSync(join(revision.folder, 'node_modules/young')));
    } finally {
      await revision.remove();
    }
    assert.ok(!existsSync(revision.folder));
    assert.equal(git('worktree', 'list').trim().split('\n').length, 1);
    assert.equal(git('status', '--porcelain'), before);
    assert.equal(readFileSync(join(root, 'packages/own/index.js'), 'utf8'), "export const version = 'new';");
  });

  test('what git does not know is named, with what git said, and an option is no revision', async () => {
    for (const revision of ['no-such-branch', '--force']) {
      await assert.rejects(checkOutRevision(root, revision), (error: Error & { code: string }) => {
        assert.equal(error.code, 'ERR_LAB_OPTION');
        assert.match(error.message, new RegExp(`^The revision ${revision} can't be checked out: .*${revision}`, 's'));
        return true;
      });
    }
    assert.equal(git('worktree', 'list').trim().split('\n').length, 1);
  });
});
