import type { Plan } from './plan.ts';
import { endOf, makePhase, makeWarmUp } from './plan.ts';
import { makeScheduledPhases } from './schedule-words.ts';

/** The load that is expected, for as long as it takes to be sure; or one that goes as the schedule says. */
export const load: Plan = async ({ session, load, times, schedule, signal, onPlanned }) => {
  const phases = schedule
    ? makeScheduledPhases(schedule, load)
    : [...makeWarmUp(times.warmUpS, load), makePhase('load', times.durationS, load)];
  onPlanned(phases.reduce((sum, { durationS }) => sum + durationS, 0));
  const driven = await session.drive(phases, signal);
  return { phases: driven.phases, ended: endOf(driven), findings: {} };
};
