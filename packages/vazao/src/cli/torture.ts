/** `vazao torture [app]`: runs the application under faults on this machine, and says whether an answer was ever wrong. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, extname, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Application } from '../runtime/application.ts';
import { findModule, findRoot, loadModule } from '../runtime/load-application.ts';
import { didYouMean } from '../runtime/nearest.ts';
import { TortureError } from '../torture/errors.ts';
import type { FaultKind } from '../torture/fault.ts';
import { FAULT_KINDS } from '../torture/fault-kinds.ts';
import { formatGoals } from '../torture/goals.ts';
import { findMutations, type MutationOptions, type MutationOutcome, runMutation } from '../torture/mutation-run.ts';
import { MUTATIONS, type Mutation } from '../torture/mutations.ts';
import type { Profile } from '../torture/profile.ts';
import { formatReport, makeReport, type TortureReport } from '../torture/report.ts';
import { openStage, type Stage } from '../torture/stage.ts';
import { runTorture, type TortureProgress } from '../torture/torture.ts';
import { createProgressLine, type ProgressLine } from './progress.ts';
import { stopBySignals } from './stop-by-signals.ts';
import { findTorturable, profileOf } from './torture-application.ts';
import { judgeReport } from './torture-verdict.ts';
import type { TortureWords } from './torture-words.ts';
import { UsageError } from './usage-error.ts';

/** Resolves with the exit code: 1 for a violation, or for a broken rule that went unnoticed. */
export async function torture(words: TortureWords): Promise<number> {
  const mutations = words.mutations === undefined ? [] : findRules(words.mutations);
  const cwd = process.cwd();
  const word = words.application ?? findTorturable(cwd);
  const file = findModule(word, { root: findRoot(cwd), cwd });
  const application = await loadModule(file, cwd);
  const profile = await loadProfile(file, cwd);
  const kinds = words.faults?.map(findKind) ?? FAULT_KINDS;
  const seed = words.seed ?? Math.floor(Math.random() * 2 ** 32);
  const progress = createProgressLine(process.stderr);
  const stopping = stopBySignals();
  try {
    await using stage = await openTheStage(word, application, profile, cwd, words, progress.update);
    process.stdout.write(
      `torture of ${application.name}, seed ${seed} (--seed ${seed} repeats it)\n${await describeParts(stage)}`,
    );
    if (mutations.length > 0) {
      const options = { stage, application, profile, seed, signal: stopping };
      return await breakRules(mutations, options, progress, words.json);
    }
    const outcome = await runTorture({
      stage,
      application,
      profile,
      seconds: words.minutes * 60,
      seed,
      kinds,
      signal: stopping,
      onViolation: (account) => process.stdout.write(`VIOLATION ${account}\n`),
      onProgress: (told) => progress.update(describeProgress(told), told.elapsedMs / (words.minutes * 60_000)),
    }).catch((error) => {
      stage.keepLogs(); // it may name them
      throw error;
    });
    progress.end();
    const missing = new Map<FaultKind, string>();
    for (const kind of kinds) {
      const part = kind.missing({ stage, profile, onFailover: () => {}, environment: {} });
      if (part !== undefined) missing.set(kind, part);
    }
    const report = makeReport(outcome, missing);
    process.stdout.write(formatReport(report));
    const names = kinds.map(({ name }) => name);
    const { goals, exitCode } = judgeReport(report, words, names);
    if (goals) process.stdout.write(formatGoals(goals));
    if (words.json !== undefined) await writeReport(words.json, { ...report, goals });
    if (report.violations.length > 0) {
      stage.keepLogs();
      process.stdout.write(`logs      of the hosts: ${stage.folder}\n`);
    }
    return exitCode;
  } finally {
    progress.end();
  }
}

