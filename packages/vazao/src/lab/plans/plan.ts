/** What all plans have in common: the load, how long it lasts, and how phases of it are made. */

import type { Phase } from '../engine/schedule.ts';
import type { Driven, Session } from '../engine/session.ts';
import type { Criterion, CriterionVerdict, Findings, PhaseFigures, PlanKind, RunEnd } from '../run-result.ts';
import type { Monitor } from '../server/monitor.ts';
import type { SchedulePart } from './schedule-words.ts';

/** Exactly one of `rate` and `users`. */
export interface PlanLoad {
  /** Arrivals per second, in the open model. */
  readonly rate?: number | undefined;
  /** In the closed model. */
  readonly users?: number | undefined;
  /** Mean, in the closed model. */
  readonly thinkMs: number;
  /** Distances between arrivals and times to think. */
  readonly timing: 'even' | 'random';
}

export interface PlanTimes {
  /** Of what is measured; of one step in `stress`, of one size in `volume`. */
  readonly durationS: number;
  /** Before it, not measured. */
  readonly warmUpS: number;
}

export interface PlanContext {
  readonly session: Session;
  readonly load: PlanLoad;
  readonly times: PlanTimes;
  /** `load`: instead of the load and its times. */
  readonly schedule: readonly SchedulePart[] | undefined;
  /** Most requests per second, or most users, that the generator may come to. */
  readonly levelMax: number;
  readonly connectionsMax: number;
  readonly criteria: readonly Criterion[];
  readonly signal: AbortSignal | undefined;
  /** Seconds that are still to come, as far as the plan knows. */
  readonly onPlanned: (seconds: number) => void;
  readonly monitor: () => Monitor;
  /** `volume`: makes the data so many times as large as at the beginning. */
  readonly resize: ((factor: number) => Promise<void>) | undefined;
}

export interface PlanOutcome {
  readonly phases: readonly PhaseFigures[];
  readonly ended: RunEnd;
  readonly findings: Findings;
  /** Of phases that are judged by themselves; absent: the total is judged. */
  readonly verdicts?: readonly CriterionVerdict[] | undefined;
  /** What the plan was there to find is bad. */
  readonly failed?: boolean | undefined;
}

export type Plan = (context: PlanContext) => Promise<PlanOutcome>;

interface PlanDefaults extends PlanTimes {
  readonly users?: number | undefined;
  readonly rate?: number | undefined;
}

/** What a plan does, if nobody says otherwise. */
export const PLAN_DEFAULTS: Readonly<Record<PlanKind, PlanDefaults>> = {
  load: { durationS: 60, warmUpS: 10, rate: 100 },
  stress: { durationS: 10, warmUpS: 2, rate: 50 },
  spike: { durationS: 60, warmUpS: 10, rate: 50 },
  volume: { durationS: 30, warmUpS: 5, rate: 50 },
  soak: { durationS: 3_600, warmUpS: 30, rate: 100 },
  smoke: { durationS: 5, warmUpS: 0, users: 1 },
};

export const PLAN_KINDS: readonly PlanKind[] = Object.keys(PLAN_DEFAULTS) as PlanKind[];

export function makePhase(
  name: string,
  durationS: number,
  { rate, users, thinkMs, timing }: PlanLoad,
  {
    warmUp = false,
    factor = 1,
    from,
  }: { readonly warmUp?: boolean; readonly factor?: number; readonly from?: number } = {},
): Phase {
  const to = (rate ?? users ?? 0) * factor;
  const ends = { from: from ?? to, to };
  return {
    name,
    durationS,
    warmUp,
    load:
      rate === undefined
        ? { model: 'closed', ...ends, thinkMs, thinking: timing }
        : { model: 'open', ...ends, arrivals: timing },
  };
}

/** The load comes gradually: code gets compiled, connections are made, caches fill up. */
export function makeWarmUp(durationS: number, load: PlanLoad, name = 'warm-up'): readonly Phase[] {
  return durationS > 0 ? [makePhase(name, durationS, load, { warmUp: true, from: 0 })] : [];
}

export function endOf({ stopped }: Driven): RunEnd {
  return stopped ? 'interrupted' : 'complete';
}
