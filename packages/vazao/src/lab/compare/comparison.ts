/** What a comparison of architectures, or of revisions, leaves behind: plain data, as a run does. */
import { FIGURES, type FigureKind, type FigureName, figureOf } from '../figures.ts';
import type { Criterion, Machine, RunResult } from '../run-result.ts';
import { bootstrapInterval, type Interval } from '../statistics/bootstrap.ts';
import { type Comparison, compareRuns } from '../statistics/compare-runs.ts';
import { median } from '../statistics/quantile.ts';

export const COMPARISON_FORMAT = 'vazao-lab-compare/1';

export interface ComparisonResult {
  readonly format: typeof COMPARISON_FORMAT;
  readonly application: string;
  readonly scenario: string;
  readonly startedAt: string;
  readonly machine: Machine;
  readonly users: number;
  readonly thinkMs: number;
  /** Decides the order of the runs, and is the seed of every run. */
  readonly seed: number;
  readonly candidates: readonly CandidateResult[];
  /** What was asked for and could not run, with a sentence. */
  readonly skipped: readonly { readonly name: string; readonly why: string }[];
  readonly criteria: readonly Criterion[];
  /** Name of the one that must meet them; what the others miss decides nothing. Absent: none must, for revisions are compared. */
  readonly judged?: string | undefined;
  /** The working tree against a revision, where that was asked. */
  readonly revisions?: readonly RevisionVerdict[] | undefined;
}

export interface RevisionVerdict {
  /** Of the figure, and of what runs. */
  readonly name: string;
  readonly outcome: 'worse' | 'not worse' | 'unknown';
  readonly sentence: string;
}

export interface CandidateResult {
  readonly name: string;
  /** A sentence's worth: `2 workers, no cache`. */
  readonly description: string;
  /** One for each round, in order; fewer when it failed. */
  readonly runs: readonly RunResult[];
  /** Why it was left out from some round on: its server did not start, say. */
  readonly failed?: string | undefined;
}

/** A figure over the rounds. */
export interface Summary {
  readonly median: number;
  readonly interval: Interval;
  readonly rounds: number;
}

/** Runs that say something: the generator kept up. */
export function countingRuns({ runs }: CandidateResult): readonly RunResult[] {
  return runs.filter(({ generator }) => generator.void === undefined);
}

/** Undefined where no round measured it. Where all runs are void, what they measured: the table says so, and no verdict uses it. */
export function summarise(candidate: CandidateResult, name: FigureName): Summary | undefined {
  const counting = countingRuns(candidate);
  const values = (counting.length > 0 ? counting : candidate.runs)
    .map((run) => figureOf(run, name))
    .filter((value) => value !== undefined);
  if (values.length === 0) return undefined;
  return { median: median(values), interval: bootstrapInterval(values, median), rounds: values.length };
}

export interface PairVerdict {
  readonly figure: FigureKind;
  readonly a: CandidateResult;
  readonly b: CandidateResult;
  readonly comparison: Comparison;
}

/** Two candidates round by round. Rounds in which one of the two is void are left out. */
export function compareRounds(a: CandidateResult, b: CandidateResult, figure: FigureKind, seed: number): Comparison {
  const rounds = a.runs.flatMap((run, round) => {
    const other = b.runs[round];
    if (!other || run.generator.void || other.generator.void) return [];
    return [{ a: figureOf(run, figure.name) ?? Number.NaN, b: figureOf(other, figure.name) ?? Number.NaN }];
  });
  return compareRuns(rounds, { better: figure.better, nameA: a.name, nameB: b.name, seed });
}

/** Each candidate with every one before it, by throughput and by mean latency, both of answers that succeeded. */
export function compareCandidates({ candidates, seed }: Pick<ComparisonResult, 'candidates' | 'seed'>): PairVerdict[] {
  const verdicts: PairVerdict[] = [];
  for (const figure of FIGURES.filter(({ name }) => name === 'throughput' || name === 'mean')) {
    for (const [index, a] of candidates.entries()) {
      for (const b of candidates.slice(0, index)) {
        verdicts.push({ figure, a, b, comparison: compareRounds(a, b, figure, seed) });
      }
    }
  }
  return verdicts;
}

export interface CriterionOnMedian extends Criterion {
  readonly value: number | undefined;
  readonly outcome: 'passed' | 'failed' | 'unknown';
}

/** Who must meet the criteria, unless somebody is named: what the platform is for, or else the last, which is mostly the richest. */
export function chooseJudged(names: readonly string[]): string | undefined {
  return names.includes('workers+cache') ? 'workers+cache' : names.at(-1);
}

/** Whether a build may go on: by the revisions if they were compared, else by the criteria of the one that must meet them. */
export function passes({ candidates, criteria, judged, revisions }: ComparisonResult): boolean {
  if (revisions) return revisions.every(({ outcome }) => outcome === 'not worse');
  if (judged === undefined) return true;
  const found = candidates.find(({ name }) => name === judged);
  return found !== undefined && judgeCandidate(found, criteria).every(({ outcome }) => outcome === 'passed');
}

/** The criteria on the medians over the rounds. What was not measured is not passed. */
export function judgeCandidate(candidate: CandidateResult, criteria: readonly Criterion[]): CriterionOnMedian[] {
  const isSilent = countingRuns(candidate).length === 0;
  return criteria.map((criterion) => {
    const value = isSilent ? undefined : summarise(candidate, criterion.metric)?.median;
    const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = criterion;
    const outcome = value === undefined ? 'unknown' : value >= min && value <= max ? 'passed' : 'failed';
    return { ...criterion, value, outcome };
  });
}
