/** Is the working tree worse than another revision? By intervals over interleaved rounds, and only beyond a tolerance. */
import { FIGURES, type FigureKind, type FigureName } from '../figures.ts';
import { type Comparison, ROUNDS_MIN } from '../statistics/compare-runs.ts';
import { type CandidateResult, type ComparisonResult, compareRounds } from './comparison.ts';

export interface RegressionVerdict {
  /** Name of the candidate of the working tree. */
  readonly here: string;
  readonly figure: FigureKind;
  /** `worse`: the whole interval lies beyond the tolerance. `unknown`: too few rounds to tell. */
  readonly outcome: 'worse' | 'not worse' | 'unknown';
  readonly comparison: Comparison;
  readonly sentence: string;
}

/** Less than this is no reason to stop a change. */
export const TOLERANCE_DEFAULT = 0.05;

const JUDGED: readonly FigureName[] = ['throughput', 'successRate', 'mean', 'p99'];

/** @param pairs - names of candidates: the same architecture of the working tree, and of the revision */
export function judgeRevisions(
  { candidates, seed }: Pick<ComparisonResult, 'candidates' | 'seed'>,
  pairs: readonly { readonly here: string; readonly there: string }[],
  tolerance: number = TOLERANCE_DEFAULT,
): RegressionVerdict[] {
  const find = (name: string): CandidateResult =>
    candidates.find((candidate) => candidate.name === name) ?? { name, description: '', runs: [] };
  return pairs.flatMap(({ here, there }) =>
    FIGURES.filter(({ name }) => JUDGED.includes(name)).map((figure) => {
      const comparison = compareRounds(find(here), find(there), figure, seed);
      const isBehind = comparison.verdict === 'b is better';
      const outcome =
        comparison.rounds < ROUNDS_MIN
          ? 'unknown'
          : isBehind && comparison.interval.low > 1 + tolerance
            ? 'worse'
            : 'not worse';
      const words = {
        worse: `WORSE by more than ${tolerance * 100} %`,
        'not worse': isBehind ? `not worse by more than ${tolerance * 100} %` : 'not worse',
        unknown: 'UNKNOWN',
      };
      return {
        here,
        figure,
        outcome,
        comparison,
        sentence: `${here}: ${figure.title} ${words[outcome]}: ${comparison.sentence}`,
      };
    }),
  );
}
