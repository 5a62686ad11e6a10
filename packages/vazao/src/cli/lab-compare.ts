/** `vazao lab compare`: one application under several architectures, or at two revisions, in turns; a table, verdicts, reports. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Architecture, describeArchitecture } from '../lab/compare/architectures.ts';
import {
  COMPARISON_FORMAT,
  type ComparisonResult,
  chooseJudged,
  passes,
  type RevisionVerdict,
} from '../lab/compare/comparison.ts';
import { judgeRevisions } from '../lab/compare/regression.ts';
import { runComparison } from '../lab/compare/run-comparison.ts';
import { formatTable, scenarioSentences, scenarioTable } from '../lab/compare/table.ts';
import { describeMachine } from '../lab/engine/machine.ts';
import { LabError } from '../lab/errors.ts';
import { runPlan } from '../lab/plans/run-plan.ts';
import { renderComparisonMarkdown } from '../lab/report/markdown.ts';
import type { RunResult } from '../lab/run-result.ts';
import { loadScenario } from '../lab/scenario/load-scenario.ts';
import { findRoot } from '../runtime/load-application.ts';
import { findApplication, findScenarioBeside, openLabApplication } from './lab-application.ts';
import { type LabCompareWords, parseLabCompareWords } from './lab-compare-words.ts';
import { writeHtmlReport } from './lab-report.ts';
import { checkOutRevision } from './lab-revision.ts';
import { CRITERIA_FAILED } from './lab-run.ts';
import { missingPrograms, prepareData, serveArchitecture } from './lab-serve.ts';
import { createLabView } from './lab-view.ts';
import { createProgressLine } from './progress.ts';
import { stopBySignals } from './stop-by-signals.ts';

/** A tree of sources under an architecture. */
interface Contender extends Architecture {
  /** Root of the workspace whose command line serves. */
  readonly root: string;
  readonly dataFolder: string;
}

interface Tree {
  readonly root: string;
  /** The revision; `here` is the working tree. */
  readonly name: string;
  readonly dataFolder: string;
}

type Skipped = ComparisonResult['skipped'][number];

const MS_PER_MINUTE = 60_000;
const FAILED = 1;

/**
 * Resolves with the exit code. 99: the architecture that is meant to hold misses a criterion, or with `--against` the working tree is
 * worse than the revision or it can't be told; 1: an architecture failed, or nothing was measured.
 */
export async function compareLab(words: readonly string[]): Promise<number> {
  const line = parseLabCompareWords(words);
  const cwd = process.cwd();
  const root = findRoot(cwd);
  const application = await findApplication(line.application);
  const module = findScenarioBeside(application, line.application);
  const scenario = await loadScenario(pathToFileURL(module).href);
  const seed = line.seed ?? Math.floor(Math.random() * 2 ** 31);
  const stopping = stopBySignals();
  const served = await openLabApplication(application);
  const startedAt = performance.now();
  await using acquired = new AsyncDisposableStack();
  const trees: Tree[] = [{ root, name: 'here', dataFolder: join(root, '.vazao', 'lab') }];
  if (line.against !== undefined) {
    const revision = await checkOutRevision(root, line.against);
    acquired.defer(() => revision.remove());
    trees.push({ root: revision.folder, name: line.against, dataFolder: join(revision.folder, '.vazao', 'lab') });
  }
  const { contenders, skipped } = findContenders(line, trees);
  process.stdout.write(
    `${contenders.map(({ name }) => name).join(', ')} of ${line.application}: ${line.users} users, think time ${line.thinkMs} ms, seed ${seed} (--seed ${seed} repeats it)\n`,
  );
  for (const tree of trees) {
    const progress = createProgressLine(process.stderr);
    try {
      progress.update(`data for ${trees.length === 1 ? line.application : tree.name}`);
      await prepareData({ ...served, ...tree, name: served.name, module, signal: stopping });
    } finally {
      progress.end();
    }
  }
  let share = 0;
  const candidates = await runComparison<Contender>({
    candidates: contenders,
    seed,
    roundsMax: line.roundsMax,
    budgetMs: line.minutes * MS_PER_MINUTE - (performance.now() - startedAt),
    signal: stopping,
    onProgress: (told) => {
      share = told.share;
    },
    run: async (contender, round): Promise<RunResult> => {
      const title = `round ${round + 1} (${Math.floor(share * 100)} %): ${contender.name}`;
      await using running = new AsyncDisposableStack();
      const server = await serve(title, contender, { ...served, ...contender, name: served.name, signal: stopping });
      running.defer(() => server.stop());
      const view = createLabView(process.stderr, title);
      running.defer(view.end);
      const run = await runPlan({
        module,
        plan: 'load',
        target: server.origin,
        architecture: contender.name,
        users: line.users,
        thinkMs: line.thinkMs,
        durationS: line.durationS,
        warmUpS: line.warmUpS,
        // The same seed in a round gives each the same users; other rounds have others.
        seed: (seed + round) % 2 ** 31,
        serverPid: server.pid,
        signal: stopping,
        onProgress: view.update,
      });
      return lighten(run);
    },
  });
  if (candidates.every(({ runs }) => runs.length === 0)) {
    process.stderr.write('Stopped before anything was measured.\n');
    return FAILED;
  }
  const compared: ComparisonResult = {
    format: COMPARISON_FORMAT,
    application: line.application,
    scenario: scenario.name,
    startedAt: new Date().toISOString(),
    machine: candidates[0]?.runs[0]?.machine ?? describeMachine(),
    users: line.users,
    thinkMs: line.thinkMs,
    seed,
    candidates,
    skipped,
    criteria: scenario.criteria ?? [],
    judged: line.against === undefined ? (line.judged ?? chooseJudged(candidates.map(({ name }) => name))) : undefined,
  };
  const result = line.against === undefined ? compared : { ...compared, revisions: judgeAgainst(compared, line) };
  process.stdout.write(
    `\n${formatTable(scenarioTable(result))}\n${[...scenarioSentences(result), ...(result.revisions ?? []).map(({ sentence }) => sentence)].join('\n')}\n`,
  );
  if (line.markdown !== undefined) await writeTo(line.markdown, renderComparisonMarkdown(result));
  if (line.json !== undefined) await writeTo(line.json, `${JSON.stringify(result)}\n`);
  if (line.html !== undefined)
    await writeHtmlReport(line.html, { title: `${line.application}: architectures compared`, comparison: result });
  if (!passes(result)) return CRITERIA_FAILED;
  return candidates.some(({ failed }) => failed !== undefined) ? FAILED : 0;
}

