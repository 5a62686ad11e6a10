import type { ClientConfig } from 'pg';
import { FeedError } from './errors.ts';
import type { DatabaseSource } from './status.ts';

/** Source of time; tests pass a fake. */
export interface Clock {
  /** Milliseconds since any moment, fractional, never going back. */
  monotonicMs(): number;
  /** Milliseconds since 1970, fractional. */
  wallMs(): number;
}

export interface FeedOptions {
  /**
   * Where changes come from. `auto` takes the strongest that the database allows, and falls back only when it does not allow
   * one, never on a failure that may pass. @defaultValue `auto`
   */
  readonly source?: DatabaseSource | 'auto' | undefined;
  /** Of the source `outbox`. */
  readonly outbox?: OutboxOptions | undefined;
  /** How to reach the primary itself (no pooler between): a connection string, or what `pg.Client` takes. */
  readonly connection: string | ClientConfig;
  /** Created when absent, and kept in step with the tables. @defaultValue {@link PUBLICATION_DEFAULT} */
  readonly publication?: string | undefined;
  /** Publish only the tables of these schemas. @defaultValue all but PostgreSQL's own and `vazao` */
  readonly schemas?: readonly string[] | undefined;
  /** Publish only these tables, as `schema.table`. @defaultValue all tables of `schemas` */
  readonly tables?: readonly string[] | undefined;
  /** @defaultValue {@link HEARTBEAT_MS_DEFAULT} */
  readonly heartbeatMs?: number | undefined;
  /** How old the last proof of freshness may be. Must be more than `heartbeatMs`. @defaultValue {@link LEASE_MS_DEFAULT} */
  readonly leaseMs?: number | undefined;
  /** More changes to a table in one transaction become `all`. @defaultValue {@link ROWS_PER_TABLE_MAX_DEFAULT} */
  readonly rowsPerTableMax?: number | undefined;
  /** The same, by size on the wire. @defaultValue {@link BYTES_PER_TABLE_MAX_DEFAULT} */
  readonly bytesPerTableMax?: number | undefined;
  /** Callers of `waitFor` at one time; more are told `false` at once. @defaultValue {@link WAITERS_MAX_DEFAULT} */
  readonly waitersMax?: number | undefined;
  /** For one connection attempt. @defaultValue {@link CONNECT_TIMEOUT_MS_DEFAULT} */
  readonly connectTimeoutMs?: number | undefined;
  /**
   * For creating the slot, which has to wait until every transaction has ended that was writing when it began, in any
   * database of the server. @defaultValue {@link SLOT_TIMEOUT_MS_DEFAULT}
   */
  readonly slotTimeoutMs?: number | undefined;
  /** A stream that is silent for so long although heartbeats were sent is given up. @defaultValue {@link SILENCE_MS_DEFAULT} */
  readonly silenceMs?: number | undefined;
  /** First pause before connecting again; doubles up to the maximum, with jitter. @defaultValue {@link RECONNECT_MIN_MS_DEFAULT} */
  readonly reconnectMinMs?: number | undefined;
  /** @defaultValue {@link RECONNECT_MAX_MS_DEFAULT} */
  readonly reconnectMaxMs?: number | undefined;
  /** @defaultValue the system's clocks */
  readonly clock?: Clock | undefined;
  /** Numbers from 0 to 1, for jitter. @defaultValue `Math.random` */
  readonly random?: (() => number) | undefined;
}

export interface OutboxOptions {
  /** How often it is looked at when nothing calls for it, in milliseconds. @defaultValue {@link POLL_MS_DEFAULT} */
  readonly pollMs?: number | undefined;
  /**
   * Writers call the feed by `NOTIFY`, so that it does not wait for the next poll. PostgreSQL lets transactions that notify
   * commit one after the other, which costs where many commit at a time. The last feed to start decides for all.
   * @defaultValue false
   */
  readonly notify?: boolean | undefined;
  /** How long changes are kept for other hosts, in milliseconds. @defaultValue {@link RETENTION_MS_DEFAULT} */
  readonly retentionMs?: number | undefined;
}

export type ResolvedFeedOptions = {
  readonly [Name in keyof Omit<FeedOptions, 'schemas' | 'tables' | 'source' | 'outbox'>]-?: Exclude<
    FeedOptions[Name],
    undefined
  >;
} & {
  readonly selection: TableSelection;
  readonly outbox: { readonly [Name in keyof OutboxOptions]-?: Exclude<OutboxOptions[Name], undefined> };
};

/** Which tables are published; `undefined` is "all". */
export interface TableSelection {
  readonly schemas: ReadonlySet<string> | undefined;
  readonly tables: ReadonlySet<string> | undefined;
}

