/**
 * When requests are due. A phase's rate goes in a straight line from `from` to `to`; steps, spikes and ramps are phases one
 * after the other.
 *
 * The n-th arrival is due when the area under the rate has reached n: N(t) = from·t + (to − from)·t²/(2·duration). Arrivals at
 * random (Poisson) go through the same inverse with sums of exponential distances instead of whole numbers, which is exact
 * for a rate that changes, too.
 */
import type { Random } from './random.ts';

export interface OpenLoad {
  readonly model: 'open';
  /** `random`: a Poisson process, as independent people arrive. `even`: the same distance, as a metronome. */
  readonly arrivals: 'even' | 'random';
  /** Requests per second at the beginning and at the end. */
  readonly from: number;
  readonly to: number;
}

export interface ClosedLoad {
  readonly model: 'closed';
  /** Users at the beginning and at the end. */
  readonly from: number;
  readonly to: number;
  /** Mean time between an answer and the same user's next request. */
  readonly thinkMs: number;
  /** `random`: exponential. `even`: always the mean. */
  readonly thinking: 'even' | 'random';
}

export interface Phase {
  readonly name: string;
  readonly durationS: number;
  /** Its figures are not part of the total. */
  readonly warmUp: boolean;
  readonly load: OpenLoad | ClosedLoad;
}

/** Seconds after the phase's begin at which `count` arrivals are due; more than its duration if it has no so many. */
export function timeOfArrival({ from, to }: Pick<OpenLoad, 'from' | 'to'>, durationS: number, count: number): number {
  if (count === 0) return from === 0 && to === 0 ? Number.POSITIVE_INFINITY : 0;
  const growth = (to - from) / durationS;
  if (growth === 0) return from === 0 ? Number.POSITIVE_INFINITY : count / from;
  // The root that does not cancel when the growth is small.
  const discriminant = from * from + 2 * growth * count;
  return discriminant < 0 ? Number.POSITIVE_INFINITY : (2 * count) / (from + Math.sqrt(discriminant));
}

/**
 * Arrivals of one of `shares` equal shares of a phase: the shares together are the whole schedule. Yields seconds after the
 * phase's begin, in order.
 */
export function* scheduleArrivals(
  load: OpenLoad,
  durationS: number,
  share: { readonly index: number; readonly shares: number },
  random: Random,
): Generator<number, void, undefined> {
  let count = load.arrivals === 'even' ? share.index : random.exponential() * share.shares;
  for (;;) {
    const at = timeOfArrival(load, durationS, count);
    if (!(at < durationS)) return;
    yield at;
    // The sum of independent streams, each with its share of the rate, is the whole stream again.
    count += load.arrivals === 'even' ? share.shares : random.exponential() * share.shares;
  }
}