/** Every architecture whose programs are installed, of every tree. Throws {@link LabError} when there is none. */
function findContenders(
  line: LabCompareWords,
  trees: readonly Tree[],
): { readonly contenders: readonly Contender[]; readonly skipped: readonly Skipped[] } {
  const wanted = line.addsFull
    ? [...line.architectures, describeArchitecture('full', line.workers)]
    : line.architectures;
  const skipped: Skipped[] = [];
  const contenders: Contender[] = [];
  for (const architecture of wanted) {
    const missing = missingPrograms(architecture);
    if (missing.length > 0) {
      skipped.push({ name: architecture.name, why: `${missing.join(' and ')} is not installed here.` });
      continue;
    }
    for (const tree of trees.toReversed()) {
      const name = trees.length === 1 ? architecture.name : nameAt(architecture, tree.name);
      contenders.push({ ...architecture, name, root: tree.root, dataFolder: tree.dataFolder });
    }
  }
  if (contenders.length === 0)
    throw new LabError('ERR_LAB_OPTION', 'There is nothing to compare: name an --architecture.');
  return { contenders, skipped };
}

function nameAt({ name }: Architecture, revision: string): string {
  return `${name}@${revision}`;
}

async function serve(
  title: string,
  ...args: Parameters<typeof serveArchitecture>
): ReturnType<typeof serveArchitecture> {
  const progress = createProgressLine(process.stderr);
  try {
    progress.update(`${title} starts`);
    return await serveArchitecture(...args);
  } finally {
    progress.end();
  }
}

/** The criteria are those of an application; whether a change may be merged is another question. */
function judgeAgainst(
  result: ComparisonResult,
  { architectures, against, tolerance }: LabCompareWords,
): readonly RevisionVerdict[] {
  const left = result.skipped.map(({ name }) => name);
  const pairs = architectures
    .filter(({ name }) => !left.includes(name))
    .map((architecture) => ({ here: nameAt(architecture, 'here'), there: nameAt(architecture, against as string) }));
  return judgeRevisions(result, pairs, tolerance).map(({ here, figure, outcome, sentence }) => ({
    name: `${figure.name} of ${here}`,
    outcome,
    sentence,
  }));
}

/** What a report of many runs needs of one: the requests that say where time goes are kept, fewer. */
function lighten(run: RunResult): RunResult {
  return { ...run, samples: run.samples.slice(0, 2_000), slowest: run.slowest.slice(0, 20) };
}

async function writeTo(file: string, text: string): Promise<void> {
  const path = resolve(file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}
