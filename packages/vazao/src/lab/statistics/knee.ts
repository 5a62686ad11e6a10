import type { Interval } from './bootstrap.ts';
import { median } from './quantile.ts';

/** One step of a stress plan, in the order in which they ran. */
export interface Step {
  /** Requests a second that the plan asked for. Of users with think time: N ÷ (Z + R of the first step). */
  readonly offeredPerS: number;
  /** Requests a second that were answered well. */
  readonly completedPerS: number;
  /** Names of the criteria that this step breaks. */
  readonly broken: readonly string[];
}

export interface Knee {
  /**
   * `criterion`: a criterion broke while throughput still grew. `saturation`: throughput stopped growing, and every criterion held.
   * `both`: as usual. `not reached`: neither.
   */
  readonly reason: 'criterion' | 'saturation' | 'both' | 'not reached';
  /** Requests a second of the highest step up to which all steps met their criteria and were served whole; 0 if none was. */
  readonly sustainedPerS: number;
  /** The most that was completed, requests a second: the throughput of the saturated steps; without any, of the last that held. */
  readonly capacityPerS: number;
  /** From the last step that held to the first that did not; to infinity where none failed. */
  readonly interval: Interval;
  /** Of the first step that did not hold. */
  readonly broken: readonly string[];
  readonly sentence: string;
}

/** A step is saturated when less of what was offered was completed. */
const SERVED_MIN = 0.95;
/** Saturated steps below this share of the best are in collapse, and say nothing of the capacity. */
const PLATEAU_MIN = 0.9;

/**
 * Finds where a server gives way: the first step that breaks a criterion or is not served whole, and the throughput at which the
 * saturated steps level off (the asymptote X ≤ 1 ÷ D of the bottleneck; Jain, *The Art of Computer Systems Performance Analysis*,
 * 1991, §33.6). A server that collapses under overload is judged by its best saturated steps, not by those in collapse.
 */
export function findKnee(steps: readonly Step[]): Knee {
  const isSaturated = ({ offeredPerS, completedPerS }: Step): boolean => completedPerS < SERVED_MIN * offeredPerS;
  const failedAt = steps.findIndex((step) => step.broken.length > 0 || isSaturated(step));
  const held = failedAt < 0 ? steps : steps.slice(0, failedAt);
  const last = held.at(-1);
  const sustainedPerS = last?.completedPerS ?? 0;
  if (failedAt < 0) {
    const sentence = `not reached: every step held, up to ${sustainedPerS.toFixed(0)} requests/s`;
    const interval = { low: sustainedPerS, high: Number.POSITIVE_INFINITY };
    return { reason: 'not reached', sustainedPerS, capacityPerS: sustainedPerS, interval, broken: [], sentence };
  }
  const failed = steps[failedAt] as Step;
  const saturated = steps.slice(failedAt).filter(isSaturated);
  const best = Math.max(0, ...saturated.map(({ completedPerS }) => completedPerS));
  const plateau = saturated.filter(({ completedPerS }) => completedPerS >= PLATEAU_MIN * best);
  // Collapse pulls the plateau down; what a step before it completed, the server can complete.
  const capacityPerS = Math.max(sustainedPerS, median(plateau.map(({ completedPerS }) => completedPerS)) || 0);
  const reason = !isSaturated(failed) ? 'criterion' : failed.broken.length > 0 ? 'both' : 'saturation';
  const interval = { low: last?.offeredPerS ?? 0, high: failed.offeredPerS };
  const why = {
    criterion: `${failed.broken.join(', ')} broke at ${failed.offeredPerS.toFixed(0)} requests/s`,
    saturation: `of ${failed.offeredPerS.toFixed(0)} requests/s ${failed.completedPerS.toFixed(0)} were completed`,
    both: `of ${failed.offeredPerS.toFixed(0)} requests/s ${failed.completedPerS.toFixed(0)} were completed, and ${failed.broken.join(', ')} broke`,
  }[reason];
  const most = plateau.length > 0 ? `; saturated at ${capacityPerS.toFixed(0)}` : '';
  const sentence = `held at ${sustainedPerS.toFixed(0)} requests/s; ${why}${most}`;
  return { reason, sustainedPerS, capacityPerS, interval, broken: failed.broken, sentence };
}
