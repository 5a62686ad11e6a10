/** Which application `vazao torture` means when none is named: the only one here that has a profile. */
import { existsSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { RuntimeError } from '../runtime/errors.ts';
import { findModule, findRoot, listApplications } from '../runtime/load-application.ts';
import { UsageError } from './usage-error.ts';

/** Where the profile of the application with this module is, whether it is there or not. */
export function profileOf(file: string): string {
  return join(dirname(file), `torture${extname(file)}`);
}

/** A word for `vazao start`. Throws {@link UsageError} when none has a profile, or several have. */
export function findTorturable(cwd: string): string {
  const root = findRoot(cwd);
  const words = [...listApplications(root).keys(), '.'];
  const byFile = new Map<string, string>();
  for (const word of words) {
    const file = findFile(word, root, cwd);
    if (file !== undefined && existsSync(profileOf(file)) && !byFile.has(file)) byFile.set(file, word);
  }
  const [only, ...others] = byFile.values();
  if (only === undefined) {
    throw new UsageError(
      'No application here has a profile: a `torture.ts` beside its module. docs/torture.md shows how to write it.',
    );
  }
  if (others.length > 0) throw new UsageError(`Which application? A profile have ${[only, ...others].join(', ')}.`);
  return only;
}

function findFile(word: string, root: string, cwd: string): string | undefined {
  try {
    return findModule(word, { root, cwd });
  } catch (error) {
    if (error instanceof RuntimeError) return undefined; // a folder without an application
    throw error;
  }
}
