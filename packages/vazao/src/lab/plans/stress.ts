/**
 * Steps up until the criteria break or the server is saturated, and then looks between the last step that held and the first that
 * did not, until they are close: the knee.
 *
 * When is a server saturated? In the open model, when less is served than comes. In the closed model nothing more comes than is served,
 * so a single step tells nothing; but where half as many users again give hardly more throughput, that throughput is the server's
 * capacity, and the knee is where nearly all of it is reached. More users than that only wait longer.
 */
import type { CriterionVerdict, Knee, PhaseFigures, RunEnd } from '../run-result.ts';
import { judge } from './criteria.ts';
import { type DrivenStep, findGeneratorLimit } from './generator-limit.ts';
import type { Plan } from './plan.ts';
import { makePhase, makeWarmUp } from './plan.ts';

const GROWTH = 1.5;
/** The knee lies between two steps no further apart than this. */
const PRECISION = 1.06;
const STEPS_MAX = 40;
/** Served less than this share of what was offered, a server is saturated; and so it is with this share of its capacity. */
const SERVED_SHARE_MIN = 0.95;
/** Users grew by so much, and throughput by less than a quarter of it: this is the capacity. Smaller steps say nothing, for noise. */
const LEVELLED_GROWTH_MIN = 1.2;
const LEVELLED_SHARE = 0.25;

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

export interface SearchOptions {
  readonly first: number;
  /** Higher is not looked. @defaultValue no bound */
  readonly levelMax?: number | undefined;
  /** Levels are users: whole numbers, and where more of them give no more throughput, the server is saturated. @defaultValue false */
  readonly closed?: boolean | undefined;
  /** Drives one step; undefined ends the search. */
  readonly show: (level: number) => Promise<StepShown | undefined>;
}

export interface Found {
  readonly held: StepShown | undefined;
  readonly broke: StepShown | undefined;
  /** Not interrupted. */
  readonly ended: boolean;
}

/** Finds the highest level that holds, to {@link PRECISION}. */
export async function searchKnee(options: SearchOptions): Promise<Found> {
  const { first, levelMax = Number.POSITIVE_INFINITY, closed = false, show } = options;
  const steps: StepShown[] = [];
  for (;;) {
    const { held, broke } = bracket(closed ? withCapacity(steps) : steps);
    const wanted = nextLevel(first, levelMax, held, broke);
    const level = closed && wanted !== undefined ? Math.round(wanted) : wanted;
    // Between two neighbours there are no users.
    const isKnown = level === undefined || level < 0.5 || level === held?.level || level === broke?.level;
    if (isKnown || steps.length >= STEPS_MAX) return { held, broke, ended: true };
    const shown = await show(level);
    if (!shown) return { held, broke, ended: false };
    steps.push(shown);
  }
}

/** The lowest step that did not hold, and the highest below it. */
function bracket(steps: readonly StepShown[]): Pick<Found, 'held' | 'broke'> {
  const sorted = steps.toSorted((a, b) => a.level - b.level);
  const at = sorted.findIndex(({ broke }) => broke !== undefined);
  return at < 0 ? { held: sorted.at(-1), broke: undefined } : { held: sorted[at - 1], broke: sorted[at] };
}

/** Up by half, down to half, or to the middle (of the logarithms) between what held and what did not. */
function nextLevel(
  first: number,
  levelMax: number,
  held: StepShown | undefined,
  broke: StepShown | undefined,
): number | undefined {
  if (held && broke) return broke.level / held.level <= PRECISION ? undefined : Math.sqrt(held.level * broke.level);
  if (held) return held.level >= levelMax ? undefined : Math.min(held.level * GROWTH, levelMax);
  return broke ? broke.level / 2 : first;
}

/** Once throughput has levelled off, steps that reach nearly all of it did not hold. */
function withCapacity(steps: readonly StepShown[]): readonly StepShown[] {
  const good = steps.filter(({ broke }) => broke === undefined).sort((a, b) => a.level - b.level);
  const hasLevelled = good.some((step, index) => {
    const before = good[index - 1];
    if (!before || step.level < before.level * LEVELLED_GROWTH_MIN) return false;
    return step.throughput / before.throughput - 1 < LEVELLED_SHARE * (step.level / before.level - 1);
  });
  if (!hasLevelled) return steps;
  const capacity = Math.max(...good.map(({ throughput }) => throughput));
  return steps.map((step) => {
    if (step.broke !== undefined || step.throughput < SERVED_SHARE_MIN * capacity) return step;
    return { ...step, broke: 'more users gave no more throughput', saturated: true };
  });
}

