/** Entries, fills, and the index from changes to entries. Knows nothing of HTTP. */
export { Cache } from './cache.ts';
export type { Drop } from './drop.ts';
export { type Duration, parseDuration } from './duration.ts';
export type { Entry, StatementRecord } from './entry.ts';
export { type ExplainedDrop, type ExplainedStatement, explainDrop, explainStatement } from './explain.ts';
export type { CacheFigures } from './figures.ts';
export {
  Fill,
  isOfOlderTimeline,
  type Joined,
  type NotStored,
  SHARED_WITH_EARLY,
} from './fill.ts';
export type { CacheFeed, CacheOptions } from './options.ts';
export { BYPASS_MS, isPassing } from './reasons.ts';
export { holdBack, isShown, untilShown } from './shown.ts';
