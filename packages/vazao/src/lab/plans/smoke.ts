import type { Plan } from './plan.ts';
import { endOf, makePhase } from './plan.ts';

/** Does it work at all? Few users, no criteria of speed: nothing may fail. */
export const smoke: Plan = async ({ session, load, times, signal, onPlanned }) => {
  onPlanned(times.durationS);
  const driven = await session.drive([makePhase('smoke', times.durationS, load)], signal);
  const failed = driven.phases.some(({ offered, succeeded }) => offered === 0 || succeeded < offered);
  return { phases: driven.phases, ended: endOf(driven), findings: {}, failed };
};
