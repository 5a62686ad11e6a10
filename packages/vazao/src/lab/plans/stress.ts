/**
 * Steps up until the criteria break or the server is saturated, and then looks between the last step that held and the first that
 * did not, until they are close: the knee.
 */
import type { CriterionVerdict, Knee, PhaseFigures, RunEnd } from '../run-result.ts';
import { judge } from './criteria.ts';
import type { Plan } from './plan.ts';
import { makePhase, makeWarmUp } from './plan.ts';

const GROWTH = 1.5;
/** The knee lies between two steps no further apart than this. */
const PRECISION = 1.06;
const STEPS_MAX = 40;
/** Served less than this share of what was offered, a server is saturated. */
const SERVED_SHARE_MIN = 0.95;

/** What a step of the search has shown. */
export interface StepShown {
  /** Offered, in the unit of the load: arrivals per second, or users. */
  readonly level: number;
  /** Requests per second. */
  readonly throughput: number;
  /** Why it did not hold, as a clause; undefined if it held. */
  readonly broke: string | undefined;
  /** What broke is that less was served than offered. */
  readonly saturated: boolean;
}

/**
 * Finds the highest level that holds, to {@link PRECISION}.
 * @param show - drives one step; undefined ends the search
 */
export async function searchKnee(
  first: number,
  show: (level: number) => Promise<StepShown | undefined>,
): Promise<{ readonly held: StepShown | undefined; readonly broke: StepShown | undefined; readonly ended: boolean }> {
  let held: StepShown | undefined;
  let broke: StepShown | undefined;
  for (let step = 0; step < STEPS_MAX; step++) {
    if (held && broke && broke.level / held.level <= PRECISION) return { held, broke, ended: true };
    // Up by half, down to half, or to the middle (of the logarithms) between what held and what did not.
    const level =
      held && broke
        ? Math.sqrt(held.level * broke.level)
        : held
          ? held.level * GROWTH
          : broke
            ? broke.level / 2
            : first;
    if (level < 0.5) return { held, broke, ended: true };
    const shown = await show(level);
    if (!shown) return { held, broke, ended: false };
    if (shown.broke === undefined) held = shown;
    else broke = shown;
  }
  return { held, broke, ended: true };
}

export const stress: Plan = async ({ session, load, times, criteria, signal, onPlanned, monitor }) => {
  const phases: PhaseFigures[] = [];
  const verdicts = new Map<number, readonly CriterionVerdict[]>();
  const isOpen = load.rate !== undefined;
  // A throughput is what is looked for here, and no bound on each step.
  const bounds = criteria.filter(({ metric }) => metric !== 'throughput');
  const show = async (level: number): Promise<StepShown | undefined> => {
    onPlanned(times.warmUpS + times.durationS);
    const name = isOpen ? `${level.toFixed(0)}/s` : `${level.toFixed(0)} users`;
    const at = { ...load, ...(isOpen ? { rate: level } : { users: Math.round(level) }) };
    const warmUp = makeWarmUp(times.warmUpS, at, `warm-up of ${name}`);
    const driven = await session.drive([...warmUp, makePhase(name, times.durationS, at)], signal);
    phases.push(...driven.phases);
    if (driven.stopped) return undefined;
    const measured = driven.phases.at(-1) as PhaseFigures;
    const server = monitor().samples.filter(({ atS }) => atS >= measured.fromS && atS <= measured.toS);
    const judged = judge(bounds, measured, server, name);
    verdicts.set(level, judged);
    const failed = judged.filter(({ outcome }) => outcome === 'failed').map(({ metric }) => metric);
    const { served } = measured;
    const saturated = isOpen && served < SERVED_SHARE_MIN * measured.offered;
    const broke =
      failed.length > 0 ? `${failed.join(', ')} broke` : saturated ? 'less was served than offered' : undefined;
    return { level, throughput: served / measured.durationS, broke, saturated };
  };
  const { held, broke, ended } = await searchKnee(load.rate ?? load.users ?? 1, show);
  const end: RunEnd = !ended ? 'interrupted' : broke?.saturated ? 'saturated' : broke ? 'criteria' : 'complete';
  return {
    phases,
    ended: end,
    findings: held || broke ? { knee: describeKnee(held, broke, isOpen) } : {},
    // The step that held is what the server can do; that the next one broke is why the search ended.
    verdicts: held ? verdicts.get(held.level) : broke && verdicts.get(broke.level),
    failed: held === undefined && broke !== undefined,
  };
};

function describeKnee(held: StepShown | undefined, broke: StepShown | undefined, isOpen: boolean): Knee {
  const unit = isOpen ? 'requests/s' : 'users';
  const reached = held ? `${held.level.toFixed(0)} ${unit} held` : 'no step held';
  const next = broke ? `; at ${broke.level.toFixed(0)} ${broke.broke}` : '; nothing broke';
  return {
    throughput: held?.throughput ?? 0,
    heldRate: held?.level ?? 0,
    ...(broke && { brokeRate: broke.level }),
    why: `${reached}${next}.`,
  };
}
