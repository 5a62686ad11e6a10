import { hostClockMs } from './fanout-messages.ts';
import type { Clock } from './options.ts';

/** How far freshness that another process tells of may be believed. */
export interface FreshnessProof {
  start?(onProblem: (error: unknown) => void): void;
  close?(): Promise<void>;
  /**
   * The end of the freshness, by the own monotonic clock. Called when everything told before has been delivered.
   * @param position - of the feed, as it is then
   */
  findFreshUntilMs(told: ToldFreshness, position: bigint): number;
}

export interface ToldFreshness {
  /** By the clock of the host of whoever tells. */
  readonly freshUntilMs: number;
  /** What was left of it when it came about; undefined where that is not known. */
  readonly leftMs?: number | undefined;
}

/** For processes of one host, which have a clock in common. */
export class HostClockProof implements FreshnessProof {
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  findFreshUntilMs({ freshUntilMs }: ToldFreshness): number {
    // The own clock is read first, so that what is left comes out shorter, never longer.
    const nowMs = this.#clock.monotonicMs();
    return nowMs + (freshUntilMs - hostClockMs());
  }
}
