import type { FeedErrorCode } from './errors.ts';
import type { SchemaWatch } from './event-triggers.ts';
import type { LeftOutTable } from './publication-plan.ts';

/**
 * `stopped` → `connecting` → `streaming` ⇄ `waiting` (lost, before the next attempt) ⇄ `connecting`; `closed` from any.
 */
export type FeedState = 'stopped' | 'connecting' | 'streaming' | 'waiting' | 'closed';

/**
 * What reads the changes from the database, the strongest first: `wal` (logical replication: every writer), `outbox` (triggers:
 * every writer, polled), `app` (only what this process writes).
 */
export type DatabaseSource = 'wal' | 'outbox' | 'app';

/** Where changes come from. `stream`: from another host, by way of Redis; {@link FeedStatus.origin} says what that one reads. */
export type FeedSource = DatabaseSource | 'stream';

/** A source that would be stronger than the one in use, and why it is not. */
export interface PassedOver {
  readonly source: DatabaseSource;
  readonly code: FeedErrorCode;
  readonly message: string;
}

/** For health checks, `doctor` and the console. All values are JSON, but positions are texts as PostgreSQL prints them. */
export interface FeedStatus {
  readonly state: FeedState;
  readonly source: FeedSource;
  /** Of the source `stream`: the source of the host that writes the stream. */
  readonly origin?: DatabaseSource | undefined;
  /** Present when the feed chose its source by itself. */
  readonly passedOver?: readonly PassedOver[] | undefined;
  readonly fresh: boolean;
  readonly epoch: number;
  readonly position: string;
  readonly lagMs: number;
  readonly slot: string | undefined;
  readonly publication: string;
  /** `schema.table` of each ordinary table or partition whose changes arrive. */
  readonly tables: readonly string[];
  readonly leftOut: readonly LeftOutTable[];
  /** How schema changes are noticed. */
  readonly schemaWatch: SchemaWatch | undefined;
  /** False while a schema change is known that the publication may not be in step with. */
  readonly schemaInStep: boolean;
  readonly serverVersion: number | undefined;
  readonly systemId: string | undefined;
  readonly timeline: number | undefined;
  /** Commits delivered, in all epochs. */
  readonly commits: number;
  readonly suspects: number;
  readonly waiters: number;
  readonly lastError: { readonly code: string; readonly message: string; readonly at: string } | undefined;
}

/** What reads the changes from the database, be it on this host or another: it decides what they can be trusted for. */
export function originOf({ source, origin }: Pick<FeedStatus, 'source' | 'origin'>): DatabaseSource | undefined {
  return source === 'stream' ? origin : source;
}
