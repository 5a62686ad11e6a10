/** The feed: every committed row change, in order, from PostgreSQL's logical replication. */

export { createFeed } from './create-feed.ts';
export { FeedError, type FeedErrorCode } from './errors.ts';
export type { SchemaWatch } from './event-triggers.ts';
export type { Commit, EpochReason, FeedEvents } from './events.ts';
export { FanOut, type FanOutOptions } from './fanout.ts';
export { createIpcChannel, type FeedChannel } from './fanout-channel.ts';
export type { FanOutMessage, FanOutReply } from './fanout-messages.ts';
export type { Feed } from './feed.ts';
export { parseLsn } from './lsn.ts';
export { type Clock, type FeedOptions, PUBLICATION_DEFAULT } from './options.ts';
export {
  FLUSHED_POSITION_SQL,
  formatPosition,
  INSERTED_POSITION_SQL,
  parsePosition,
  positionAt,
  UNKNOWN_POSITION,
} from './position.ts';
export type { LeftOutTable } from './publication-plan.ts';
export { createRelayedFeed, type RelayedFeedOptions } from './relayed-feed.ts';
export { listReplicaIdentities, setReplicaIdentityFull, type TableIdentity } from './replica-identity.ts';
export {
  intersectSnapshots,
  parseSnapshot,
  type ReadSnapshot,
  type ReplayedSnapshot,
  type Snapshot,
  sees,
  seesCommit,
  seesTransaction,
} from './snapshot.ts';
export {
  type DatabaseSource,
  type FeedSource,
  type FeedState,
  type FeedStatus,
  originOf,
  type PassedOver,
} from './status.ts';
export { createStreamedFeed, type StreamedFeedOptions } from './streamed-feed.ts';
export { untilToldOrSilent } from './told-or-silent.ts';
export type { WriteSink } from './write-sink.ts';
