/** `vazao lab run`: one scenario under one plan, a live view, a table, a verdict. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { LabError } from '../lab/errors.ts';
import { parseCriteria } from '../lab/plans/criteria.ts';
import { type RunOptions, runPlan } from '../lab/plans/run-plan.ts';
import { loadScenario } from '../lab/scenario/load-scenario.ts';
import type { Scenario } from '../lab/scenario/scenario.ts';
import { runToEnd, serveByCommand } from '../lab/server/serve-command.ts';
import { type FoundScenario, findScenario, openLabApplication } from './lab-application.ts';
import { findResize, missingPrograms, prepareData, serveArchitecture } from './lab-serve.ts';
import { formatRun } from './lab-table.ts';
import { createLabView } from './lab-view.ts';
import { type LabRunWords, parseLabRunWords } from './lab-words.ts';
import { createProgressLine } from './progress.ts';
import { stopBySignals } from './stop-by-signals.ts';

/** Of a run that was measured and did not show what it should; other programs of the field end so. */
export const CRITERIA_FAILED = 99;

/** What a run knows of the server that is measured. */
type Measured = Pick<RunOptions, 'target' | 'architecture' | 'serverPid' | 'probeFolder' | 'resize'>;

/** Resolves with the exit code. @param words - after `vazao lab run` */
export async function runLab(words: readonly string[]): Promise<number> {
  const line = parseLabRunWords(words, parseCriteria);
  const found = await findScenario(line.scenario);
  const scenario = await loadScenario(pathToFileURL(found.module).href);
  const stopping = stopBySignals();
  await using acquired = new AsyncDisposableStack();
  const measured = await findServer(line, found, scenario, stopping, acquired);
  const { volumeCommand } = line;
  const view = createLabView(process.stderr, `${scenario.name}: ${line.plan}`);
  acquired.defer(view.end);
  const result = await runPlan({
    ...line,
    architecture: undefined,
    ...measured,
    module: found.module,
    resize:
      volumeCommand === undefined
        ? measured.resize
        : (factor) => runToEnd(volumeCommand, { VAZAO_LAB_VOLUME: String(factor) }),
    signal: stopping,
    onProgress: view.update,
  });
  view.end();
  process.stdout.write(formatRun(result));
  if (line.json !== undefined) await writeFile(line.json, `${JSON.stringify(result)}\n`);
  return result.verdict === 'passed' || result.verdict === 'none' ? 0 : CRITERIA_FAILED;
}

/** The one that runs already, or the command's, or an application of ours, which the lab knows how to start. */
async function findServer(
  line: LabRunWords,
  { module, application }: FoundScenario,
  { name, target }: Scenario,
  signal: AbortSignal,
  acquired: AsyncDisposableStack,
): Promise<Measured> {
  const origin = line.target ?? target;
  const probe = line.plan === 'soak';
  if (line.serve !== undefined) {
    if (origin === undefined)
      throw new LabError('ERR_LAB_TARGET', `${name} names no target: --target says where the server will be.`);
    const served = await serveByCommand(line.serve, { origin, probe, signal });
    acquired.defer(() => served.stop());
    return { target: line.target, serverPid: served.pid, probeFolder: served.probeFolder };
  }
  if (origin !== undefined || application === undefined) return { target: line.target, serverPid: line.pid };
  return serveApplication(line, { module, application, probe, signal }, acquired);
}

/** As `vazao lab compare` does it: data of the lab's own, in production. */
async function serveApplication(
  { architecture, plan }: LabRunWords,
  options: {
    readonly module: string;
    readonly application: string;
    readonly probe: boolean;
    readonly signal: AbortSignal;
  },
  acquired: AsyncDisposableStack,
): Promise<Measured> {
  const missing = missingPrograms(architecture);
  if (missing.length > 0)
    throw new LabError(
      'ERR_LAB_OPTION',
      `${architecture.name} needs ${missing.join(' and ')}, which is not installed.`,
    );
  const served = await openLabApplication(options.application);
  // What a volume makes of the data is no data for other runs.
  const dataFolder = join(served.root, '.vazao', plan === 'volume' ? 'lab-volume' : 'lab');
  const tree = { ...served, ...options, application: served.application, dataFolder };
  const progress = createProgressLine(process.stderr);
  acquired.defer(progress.end);
  progress.update(`data for ${served.name}`);
  await prepareData(tree);
  progress.update(`${served.name} starts: ${architecture.name}`);
  const server = await serveArchitecture(architecture, tree);
  acquired.defer(() => server.stop());
  progress.end();
  return {
    target: server.origin,
    architecture: architecture.name,
    serverPid: server.pid,
    probeFolder: server.probeFolder,
    resize: await findResize(tree),
  };
}
