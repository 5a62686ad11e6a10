/** Whether the generator did what was asked of it. */
import type { GeneratorHealth, LatencySummary } from '../run-result.ts';
import type { DriveHealth } from './messages.ts';

const TIMELY_SHARE_MIN = 0.99;
const EVENT_LOOP_DELAY_MS_MAX = 20;
const EVENT_LOOP_UTILISATION_MAX = 0.95;
/** Of an open model with fewer arrivals, one late one decides nothing. */
const ARRIVALS_MIN = 100;

/** Why the run says nothing about the server; empty when it counts. */
export function findVoid(
  health: Pick<GeneratorHealth, 'timelyShare' | 'eventLoopDelayP99Ms' | 'eventLoopUtilisation'> & {
    readonly lateness: Pick<LatencySummary, 'count'>;
  },
): readonly string[] {
  const { timelyShare, lateness, eventLoopDelayP99Ms, eventLoopUtilisation } = health;
  const reasons: string[] = [];
  if (lateness.count >= ARRIVALS_MIN && timelyShare < TIMELY_SHARE_MIN) {
    reasons.push(
      `The generator was late: ${percent(1 - timelyShare)} of the requests were sent more than 10 ms after they were due (allowed: ${percent(1 - TIMELY_SHARE_MIN)}).`,
    );
  }
  if (eventLoopDelayP99Ms > EVENT_LOOP_DELAY_MS_MAX) {
    reasons.push(
      `The generator stood still: its event loop was delayed by ${eventLoopDelayP99Ms.toFixed(0)} ms (p99; allowed: ${EVENT_LOOP_DELAY_MS_MAX} ms).`,
    );
  }
  if (eventLoopUtilisation > EVENT_LOOP_UTILISATION_MAX) {
    reasons.push(
      `The generator had no CPU to spare: a thread of it was busy for ${percent(eventLoopUtilisation)} of the time (allowed: ${percent(EVENT_LOOP_UTILISATION_MAX)}). Give it more threads, or offer less.`,
    );
  }
  return reasons;
}

/** The same of one drive: what its threads say. */
export function findDriveVoid(threads: readonly DriveHealth[]): readonly string[] {
  const sum = (pick: (thread: DriveHealth) => number): number => threads.reduce((all, thread) => all + pick(thread), 0);
  const count = sum(({ arrivals }) => arrivals);
  return findVoid({
    lateness: { count },
    timelyShare: count === 0 ? 1 : sum(({ timely }) => timely) / count,
    eventLoopDelayP99Ms: Math.max(...threads.map(({ eventLoopDelayP99Ms }) => eventLoopDelayP99Ms)),
    eventLoopUtilisation: Math.max(...threads.map(({ eventLoopUtilisation }) => eventLoopUtilisation)),
  });
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
