/** `vazao lab run`: one scenario under one plan, a live view, a table, a verdict. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, extname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { LabError } from '../lab/errors.ts';
import { parseCriteria } from '../lab/plans/criteria.ts';
import { runPlan } from '../lab/plans/run-plan.ts';
import { loadScenario } from '../lab/scenario/load-scenario.ts';
import { type ServedByCommand, serveByCommand } from '../lab/server/serve-command.ts';
import { findModule, findRoot } from '../runtime/load-application.ts';
import { formatRun } from './lab-table.ts';
import { createLabView } from './lab-view.ts';
import { parseLabRunWords } from './lab-words.ts';

/** Of a run that was measured and did not show what it should; other programs of the field end so. */
export const CRITERIA_FAILED = 99;

/** Resolves with the exit code. @param words - after `vazao lab run` */
export async function runLab(words: readonly string[]): Promise<number> {
  const line = parseLabRunWords(words, parseCriteria);
  const module = findScenario(line.scenario);
  const { name, target } = await loadScenario(pathToFileURL(module).href);
  const stopping = stopBySignals();
  const view = createLabView(process.stderr, `${name}: ${line.plan}`);
  let served: ServedByCommand | undefined;
  try {
    if (line.serve !== undefined) {
      const origin = line.target ?? target;
      if (origin === undefined)
        throw new LabError('ERR_LAB_TARGET', `${name} names no target: --target says where the server will be.`);
      served = await serveByCommand(line.serve, { origin, probe: line.plan === 'soak', signal: stopping });
    }
    const { volumeCommand } = line;
    const result = await runPlan({
      ...line,
      module,
      serverPid: served?.pid ?? line.pid,
      probeFolder: served?.probeFolder,
      resize: volumeCommand === undefined ? undefined : (factor) => runVolumeCommand(volumeCommand, factor),
      signal: stopping,
      onProgress: view.update,
    });
    view.end();
    process.stdout.write(formatRun(result));
    if (line.json !== undefined) await writeFile(line.json, `${JSON.stringify(result)}\n`);
    return result.verdict === 'passed' || result.verdict === 'none' ? 0 : CRITERIA_FAILED;
  } finally {
    view.end();
    await served?.stop();
  }
}

/** A path, or the module `lab` beside an application's own. Throws {@link LabError}. */
function findScenario(word: string): string {
  const cwd = process.cwd();
  const path = resolve(cwd, word);
  if (extname(path) !== '' && existsSync(path)) return path;
  const application = findModule(word, { root: findRoot(cwd), cwd });
  const beside = join(dirname(application), `lab${extname(application)}`);
  if (existsSync(beside)) return beside;
  throw new LabError(
    'ERR_LAB_SCENARIO',
    `There is no ${relative(cwd, beside)}, which says what users of ${word} do. docs/lab.md shows how to write it.`,
  );
}

async function runVolumeCommand(command: string, factor: number): Promise<void> {
  const { runToEnd } = await import('../lab/server/serve-command.ts');
  await runToEnd(command, { VAZAO_LAB_VOLUME: String(factor) });
}

/** The first ends the run with what it has; the second ends the process. */
function stopBySignals(): AbortSignal {
  const stopping = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (stopping.signal.aborted) process.exit(130);
      stopping.abort();
    });
  }
  return stopping.signal;
}
