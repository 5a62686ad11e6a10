/** `vazao dev`: what has changed in the application's folder serves in under a second; what does not start leaves the last good one. */
import { dirname, join, relative } from 'node:path';
import { findUp } from '../runtime/code-version.ts';
import type { Configuration } from '../runtime/configuration.ts';
import type { RunningServer } from '../runtime/server.ts';
import type { RunningSupervisor } from '../runtime/supervisor.ts';
import { watchCode } from '../runtime/watch-code.ts';
import { reportFailure } from './failure.ts';

export interface FollowCodeOptions {
  /** The application's module. */
  readonly file: string;
  /** Of the workspace. */
  readonly root: string;
  readonly configuration: Configuration;
  readonly readAgain: () => Configuration;
}

export function followCode(
  server: RunningServer | RunningSupervisor,
  { file, root, configuration, readAgain }: FollowCodeOptions,
): Disposable | undefined {
  if (!('reload' in server)) {
    say('changes of the code need a stop and a start here');
    return undefined;
  }
  const watch = watchCode({
    folder: findUp(dirname(file), ['package.json']) ?? dirname(file),
    files: [join(root, '.env')],
    leaveOut: [configuration.dataFolder],
    onChange: (paths) => void reload(server, readAgain, paths),
  });
  if (!watch.isComplete)
    say('not all folders of the application are watched: there are too many, or the system allows no more');
  return watch;
}

async function reload(
  server: RunningSupervisor,
  readAgain: () => Configuration,
  paths: ReadonlySet<string>,
): Promise<void> {
  const [first = ''] = paths;
  const startedAt = performance.now();
  try {
    await server.reload(readAgain(), { migrates: [...paths].some((path) => path.endsWith('.sql')) });
    const more = paths.size > 1 ? ` and ${paths.size - 1} more` : '';
    const tookMs = Math.round(performance.now() - startedAt);
    say(`${relative(process.cwd(), first)}${more} changed; serving it after ${tookMs} ms`);
  } catch (error) {
    reportFailure(error);
  }
}

function say(sentence: string): void {
  process.stderr.write(`vazao: ${sentence}\n`);
}
