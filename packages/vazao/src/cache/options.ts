import type { Feed } from '../feed/index.ts';

/** The part of a feed that a cache uses. */
export type CacheFeed = Pick<Feed, 'position' | 'epoch' | 'suspects' | 'isFresh' | 'on' | 'ttlDefaultMs'>;

export interface CacheOptions {
  readonly feed: CacheFeed;
  /** Bytes of keys, values and book-keeping; what is asked for least goes first. @defaultValue {@link SIZE_MAX_BYTES_DEFAULT} */
  readonly sizeMaxBytes?: number | undefined;
  /** Milliseconds since some fixed moment, never going back; tests pass a fake. @defaultValue `performance.now` */
  readonly now?: (() => number) | undefined;
  /** How many recent commits are remembered for running fills. A fill that outlasts them is served, not stored. @defaultValue {@link RECENT_COMMITS_MAX_DEFAULT} */
  readonly recentCommitsMax?: number | undefined;
}

export const SIZE_MAX_BYTES_DEFAULT: number = 256 * 1024 * 1024;
export const RECENT_COMMITS_MAX_DEFAULT = 10_000;
/** What the recent commits may take together, by the estimate of `recent-commits.ts`; counts where rows or commits are large. */
export const RECENT_BYTES_MAX: number = 64 * 1024 * 1024;
/** Of the recent commits, how many stay for answers that come from a replica or the second tier, and their bytes. */
export const RETAINED_COMMITS_MAX = 2_000;
export const RETAINED_BYTES_MAX: number = 8 * 1024 * 1024;
/** What the cache remembers of dropped entries, to explain them. */
export const DROPS_REMEMBERED_MAX = 1_000;
/** Characters of a changed value that are remembered with a drop. */
export const DROP_VALUE_MAX = 100;
