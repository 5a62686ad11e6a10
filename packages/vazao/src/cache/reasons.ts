/**
 * Reasons that lie in the moment and not in the computation: the next one of the same key may well be kept, so it is not
 * told to pass by.
 */
const PASSING = new Set([
  'audit',
  'replica-conflict',
  'changed',
  'contended',
  'epoch',
  'feed-behind',
  'given-up',
  'not-fresh',
  'position',
  'suspect',
  'too-long',
  'failed',
  'status',
  'catalog',
  'session-state',
  'statement-failed',
  'unfinished',
  'client-left',
  'connection-lost',
]);

/** Whether an answer that was not kept for this reason says nothing of the next. */
export function isPassing(code: string): boolean {
  return PASSING.has(code);
}

/** For how long those who ask for a key are not held up by one another after its answer proved uncacheable. */
export const BYPASS_MS = 10_000;
