/**
 * When writers write: all of them at the same time, and then none for a while. What has to be right is how writes, reads and
 * faults meet; spread evenly, the same number of writes would have the servers spend their time on computing anew what the last
 * one ended, and few of the reads would be hits.
 */
const PERIOD_MS = 2_000;
const BURST_MS = 500;
/** Whoever writes on average so often has to write faster by this factor. */
export const BURST_FACTOR: number = PERIOD_MS / BURST_MS;

/** For how long a writer has to wait until it may write. */
export function untilBurst(nowMs: number): number {
  const at = nowMs % PERIOD_MS;
  return at < BURST_MS ? 0 : PERIOD_MS - at;
}
