import type { Feed } from '../feed/index.ts';

const SUSPECTED_MAX_MS = 20_000;

/** Other tests have transactions on the same server; while those are suspects that ran at the start, nothing is stored. */
export async function untilUnsuspected(feed: Feed): Promise<void> {
  const deadline = Date.now() + SUSPECTED_MAX_MS;
  while (feed.suspects.size > 0 && Date.now() < deadline) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = feed.on('snapshot', () => resolve());
    await promise;
    stop();
  }
}
