/** What `vazao lab run` and `vazao lab compare` need of an application that they start themselves. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, extname, join, relative, resolve } from 'node:path';
import { createTimingToken } from '../http/index.ts';
import { LabError } from '../lab/errors.ts';
import { findModule, findRoot, loadModule } from '../runtime/load-application.ts';

const MS_PER_DAY = 24 * 60 * 60 * 1_000;
/** Longer than any run. */
const TIMING_MS = 30 * MS_PER_DAY;

export interface LabApplication {
  /** Of the workspace. */
  readonly root: string;
  /** Path of the application's module, from the root. */
  readonly application: string;
  /** What it calls itself. */
  readonly name: string;
  /** Of its servers, while the lab goes on. */
  readonly secret: string;
}

export interface FoundScenario {
  /** Path of the module that has the scenario. */
  readonly module: string;
  /** The application beside which it stands; undefined for a module of its own. */
  readonly application: string | undefined;
}

/** A path of a scenario, or an application, whose scenario is the module `lab` beside its own. Throws {@link LabError}. */
export function findScenario(word: string): FoundScenario {
  const cwd = process.cwd();
  const path = resolve(cwd, word);
  if (extname(path) !== '' && existsSync(path)) return { module: path, application: undefined };
  const application = findModule(word, { root: findRoot(cwd), cwd });
  return { module: findScenarioBeside(application, word), application };
}

/** The module `lab` beside an application's own. Throws {@link LabError}. */
export function findScenarioBeside(application: string, word: string): string {
  const beside = join(dirname(application), `lab${extname(application)}`);
  if (existsSync(beside)) return beside;
  throw new LabError(
    'ERR_LAB_SCENARIO',
    `There is no ${relative(process.cwd(), beside)}, which says what users of ${word} do. docs/lab.md shows how to write it.`,
  );
}

/** Makes the secret of its servers and, for scenarios that ask to see where time goes, the token. @param module - of the application */
export async function openLabApplication(module: string): Promise<LabApplication> {
  const cwd = process.cwd();
  const root = findRoot(cwd);
  const secret = randomBytes(36).toString('base64url');
  // The threads of the generator have this environment, too. One from outside would be of another secret.
  process.env.LAB_TIMING_TOKEN = createTimingToken(secret, Date.now() + TIMING_MS);
  const { name } = await loadModule(module, cwd);
  return { root, application: relative(root, module), name, secret };
}
