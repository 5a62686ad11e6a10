/**
 * Has it become worse since the baseline? By intervals, and only beyond a tolerance: a machine is not the same on two days. A run is
 * compared with runs of the same scenario, plan, architecture and load.
 *
 * Five runs or more on each side are compared as runs. Fewer are cut into blocks of ten seconds, which lie closer together than runs
 * do, so that such a verdict is about these two runs and not about the application; the sentence says which it is.
 */
import { FIGURES, type FigureKind, type FigureName, figureOf } from '../figures.ts';
import type { RunResult, SecondFigures } from '../run-result.ts';
import { compareIndependent, compareShares, ROUNDS_MIN } from '../statistics/compare-runs.ts';
import { mean, median } from '../statistics/quantile.ts';
import { LabResultsError } from './errors.ts';
import { nameWithLoad } from './name-run.ts';
import { showShare } from './numbers.ts';

export interface BaselineVerdict {
  /** Under which the runs were made, of those that name one. */
  readonly architecture?: string | undefined;
  /** Of the figure, and of the run where there are several. */
  readonly name: string;
  readonly outcome: 'worse' | 'not worse' | 'unknown';
  readonly sentence: string;
}

/** Worse by less than a tenth is nothing. */
const TOLERANCE_DEFAULT = 0.1;
/** Of shares, which begin at 0: one request in a thousand is nothing. */
const SHARE_SLACK = 0.001;
const BLOCK_S = 10;
const JUDGED: readonly FigureName[] = ['throughput', 'mean', 'p99', 'hitRate', 'errorRate', 'timeoutRate'];

/**
 * `worse` for a figure fails a build (exit code 99): the whole interval lies beyond the tolerance. Void runs don't count, and what
 * was measured on neither side is left out. Throws {@link LabResultsError} where the baseline has no run like any of these.
 */
export function judgeAgainstBaseline(
  runs: readonly RunResult[],
  baseline: readonly RunResult[],
  { tolerance = TOLERANCE_DEFAULT }: { readonly tolerance?: number | undefined } = {},
): BaselineVerdict[] {
  const [ours, theirs] = [Map.groupBy(runs, nameWithLoad), Map.groupBy(baseline, nameWithLoad)];
  const names = [...new Set([...ours.keys(), ...theirs.keys()])];
  if (!names.some((name) => ours.has(name) && theirs.has(name))) {
    const list = (some: ReadonlyMap<string, unknown>): string => [...some.keys()].join('; ');
    throw new LabResultsError(
      `The baseline has no run like these. It has: ${list(theirs)}. These are: ${list(ours)}. Measure the same scenario under the same load.`,
    );
  }
  return names.flatMap((name): BaselineVerdict[] => {
    const [some, others] = [ours.get(name), theirs.get(name)];
    const { architecture } = ((some ?? others) as RunResult[])[0] as RunResult;
    if (!some)
      return [{ architecture, name, outcome: 'unknown', sentence: `${name}: only the baseline has such a run` }];
    if (!others) return [{ architecture, name, outcome: 'unknown', sentence: `${name}: the baseline has no such run` }];
    return judgeAlike(some, others, tolerance).map((verdict) =>
      names.length === 1
        ? { ...verdict, architecture }
        : { ...verdict, architecture, name: `${verdict.name} of ${name}`, sentence: `${name}: ${verdict.sentence}` },
    );
  });
}

function judgeAlike(runs: readonly RunResult[], baseline: readonly RunResult[], tolerance: number): BaselineVerdict[] {
  const [ours, theirs] = [runs, baseline].map((some) => some.filter(({ generator }) => !generator.void)) as [
    RunResult[],
    RunResult[],
  ];
  const byRuns = Math.min(ours.length, theirs.length) >= ROUNDS_MIN;
  return JUDGED.flatMap((judged) => {
    const figure = FIGURES.find(({ name }) => name === judged) as FigureKind;
    const [a, b] = [ours, theirs].map((some) =>
      some
        .flatMap((run) => (byRuns ? (figureOf(run, figure.name) ?? []) : blocksOf(run, figure.name)))
        .filter(Number.isFinite),
    ) as [number[], number[]];
    const isShare = figure.unit === 'share';
    // A server without a cache has no hit rate; throughput and latency every server has.
    if (isShare && a.length === 0 && b.length === 0) return [];
    const by = `[${Math.min(a.length, b.length)} ${byRuns ? 'runs' : `blocks of ${BLOCK_S} s`}]`;
    const { outcome, sentence } = isShare ? judgeShares(figure, a, b, tolerance) : judgeRatio(figure, a, b, tolerance);
    return [{ name: figure.name, outcome, sentence: `${figure.title}: ${sentence} ${by}` }];
  });
}

type Judged = Omit<BaselineVerdict, 'name' | 'architecture'>;

function judgeRatio({ better }: FigureKind, a: readonly number[], b: readonly number[], tolerance: number): Judged {
  const comparison = compareIndependent(a, b, { better, nameA: 'this', nameB: 'the baseline' });
  const isBehind = comparison.verdict === 'b is better';
  const isWorse = isBehind && comparison.interval.low > 1 + tolerance;
  const outcome = comparison.rounds < ROUNDS_MIN ? 'unknown' : isWorse ? 'worse' : 'not worse';
  const within = outcome === 'not worse' && isBehind ? `, within the tolerance of ${showShare(tolerance)}` : '';
  return { outcome, sentence: `${comparison.sentence}${within}` };
}

function judgeShares({ better }: FigureKind, a: readonly number[], b: readonly number[], tolerance: number): Judged {
  const { difference, interval, values } = compareShares(a, b);
  if (values < ROUNDS_MIN) {
    return { outcome: 'unknown', sentence: `${values} values, and a verdict needs ${ROUNDS_MIN}` };
  }
  const slack = Math.max(SHARE_SLACK, tolerance * mean(b));
  const isWorse = better === 'more' ? interval.high < -slack : interval.low > slack;
  const points = (share: number): string => `${share < 0 ? '−' : '+'}${(Math.abs(share) * 100).toFixed(2)}`;
  const sentence = `${showShare(mean(a))}, and ${showShare(mean(b))} in the baseline: ${points(difference)} points (95 %: ${points(interval.low)} to ${points(interval.high)})`;
  return { outcome: isWorse ? 'worse' : 'not worse', sentence };
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

/** NaN where the block has nothing to tell. Errors are of the requests that ended in it, for it has others' ends in it. */
function figureOfBlock(seconds: readonly SecondFigures[], name: FigureName): number {
  const sum = (of: (second: SecondFigures) => number): number =>
    seconds.reduce((total, second) => total + of(second), 0);
  const succeeded = sum((second) => second.succeeded);
  const failed = sum(({ errors, unsent }) => unsent + Object.values(errors).reduce((all, count) => all + count, 0));
  switch (name) {
    case 'throughput':
      return succeeded / seconds.length;
    case 'mean':
      return sum(({ latency }) => latency.meanMs * latency.count) / sum(({ latency }) => latency.count);
    case 'hitRate':
      return sum(({ cacheHits }) => cacheHits) / sum(({ cacheHits, cacheMisses }) => cacheHits + cacheMisses);
    case 'errorRate':
      return failed / (succeeded + failed);
    case 'timeoutRate':
      return sum(({ errors, unsent }) => errors.timeout + unsent) / (succeeded + failed);
    default:
      return median(seconds.filter(({ latency }) => latency.count > 0).map(({ latency }) => latency.p99Ms));
  }
}
