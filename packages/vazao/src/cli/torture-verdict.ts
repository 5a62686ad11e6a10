/** Whether a run of `vazao torture` was good, as its exit code says it. */
import { GOALS_MINUTES, type Goal, judgeGoals } from '../torture/goals.ts';
import type { TortureReport } from '../torture/report.ts';
import type { TortureWords } from './torture-words.ts';

export interface Verdict {
  /** Undefined for a run that is not measured by them. */
  readonly goals: readonly Goal[] | undefined;
  /** 1 for a violation, and for a goal that is not met where the words ask for them. */
  readonly exitCode: 0 | 1;
}

/** @param kinds - the faults that were asked for */
export function judgeReport(
  report: Pick<TortureReport, 'violations' | 'reads' | 'faults' | 'stalenessMs'>,
  words: Pick<TortureWords, 'goals' | 'minutes' | 'faults'>,
  kinds: readonly string[],
): Verdict {
  const isMeasured = words.goals || (words.minutes >= GOALS_MINUTES && words.faults === undefined);
  const goals = isMeasured ? judgeGoals(report, kinds) : undefined;
  const hasMissed = words.goals && goals?.some(({ isMet }) => !isMet) === true;
  return { goals, exitCode: report.violations.length > 0 || hasMissed ? 1 : 0 };
}
