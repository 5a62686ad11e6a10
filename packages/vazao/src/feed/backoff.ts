import type { ResolvedFeedOptions } from './options.ts';

/**
 * The pause before the next attempt: doubles from the minimum to the maximum, and between half of that and all of it, so
 * that the feeds of many hosts do not return to a database together.
 */
export function backoffMs(
  failures: number,
  options: Pick<ResolvedFeedOptions, 'reconnectMinMs' | 'reconnectMaxMs' | 'random'>,
): number {
  const fullMs = Math.min(options.reconnectMaxMs, options.reconnectMinMs * 2 ** Math.min(failures, 30));
  return fullMs * (0.5 + 0.5 * options.random());
}
