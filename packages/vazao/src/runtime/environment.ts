/** The environment of this process, and under it the file `.env` of the workspace. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { errorCode, RuntimeError } from './errors.ts';

export interface GivenVariables {
  /** What the process was given wins; what it was given empty counts as absent. */
  readonly values: Readonly<Record<string, string | undefined>>;
  /** Names whose values are from the file. */
  readonly fromFile: ReadonlySet<string>;
}

/** Reads the file anew. Throws {@link RuntimeError} when it is there and can't be read. */
export function readEnvironment(
  root: string,
  environment: Readonly<Record<string, string | undefined>>,
): GivenVariables {
  const file = join(root, '.env');
  let found: NodeJS.Dict<string> = {};
  try {
    found = parseEnv(readFileSync(file, 'utf8'));
  } catch (cause) {
    // A folder of that name is somebody else's.
    if (!['ENOENT', 'ENOTDIR', 'EISDIR'].includes(errorCode(cause) ?? '')) {
      throw new RuntimeError(
        'ERR_RUNTIME_CONFIGURATION',
        `${file} can't be read. Let this user read it, or remove it.`,
        {
          cause,
        },
      );
    }
  }
  const isGiven = (name: string): boolean => (environment[name] ?? '').trim() !== '';
  const names = Object.keys(found).filter((name) => !isGiven(name));
  return {
    values: { ...environment, ...Object.fromEntries(names.map((name) => [name, found[name]])) },
    fromFile: new Set(names),
  };
}

/**
 * For libraries and the application, which look into `process.env`.
 * @param before - what was put into it the last time: names that are not in the file any more go
 */
export function putInto(environment: NodeJS.ProcessEnv, given: GivenVariables, before?: GivenVariables): void {
  for (const name of before?.fromFile ?? []) if (!given.fromFile.has(name)) delete environment[name];
  for (const name of given.fromFile) environment[name] = given.values[name];
}
