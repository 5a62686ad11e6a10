/**
 * Has it become worse since the baseline? By intervals, and only beyond a tolerance: a machine is not the same on two days.
 *
 * Five runs or more on each side are compared as runs. Fewer are cut into blocks of ten seconds, which lie closer together than runs
 * do, so that such a verdict is about these two runs and not about the application; the sentence says which it is.
 */
import { FIGURES, type FigureKind, type FigureName, figureOf } from '../figures.ts';
import type { RunResult, SecondFigures } from '../run-result.ts';
import { type Comparison, compareIndependent, ROUNDS_MIN } from '../statistics/compare-runs.ts';
import { median } from '../statistics/quantile.ts';

export interface BaselineVerdict {
  readonly figure: FigureKind;
  readonly outcome: 'worse' | 'not worse' | 'unknown';
  readonly comparison: Comparison;
  readonly sentence: string;
}

/** Worse by less than a tenth is nothing. */
const TOLERANCE_DEFAULT = 0.1;
const BLOCK_S = 10;
const JUDGED: readonly FigureName[] = ['throughput', 'mean', 'p99'];

/** `worse` for a figure fails a build (exit code 99): the whole interval lies beyond the tolerance. Void runs don't count. */
export function judgeAgainstBaseline(
  runs: readonly RunResult[],
  baseline: readonly RunResult[],
  { tolerance = TOLERANCE_DEFAULT }: { readonly tolerance?: number | undefined } = {},
): BaselineVerdict[] {
  const [ours, theirs] = [runs, baseline].map((some) => some.filter(({ generator }) => !generator.void)) as [
    RunResult[],
    RunResult[],
  ];
  const byRuns = Math.min(ours.length, theirs.length) >= ROUNDS_MIN;
  return FIGURES.filter(({ name }) => JUDGED.includes(name)).map((figure) => {
    const valuesOf = (some: readonly RunResult[]): number[] =>
      byRuns
        ? some.map((run) => figureOf(run, figure.name)).filter((value) => value !== undefined)
        : some.flatMap((run) => blocksOf(run, figure.name));
    const options = { better: figure.better, nameA: 'this', nameB: 'the baseline' };
    const comparison = compareIndependent(valuesOf(ours), valuesOf(theirs), options);
    const isWorse = comparison.verdict === 'b is better' && comparison.interval.low > 1 + tolerance;
    const outcome = comparison.rounds < ROUNDS_MIN ? 'unknown' : isWorse ? 'worse' : 'not worse';
    const by = byRuns ? `${comparison.rounds} runs` : `${comparison.rounds} blocks of ${BLOCK_S} s`;
    const within =
      outcome === 'not worse' && comparison.verdict === 'b is better'
        ? `, within the tolerance of ${tolerance * 100} %`
        : '';
    return { figure, outcome, comparison, sentence: `${figure.title}: ${comparison.sentence}${within} [${by}]` };
  });
}

/** The figure in each whole block of the run's measured seconds. */
function blocksOf({ seconds, phases }: RunResult, name: FigureName): number[] {
  const warm = new Set(phases.filter(({ warmUp }) => warmUp).map((phase) => phase.name));
  const counted = seconds.filter(({ phase }) => !warm.has(phase));
  const blocks: number[] = [];
  for (let from = 0; from + BLOCK_S <= counted.length; from += BLOCK_S) {
    blocks.push(figureOfBlock(counted.slice(from, from + BLOCK_S), name));
  }
  return blocks;
}

function figureOfBlock(seconds: readonly SecondFigures[], name: FigureName): number {
  const sum = (of: (second: SecondFigures) => number): number =>
    seconds.reduce((total, second) => total + of(second), 0);
  if (name === 'throughput') return sum(({ succeeded }) => succeeded) / seconds.length;
  if (name === 'mean')
    return sum(({ latency }) => latency.meanMs * latency.count) / sum(({ latency }) => latency.count);
  return median(seconds.filter(({ latency }) => latency.count > 0).map(({ latency }) => latency.p99Ms));
}
