/** What a run has shown besides its figures, as sentences: one wording for the terminal, HTML, Markdown and JUnit. */
import type { LittlesLaw, RunResult } from '../run-result.ts';
import { checkLittlesLaw, DEVIATION_MAX } from '../statistics/littles-law.ts';
import { showMs, showNumber, showShare } from './numbers.ts';

export interface Finding {
  /** What should hold: `heap does not grow`. */
  readonly name: string;
  /** `doubtful`: the run is not judged by it, and its figures may be wrong. */
  readonly outcome: 'passed' | 'failed' | 'doubtful';
  readonly sentence: string;
}

/** What the plan was there to find, and in the closed model whether the users were there. */
export function findingsOf(run: RunResult): Finding[] {
  const { knee, recovery, trends = [] } = run.findings;
  const judge = (holds: boolean): Finding['outcome'] => (holds ? 'passed' : 'failed');
  const findings: Finding[] = [];
  if (run.plan.kind === 'smoke') {
    const { offered, succeeded } = run.total;
    const sentence = `${offered - succeeded} of ${offered} requests failed`;
    findings.push({ name: 'nothing fails', outcome: judge(offered > 0 && succeeded >= offered), sentence });
  }
  if (knee) {
    // A step that held is a fact; that it is the last one says something about the server only if the server ended it.
    const outcome = knee.heldRate > 0 && knee.limit === 'generator' ? 'doubtful' : judge(knee.heldRate > 0);
    findings.push({ name: 'a step of load holds', outcome, sentence: knee.why });
  }
  if (recovery) {
    const { recoveredAfterS, baselineP99Ms, worstP99Ms } = recovery;
    const when =
      recoveredAfterS === undefined
        ? 'after the spike the figures did not come back in the time watched'
        : `recovered ${recoveredAfterS.toFixed(0)} s after the spike`;
    const sentence = `${when}; p99 ${showMs(baselineP99Ms)} before, up to ${showMs(worstP99Ms)}`;
    findings.push({ name: 'recovers from the spike', outcome: judge(recoveredAfterS !== undefined), sentence });
  }
  for (const { series, outcome, why } of trends) {
    const sentence = `${series}: ${why}`;
    // One that was too short to tell has not passed.
    findings.push({ name: `${series} does not grow`, outcome: judge(outcome === 'level'), sentence });
  }
  return [...findings, ...usersOf(run)];
}

/** Of the phases that count, the one in which the law holds least. */
function usersOf({ phases }: RunResult): Finding[] {
  const laws = phases.flatMap(({ name, warmUp, littlesLaw }) => (!warmUp && littlesLaw ? [{ name, littlesLaw }] : []));
  const deviationOf = ({ littlesLaw }: (typeof laws)[number]): number => Math.abs(check(littlesLaw).deviation);
  const [worst] = laws.sort((a, b) => deviationOf(b) - deviationOf(a));
  if (!worst) return [];
  const { users, throughput, responseMs, thinkMs } = worst.littlesLaw;
  const { usersFound, deviation, holds } = check(worst.littlesLaw);
  const where = laws.length > 1 ? ` (${worst.name})` : '';
  const law = `N = X(R + Z): ${showNumber(throughput)}/s × (${showMs(responseMs)} + ${showMs(thinkMs)}) = ${showNumber(usersFound)} of ${showNumber(users)} users${where}`;
  const doubt = `, off by ${showShare(Math.abs(deviation))} (allowed: ${showShare(DEVIATION_MAX)}): users or requests are missing in these figures`;
  const sentence = holds ? law : `${law}${doubt}`;
  return [{ name: 'all users are accounted for', outcome: holds ? 'passed' : 'doubtful', sentence }];
}

function check({ users, throughput, responseMs, thinkMs }: LittlesLaw): ReturnType<typeof checkLittlesLaw> {
  return checkLittlesLaw({
    users,
    throughputPerS: throughput,
    latencyS: responseMs / 1_000,
    thinkS: thinkMs / 1_000,
  });
}