export const stress: Plan = async (context) => {
  const { session, load, times, criteria, levelMax, connectionsMax, signal, onPlanned, monitor } = context;
  const phases: PhaseFigures[] = [];
  const verdicts = new Map<number, readonly CriterionVerdict[]>();
  const driven = new Map<number, DrivenStep>();
  const isOpen = load.rate !== undefined;
  // A throughput is what is looked for here, and no bound on each step.
  const bounds = criteria.filter(({ metric }) => metric !== 'throughput');
  const show = async (level: number): Promise<StepShown | undefined> => {
    onPlanned(times.warmUpS + times.durationS);
    const name = isOpen ? `${level.toFixed(0)}/s` : `${level} users`;
    const at = { ...load, ...(isOpen ? { rate: level } : { users: level }) };
    const warmUp = makeWarmUp(times.warmUpS, at, `warm-up of ${name}`);
    const step = await session.drive([...warmUp, makePhase(name, times.durationS, at)], signal);
    phases.push(...step.phases);
    if (step.stopped) return undefined;
    const measured = step.phases.at(-1) as PhaseFigures;
    const server = monitor().samples.filter(({ atS }) => atS >= measured.fromS && atS <= measured.toS);
    const judged = judge(bounds, measured, server, name);
    verdicts.set(level, judged);
    driven.set(level, { level, figures: measured, late: step.void });
    const failed = judged.filter(({ outcome }) => outcome === 'failed').map(({ metric }) => metric);
    // What users asked for and did not get; in the open model also what came too late.
    const good = isOpen ? measured.served : measured.succeeded;
    const saturated = good < SERVED_SHARE_MIN * measured.offered;
    const broke =
      failed.length > 0 ? `${failed.join(', ')} broke` : saturated ? 'less was served than offered' : undefined;
    // How many happened to come in so short a time is chance; which share of them was served is not.
    const share = measured.offered > 0 ? Math.min(1, measured.served / measured.offered) : 0;
    const throughput = isOpen ? level * share : measured.served / measured.durationS;
    return { level, throughput, broke, saturated };
  };
  const found = await searchKnee({ first: load.rate ?? load.users ?? 1, levelMax, closed: !isOpen, show });
  const { held, broke, ended } = found;
  const limit = findGeneratorLimit({ found, steps: [...driven.values()], isOpen, bounds, levelMax, connectionsMax });
  return {
    phases,
    ended: endOfSearch(found, limit !== undefined),
    findings: held || broke ? { knee: describeKnee(found, isOpen, ended ? limit : undefined) } : {},
    // The step that held is what the server can do; that the next one broke is why the search ended.
    verdicts: held ? verdicts.get(held.level) : broke && verdicts.get(broke.level),
    failed: held === undefined && broke !== undefined,
  };
};

function endOfSearch({ broke, ended }: Found, isGenerator: boolean): RunEnd {
  if (!ended) return 'interrupted';
  if (isGenerator) return 'generator';
  return broke?.saturated ? 'saturated' : broke ? 'criteria' : 'complete';
}

function describeKnee({ held, broke }: Found, isOpen: boolean, limit: string | undefined): Knee {
  const unit = isOpen ? 'requests/s' : 'users';
  const reached = held ? `${held.level.toFixed(0)} ${unit} held` : 'no step held';
  const next = broke ? `; at ${broke.level.toFixed(0)} ${broke.broke}` : '; nothing broke';
  const why = limit === undefined ? '' : ` This is the end of the generator, and no knee of the server: ${limit}`;
  return {
    throughput: held?.throughput ?? 0,
    ...(limit !== undefined ? { limit: 'generator' } : broke && { limit: 'server' }),
    heldRate: held?.level ?? 0,
    ...(broke && { brokeRate: broke.level }),
    why: `${reached}${next}.${why}`,
  };
}
