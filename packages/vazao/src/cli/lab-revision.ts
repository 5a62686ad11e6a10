/** Another revision of a workspace, beside it, that runs with the packages which are installed here. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { LabError } from '../lab/errors.ts';

export interface Revision {
  readonly folder: string;
  remove(): Promise<void>;
}

const git = promisify(execFile);

/** Throws {@link LabError} when git does not know it. */
export async function checkOutRevision(root: string, revision: string): Promise<Revision> {
  const folder = await mkdtemp(join(tmpdir(), 'vazao-revision-'));
  const remove = async (): Promise<void> => {
    await git('git', ['-C', root, 'worktree', 'remove', '--force', folder]).catch(() => {});
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await git('git', ['-C', root, 'worktree', 'add', '--detach', folder, '--end-of-options', revision]);
    await linkPackages(root, folder);
  } catch (cause) {
    await remove();
    const said = ((cause as { stderr?: string }).stderr ?? (cause as Error).message).trim();
    throw new LabError('ERR_LAB_OPTION', `The revision ${revision} can't be checked out: ${said}`, { cause });
  }
  return { folder, remove };
}

/** Every package is that of this workspace but the workspace's own, which are the revision's. */
async function linkPackages(root: string, folder: string): Promise<void> {
  for (const scope of ['', ...readdirSync(join(root, 'node_modules')).filter((name) => name.startsWith('@'))]) {
    const from = join(root, 'node_modules', scope);
    const to = join(folder, 'node_modules', scope);
    await mkdir(to, { recursive: true });
    for (const entry of readdirSync(from, { withFileTypes: true })) {
      if (scope === '' && entry.name.startsWith('@')) continue;
      const own = entry.isSymbolicLink() ? await findOwn(join(from, entry.name), root) : undefined;
      const target = own === undefined ? join(from, entry.name) : join(folder, own);
      if (existsSync(target)) await symlink(target, join(to, entry.name));
    }
  }
}

/** Where in the workspace a link leads; undefined for one that leaves it. */
async function findOwn(link: string, root: string): Promise<string | undefined> {
  const { realpath } = await import('node:fs/promises');
  const path = relative(await realpath(root), await realpath(link));
  return path.startsWith('..') || path.startsWith('node_modules') ? undefined : path;
}