/** The module `torture` beside the application's own. Throws {@link TortureError}. */
async function loadProfile(file: string, cwd: string): Promise<Profile> {
  const path = profileOf(file);
  if (!existsSync(path)) {
    throw new TortureError(
      'ERR_TORTURE_PROFILE',
      `There is no ${relative(cwd, path)}, which says what to write and to read of ${basename(file)}. docs/torture.md shows how to write it.`,
    );
  }
  const module: { default?: Profile } = await import(pathToFileURL(path).href);
  if (!Array.isArray(module.default?.readers)) {
    throw new TortureError(
      'ERR_TORTURE_PROFILE',
      `${relative(cwd, path)} has no profile as its default export: \`export default defineProfile({ … })\`.`,
    );
  }
  return module.default;
}

function findKind(name: string): FaultKind {
  const kind = FAULT_KINDS.find((candidate) => candidate.name === name);
  if (kind) return kind;
  const names = FAULT_KINDS.map((candidate) => candidate.name);
  const nearest = didYouMean(name, names);
  throw new UsageError(`There is no fault ${name}${nearest === '.' ? `; there are ${names.join(', ')}.` : nearest}`);
}

function openTheStage(
  word: string,
  application: Application,
  profile: Profile,
  cwd: string,
  { secondFeed }: TortureWords,
  onProgress: (label: string) => void,
): Promise<Stage> {
  // This module's neighbour: TypeScript in the sources, JavaScript in the package.
  const main = fileURLToPath(new URL(`./main${extname(import.meta.filename)}`, import.meta.url));
  return openStage({ application, profile, word, cwd, main, secondFeed, onProgress });
}

async function describeParts({ cluster, redis, hosts }: Stage): Promise<string> {
  const [row] = await cluster.primary.query<{ version: string }>("select current_setting('server_version') as version");
  const version = /redis_version:(\S+)/.exec(await redis.command('info', 'server'))?.[1] ?? 'unknown';
  return `parts     Node ${process.versions.node}, PostgreSQL ${row?.version} (primary, replica, synchronous standby), Redis ${version}, ${hosts.length} hosts\n`;
}

function describeProgress({ reads, writes, faults, violations, inForce }: TortureProgress): string {
  const broken = inForce.length > 0 ? ` (${inForce.join(', ')})` : '';
  return `torture: ${reads} reads, ${writes} writes, ${faults} faults${broken}, ${violations} violations`;
}

function findRules(name: string): readonly Mutation[] {
  const found = findMutations(name);
  if (found) return found;
  const names = MUTATIONS.map((mutation) => mutation.name);
  const nearest = didYouMean(name, names);
  throw new UsageError(`There is no mutation ${name}${nearest === '.' ? `; there are ${names.join(', ')}.` : nearest}`);
}

async function breakRules(
  mutations: readonly Mutation[],
  options: MutationOptions,
  progress: ProgressLine,
  file: string | undefined,
): Promise<number> {
  const outcomes: MutationOutcome[] = [];
  for (const mutation of mutations) {
    if (options.signal?.aborted) break;
    const outcome = await runMutation(mutation, {
      ...options,
      onProgress: (told) => progress.update(`${mutation.name}: ${describeProgress(told)}`),
    });
    outcomes.push(outcome);
    progress.end();
    process.stdout.write(describeMutation(outcome));
  }
  const noticed = outcomes.filter(({ caughtAfterMs }) => caughtAfterMs !== undefined).length;
  process.stdout.write(`${noticed} of ${mutations.length} broken rules were noticed\n`);
  if (file !== undefined) await writeReport(file, outcomes);
  return noticed === mutations.length ? 0 : 1;
}

function describeMutation({ mutation, caughtAfterMs, kind, account, notAvailable }: MutationOutcome): string {
  const { name, breaks } = mutation;
  if (notAvailable !== undefined) return `not available: ${name} (${notAvailable})\n`;
  if (caughtAfterMs === undefined) return `NOT NOTICED   ${name}: ${breaks}\n`;
  const lines = account?.split('\n').map((line) => `    ${line}`) ?? [];
  return `noticed after ${(caughtAfterMs / 1_000).toFixed(1)} s as ${kind}   ${name}: ${breaks}\n${lines.join('\n')}\n`;
}

async function writeReport(file: string, report: TortureReport | readonly MutationOutcome[]): Promise<void> {
  await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
}
