import { setTimeout as delay } from 'node:timers/promises';
import type { Feed } from './feed.ts';

/** How long one wait is, before it is asked whether the feed is still fresh. */
const STEP_MS = 50;

/**
 * Waits until something has been told by the feed, or nothing is answered from the cache any more: before either, a reader
 * of this process could see something new, or write it, and then be answered with something older.
 * @param wait - resolves true when it has been told
 * @returns whether it has been told. False while the feed is fresh only at the bound.
 */
export async function untilToldOrSilent(
  feed: Pick<Feed, 'isFresh'>,
  wait: (timeoutMs: number) => Promise<boolean>,
  maxMs: number,
): Promise<boolean> {
  const deadline = performance.now() + maxMs;
  for (;;) {
    const startedAt = performance.now();
    const stepMs = Math.min(STEP_MS, deadline - startedAt);
    if (stepMs <= 0 || !feed.isFresh()) return false;
    if (await wait(stepMs)) return true;
    // Too many wait, perhaps, and it said so at once.
    if (performance.now() - startedAt < stepMs / 2) await delay(stepMs);
  }
}
