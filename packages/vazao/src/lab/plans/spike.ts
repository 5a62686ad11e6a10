/** Everybody comes at once, as to a flash sale: ten times the load, and then as before. */
import type { PhaseFigures, Recovery, SecondFigures } from '../run-result.ts';
import type { Plan } from './plan.ts';
import { endOf, makePhase, makeWarmUp } from './plan.ts';

const SPIKE_FACTOR = 10;
/** As before: not above twice the p99 from before the spike, or this much more than it. */
const P99_FACTOR = 2;
const P99_SLACK_MS = 20;
/** Share of failures beyond that of before. */
const ERRORS_SLACK = 0.01;

export const spike: Plan = async ({ session, load, times, signal, onPlanned }) => {
  const { durationS, warmUpS } = times;
  const phases = [
    ...makeWarmUp(warmUpS, load),
    makePhase('before', durationS / 3, load),
    makePhase('spike', durationS / 6, load, { factor: SPIKE_FACTOR }),
    makePhase('after', durationS / 2, load),
  ];
  onPlanned(warmUpS + durationS);
  const driven = await session.drive(phases, signal);
  const before = driven.phases.find(({ name }) => name === 'before');
  const after = driven.phases.find(({ name }) => name === 'after');
  const recovery = before && after && after.durationS > 0 ? measureRecovery(before, after, session.seconds) : undefined;
  return {
    phases: driven.phases,
    ended: endOf(driven),
    findings: recovery ? { recovery } : {},
    failed: recovery !== undefined && recovery.recoveredAfterS === undefined,
  };
};

/** It has recovered in the second after the last one that was worse than before the spike. */
export function measureRecovery(
  before: Pick<PhaseFigures, 'latency' | 'offered' | 'succeeded'>,
  after: Pick<PhaseFigures, 'fromS' | 'toS'>,
  seconds: readonly SecondFigures[],
): Recovery {
  const baselineP99Ms = before.latency.p99Ms;
  const allowedMs = Math.max(baselineP99Ms * P99_FACTOR, baselineP99Ms + P99_SLACK_MS);
  const allowedErrors = 1 - before.succeeded / Math.max(1, before.offered) + ERRORS_SLACK;
  const isWorse = (second: SecondFigures): boolean => {
    const ended = second.completed + failuresOf(second);
    return (
      second.latency.p99Ms > allowedMs ||
      1 - second.succeeded / Math.max(1, ended) > allowedErrors ||
      // A second in which nothing came although something was on its way.
      (ended === 0 && second.inFlight + second.waiting > 0)
    );
  };
  const from = Math.floor(after.fromS);
  const watched = seconds.filter(({ atS }) => atS >= from && atS + 1 <= after.toS);
  const worst = seconds.filter(({ phase }) => phase !== 'warm-up').map(({ latency }) => latency.p99Ms);
  const last = watched.findLast(isWorse);
  const recoveredAtS = last === undefined ? from : last.atS + 1;
  const end = watched.at(-1);
  const isOver = end !== undefined && last?.atS !== end.atS;
  return {
    baselineP99Ms,
    worstP99Ms: Math.max(0, ...worst),
    ...(isOver && { recoveredAfterS: Math.max(0, recoveredAtS - after.fromS) }),
  };
}

function failuresOf({ errors, unsent }: SecondFigures): number {
  return errors.timeout + errors.connect + errors.reset + errors.malformed + unsent;
}
