/** `vazao lab compare`: one application under several architectures, or at two revisions, in turns; a table, verdicts, reports. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, extname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createTimingToken } from '../http/index.ts';
import { type Architecture, describeArchitecture } from '../lab/compare/architectures.ts';
import { COMPARISON_FORMAT, type ComparisonResult, judgeCandidate } from '../lab/compare/comparison.ts';
import { runComparison } from '../lab/compare/run-comparison.ts';
import { formatTable, scenarioSentences, scenarioTable } from '../lab/compare/table.ts';
import { describeMachine } from '../lab/engine/machine.ts';
import { LabError } from '../lab/errors.ts';
import { runPlan } from '../lab/plans/run-plan.ts';
import { renderComparisonMarkdown } from '../lab/report/markdown.ts';
import type { RunResult } from '../lab/run-result.ts';
import { loadScenario } from '../lab/scenario/load-scenario.ts';
import { findModule, findRoot, loadModule } from '../runtime/load-application.ts';
import { parseLabCompareWords } from './lab-compare-words.ts';
import { writeHtmlReport } from './lab-report.ts';
import { checkOutRevision } from './lab-revision.ts';
import { CRITERIA_FAILED } from './lab-run.ts';
import { missingPrograms, prepareData, serveArchitecture } from './lab-serve.ts';
import { createProgressLine } from './progress.ts';

/** A tree of sources under an architecture. */
interface Contender extends Architecture {
  /** Root of the workspace whose command line serves. */
  readonly root: string;
  readonly dataFolder: string;
}

const MS_PER_MINUTE = 60_000;
/** A day: longer than any comparison. */
const TIMING_MS = 24 * 60 * MS_PER_MINUTE;

/** Resolves with the exit code: 99 when the last architecture that was named misses a criterion. */
export async function compareLab(words: readonly string[]): Promise<number> {
  const line = parseLabCompareWords(words);
  const cwd = process.cwd();
  const root = findRoot(cwd);
  const application = findModule(line.application, { root, cwd });
  const module = join(dirname(application), `lab${extname(application)}`);
  if (!existsSync(module)) {
    throw new LabError(
      'ERR_LAB_SCENARIO',
      `There is no ${relative(cwd, module)}, which says what users of ${line.application} do. docs/lab.md shows how to write it.`,
    );
  }
  const scenario = await loadScenario(pathToFileURL(module).href);
  const seed = line.seed ?? Math.floor(Math.random() * 2 ** 31);
  const stopping = stopBySignals();
  const progress = createProgressLine(process.stderr);
  const secret = randomBytes(36).toString('base64url');
  // For scenarios that ask to see where time goes; the threads of the generator have this environment, too.
  process.env.LAB_TIMING_TOKEN ??= createTimingToken(secret, Date.now() + TIMING_MS);
  const { name } = await loadModule(application, cwd);
  const served = { application: relative(root, application), name, secret };
  const startedAt = performance.now();
  await using acquired = new AsyncDisposableStack();
  const trees = [{ root, name: '', dataFolder: join(root, '.vazao', 'lab') }];
  if (line.against !== undefined) {
    const revision = await checkOutRevision(root, line.against);
    acquired.defer(() => revision.remove());
    trees.push({ root: revision.folder, name: line.against, dataFolder: join(revision.folder, '.vazao', 'lab') });
  }
  const skipped: ComparisonResult['skipped'][number][] = [];
  const wanted = line.addsFull
    ? [...line.architectures, describeArchitecture('full', line.workers)]
    : line.architectures;
  const contenders: Contender[] = [];
  for (const architecture of wanted) {
    const missing = missingPrograms(architecture);
    if (missing.length > 0) {
      skipped.push({ name: architecture.name, why: `${missing.join(' and ')} is not installed here.` });
      continue;
    }
    for (const tree of trees.toReversed()) {
      const name = trees.length === 1 ? architecture.name : `${architecture.name}@${tree.name || 'here'}`;
      contenders.push({ ...architecture, name, root: tree.root, dataFolder: tree.dataFolder });
    }
  }
  if (contenders.length === 0)
    throw new LabError('ERR_LAB_OPTION', 'There is nothing to compare: name an --architecture.');
  process.stdout.write(
    `${contenders.map(({ name }) => name).join(', ')} of ${line.application}: ${line.users} users, think time ${line.thinkMs} ms, seed ${seed} (--seed ${seed} repeats it)\n`,
  );
  try {
    for (const tree of trees) {
      progress.update(`data for ${tree.name || line.application}`);
      await prepareData({ ...tree, ...served, module });
    }
    const spentMs = performance.now() - startedAt;
    const candidates = await runComparison<Contender>({
      candidates: contenders,
      seed,
      roundsMax: line.roundsMax,
      budgetMs: line.minutes * MS_PER_MINUTE - spentMs,
      signal: stopping,
      onProgress: ({ candidate, round, share }) => progress.update(`round ${round + 1}: ${candidate.name}`, share),
      run: async (contender, round): Promise<RunResult> => {
        const server = await serveArchitecture(contender, { ...contender, ...served, signal: stopping });
        try {
          return lighten(
            await runPlan({
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
            }),
          );
        } finally {
          await server.stop();
        }
      },
    });
    progress.end();
    const result: ComparisonResult = {
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
    };
    process.stdout.write(`\n${formatTable(scenarioTable(result))}\n${scenarioSentences(result).join('\n')}\n`);
    if (line.markdown !== undefined) await writeTo(line.markdown, renderComparisonMarkdown(result));
    if (line.json !== undefined) await writeTo(line.json, `${JSON.stringify(result)}\n`);
    if (line.html !== undefined)
      await writeHtmlReport(line.html, { title: `${line.application}: architectures compared`, comparison: result });
    return meetsCriteria(result, line.against === undefined ? 'workers+cache' : undefined) ? 0 : CRITERIA_FAILED;
  } finally {
    progress.end();
  }
}

/** Of the architecture that is meant to hold, or of the last. */
function meetsCriteria({ candidates, criteria }: ComparisonResult, name: string | undefined): boolean {
  const judged = candidates.find((candidate) => candidate.name === name) ?? candidates.at(-1);
  return judged !== undefined && judgeCandidate(judged, criteria).every(({ outcome }) => outcome === 'passed');
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

/** The first ends the comparison with the rounds that are whole; the second ends the process. */
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
