import type { Plan } from './plan.ts';
import { endOf, makePhase, makeWarmUp } from './plan.ts';

/** The load that is expected, for as long as it takes to be sure. */
export const load: Plan = async ({ session, load, times, signal, onPlanned }) => {
  const phases = [...makeWarmUp(times.warmUpS, load), makePhase('load', times.durationS, load)];
  onPlanned(times.warmUpS + times.durationS);
  const driven = await session.drive(phases, signal);
  return { phases: driven.phases, ended: endOf(driven), findings: {} };
};
