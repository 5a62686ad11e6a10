/** Why the answer of a fill may be served and not kept. */
import { seesTransaction } from '../feed/index.ts';
import { type Fill, isOfOlderTimeline, type NotStored, SHARED_WITH_ALL } from './fill.ts';
import type { CacheFeed } from './options.ts';
import type { RecentCommits } from './recent-commits.ts';

/** How things stand when the fill ends. */
export interface Standing {
  readonly feed: Pick<CacheFeed, 'epoch' | 'position'>;
  readonly isFresh: boolean;
  /** Of the cache; another than at the start when everything was dropped meanwhile. */
  readonly generation: number;
  readonly recent: RecentCommits;
  readonly coveredFrom: bigint;
  readonly ttlMs: number | undefined;
  /** The sequence of the first commit that outdates the answer, or {@link SHARED_WITH_ALL}. */
  readonly outdatedAt: number;
}

export function findWhyNotStored<V>(
  fill: Fill<V>,
  { feed, isFresh, generation, recent, coveredFrom, ttlMs, outdatedAt }: Standing,
): NotStored | undefined {
  if (fill.notStored) return fill.notStored;
  if (fill.start.epoch !== feed.epoch || fill.start.generation !== generation) {
    return { code: 'epoch', detail: 'The feed had a gap, or the schema changed, while the answer was computed.' };
  }
  if (fill.snapshot && isOfOlderTimeline(fill.position, feed.position))
    return { code: 'epoch', detail: 'Its connection has outlived a failover: the old server has answered.' };
  if (!isFresh) return { code: 'not-fresh', detail: 'The feed has not spoken within its lease, so nothing is stored.' };
  const { snapshot } = fill;
  if (!snapshot && fill.statements.length > 0) {
    return { code: 'unfinished', detail: 'The answer was sent before its statements had begun.' };
  }
  if (!snapshot) {
    if (ttlMs !== undefined) return undefined;
    return {
      code: 'no-statement',
      detail: 'The answer read nothing through the pool, so nothing would ever drop it. Name a `ttl` if that is meant.',
    };
  }
  for (const suspect of fill.start.suspects) {
    if (!seesTransaction(snapshot, suspect)) {
      return { code: 'suspect', detail: 'A transaction was running that began before the feed could see all of it.' };
    }
  }
  const isCovered = fill.validAt === undefined ? recent.covers(fill.start.neededAfter) : coveredFrom <= fill.validAt;
  if (!isCovered) {
    return {
      code: 'too-long',
      detail: 'The computation took longer, or its replica is further behind, than the recent commits are remembered.',
    };
  }
  if (outdatedAt !== SHARED_WITH_ALL) {
    return { code: 'changed', detail: 'A row that the answer was computed from changed meanwhile.' };
  }
  // Last of all: who may share an answer that is not stored is known only when all that came before is.
  if (fill.usesTime && ttlMs === undefined) {
    return {
      code: 'time',
      detail: 'A statement depends on the current time. Name a `ttl` for the route to say how old its answer may get.',
    };
  }
  return undefined;
}