export const PUBLICATION_DEFAULT = 'vazao';
export const HEARTBEAT_MS_DEFAULT = 250;
export const LEASE_MS_DEFAULT = 1_000;
export const ROWS_PER_TABLE_MAX_DEFAULT = 1_000;
export const BYTES_PER_TABLE_MAX_DEFAULT: number = 16 * 1024 * 1024;
export const WAITERS_MAX_DEFAULT = 10_000;
export const CONNECT_TIMEOUT_MS_DEFAULT = 5_000;
export const SLOT_TIMEOUT_MS_DEFAULT = 30_000;
export const SILENCE_MS_DEFAULT = 5_000;
export const RECONNECT_MIN_MS_DEFAULT = 50;
/** A host without its feed computes every answer, so it looks for the database often: an attempt is one connection. */
export const RECONNECT_MAX_MS_DEFAULT = 1_000;
export const POLL_MS_DEFAULT = 100;
export const RETENTION_MS_DEFAULT = 60_000;

/** Fills in defaults. Throws {@link FeedError}. */
export function resolveFeedOptions(options: FeedOptions): ResolvedFeedOptions {
  const resolved: ResolvedFeedOptions = {
    connection: options.connection,
    publication: options.publication ?? PUBLICATION_DEFAULT,
    selection: {
      schemas: options.schemas && new Set(options.schemas),
      tables: options.tables && new Set(options.tables),
    },
    outbox: {
      pollMs: atLeast(1, 'outbox.pollMs', options.outbox?.pollMs ?? POLL_MS_DEFAULT),
      notify: options.outbox?.notify ?? false,
      retentionMs: atLeast(100, 'outbox.retentionMs', options.outbox?.retentionMs ?? RETENTION_MS_DEFAULT),
    },
    heartbeatMs: atLeast(1, 'heartbeatMs', options.heartbeatMs ?? HEARTBEAT_MS_DEFAULT),
    leaseMs: atLeast(1, 'leaseMs', options.leaseMs ?? LEASE_MS_DEFAULT),
    rowsPerTableMax: atLeast(0, 'rowsPerTableMax', options.rowsPerTableMax ?? ROWS_PER_TABLE_MAX_DEFAULT),
    bytesPerTableMax: atLeast(0, 'bytesPerTableMax', options.bytesPerTableMax ?? BYTES_PER_TABLE_MAX_DEFAULT),
    waitersMax: atLeast(0, 'waitersMax', options.waitersMax ?? WAITERS_MAX_DEFAULT),
    connectTimeoutMs: atLeast(1, 'connectTimeoutMs', options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS_DEFAULT),
    slotTimeoutMs: atLeast(1, 'slotTimeoutMs', options.slotTimeoutMs ?? SLOT_TIMEOUT_MS_DEFAULT),
    silenceMs: atLeast(1, 'silenceMs', options.silenceMs ?? SILENCE_MS_DEFAULT),
    reconnectMinMs: atLeast(1, 'reconnectMinMs', options.reconnectMinMs ?? RECONNECT_MIN_MS_DEFAULT),
    reconnectMaxMs: atLeast(1, 'reconnectMaxMs', options.reconnectMaxMs ?? RECONNECT_MAX_MS_DEFAULT),
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  };
  // With the lease no longer than the beat, an idle feed would be fresh and not fresh by turns.
  if (resolved.leaseMs <= resolved.heartbeatMs) {
    throw new FeedError(
      'ERR_FEED_OPTIONS',
      `leaseMs (${resolved.leaseMs}) must be more than heartbeatMs (${resolved.heartbeatMs}); four times as much is a good choice.`,
    );
  }
  if (resolved.publication === '' || Buffer.byteLength(resolved.publication) > 63) {
    throw new FeedError('ERR_FEED_OPTIONS', 'publication must be a name of 1 to 63 bytes.');
  }
  return resolved;
}

function atLeast(minimum: number, name: string, value: number): number {
  if (Number.isFinite(value) && value >= minimum) return value;
  throw new FeedError('ERR_FEED_OPTIONS', `${name} is ${value}; it must be a number of at least ${minimum}.`);
}

/**
 * The monotonic clock of Linux stands still while the machine sleeps, and `Date.now()` has whole milliseconds and jumps
 * when it is set. So the wall clock is the monotonic one plus an offset, which is taken again when the two disagree.
 */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs() {
    const monotonic = performance.now();
    if (Math.abs(monotonic + wallOffsetMs - Date.now()) > WALL_TOLERANCE_MS) wallOffsetMs = Date.now() - monotonic;
    return monotonic + wallOffsetMs;
  },
};

const WALL_TOLERANCE_MS = 2;
let wallOffsetMs = performance.timeOrigin;
