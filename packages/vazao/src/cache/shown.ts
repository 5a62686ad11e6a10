/** When the answer of a fill may leave. */
import { type Feed, untilToldOrSilent } from '../feed/index.ts';
import type { Cache } from './cache.ts';
import type { Fill } from './fill.ts';

/** All that the answer shows has been told by the feed, and is visible to whoever reads from the primary next. */
export function isShown<V>(fill: Fill<V>, cache: Cache<V>): boolean {
  return fill.position <= cache.feed.position && !cache.isAhead(fill);
}

/** Resolves true when {@link isShown}; false at the time-out, or when the feed breaks. */
export async function untilShown<V>(
  fill: Fill<V>,
  cache: Cache<V>,
  feed: Pick<Feed, 'position' | 'waitFor'>,
  timeoutMs: number,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  let { position } = fill;
  while (await feed.waitFor(position, Math.max(0, deadline - performance.now()))) {
    if (!cache.isAhead(fill)) return true;
    // Each wait makes the feed ask for a heartbeat, whose snapshot tells.
    position = feed.position + 1n;
  }
  return false;
}

/**
 * Holds an answer back until {@link isShown}, or until it has to leave: because the feed is silent, which the cache then remembers
 * ({@link Cache.noteUntold}), or because it lags behind for longer than an answer waits, which is then not kept.
 * @returns false for one that must not leave: a replica showed it, and the primary, which answers next, may not show it yet
 */
export async function holdBack<V>(
  fill: Fill<V>,
  cache: Cache<V>,
  feed: Pick<Feed, 'position' | 'waitFor' | 'isFresh'>,
  maxMs: number,
): Promise<boolean> {
  const isTold = await untilToldOrSilent(feed, (timeoutMs) => untilShown(fill, cache, feed, timeoutMs), maxMs);
  if (isTold) return true;
  if (feed.isFresh()) {
    fill.abandon('feed-behind', 'The feed did not reach the snapshot in time.');
    return true;
  }
  cache.noteUntold(fill.position);
  return !fill.isOfReplica;
}
