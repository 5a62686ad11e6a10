/** What `vazao lab run` and `vazao lab compare` need of an application that they start themselves. */
import { randomBytes } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { dirname, extname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createTimingToken } from '../http/index.ts';
import { LabError } from '../lab/errors.ts';
import type { Scenario } from '../lab/scenario/scenario.ts';
import type { Application } from '../runtime/index.ts';
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

/**
 * A scenario by the path of its module, or an application by its name, folder or module; its scenario is the module `lab` beside its
 * own. What a module is, its default export tells. Rejects with {@link LabError}.
 */
export async function findScenario(word: string): Promise<FoundScenario> {
  const cwd = process.cwd();
  const path = resolve(cwd, word);
  if (isFile(path)) {
    const kind = await findKind(path);
    if (kind === 'scenario') return { module: path, application: undefined };
    if (kind === undefined)
      throw new LabError(
        'ERR_LAB_SCENARIO',
        `${word} exports neither a scenario (\`export default scenario({ name, steps: [ … ] })\`, docs/lab.md) nor an application (\`export default defineApplication({ … })\`), by default.`,
      );
  }
  const application = findModule(word, { root: findRoot(cwd), cwd });
  return { module: findScenarioBeside(application, word), application };
}

/** The module of an application. Rejects with {@link LabError} where it is that of a scenario: nobody knows what to start for it. */
export async function findApplication(word: string): Promise<string> {
  const cwd = process.cwd();
  const path = findModule(word, { root: findRoot(cwd), cwd });
  if ((await findKind(path)) !== 'scenario') return path;
  throw new LabError(
    'ERR_LAB_SCENARIO',
    `${word} is a scenario, and an application is what is started under each architecture: name that one. Its scenario is the module lab${extname(path)} beside it.`,
  );
}

function isFile(path: string): boolean {
  return existsSync(path) && statSync(path).isFile();
}

/** By its shape: its name may be any, and so may its folder. Undefined: neither. */
async function findKind(path: string): Promise<'scenario' | 'application' | undefined> {
  let module: { readonly default?: Partial<Scenario & Application> | null };
  try {
    module = await import(pathToFileURL(path).href);
  } catch (cause) {
    const shown = relative(process.cwd(), path);
    throw new LabError('ERR_LAB_SCENARIO', `${shown} failed while it was loaded: ${(cause as Error).message}`, {
      cause,
    });
  }
  const { steps, register } = module.default ?? {};
  if (steps !== undefined) return 'scenario';
  return register === undefined ? undefined : 'application';
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
