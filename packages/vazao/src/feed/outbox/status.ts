import type { Feed } from '../feed.ts';
import type { ResolvedFeedOptions } from '../options.ts';
import { formatPosition } from '../position.ts';
import type { PublicationState } from '../publication.ts';
import { nameOf } from '../publication-plan.ts';
import type { FeedStatus } from '../status.ts';
import type { OutboxSession } from './session.ts';

interface Inside extends Pick<FeedStatus, 'state' | 'schemaInStep' | 'commits' | 'waiters' | 'lastError'> {
  readonly options: ResolvedFeedOptions;
  readonly publication: PublicationState | undefined;
  readonly session: OutboxSession | undefined;
}

export function describeStatus(feed: Feed, inside: Inside): FeedStatus {
  const { options, publication, session, ...rest } = inside;
  return {
    ...rest,
    source: 'outbox',
    fresh: feed.isFresh(),
    epoch: feed.epoch,
    position: formatPosition(feed.position),
    lagMs: feed.lagMs,
    slot: undefined,
    publication: options.publication,
    tables: (publication?.tables ?? [])
      .filter((row) => row.kind === 'ordinary' && feed.published.has(row.oid))
      .map(nameOf),
    leftOut: publication?.leftOut ?? [],
    schemaWatch: session?.schemaWatch,
    serverVersion: session?.serverVersion,
    systemId: session?.systemId,
    timeline: session?.timeline,
    suspects: feed.suspects.size,
  };
}
