import { type Feed, originOf } from '../../feed/index.ts';

export interface SecondTierOptions<V> {
  /** Where Redis is: see {@link ConnectionOptions.url}. */
  readonly url: string;
  /** What all hosts share that use one database with one publication: see {@link namespaceOf}. */
  readonly namespace: string;
  /** Answers of one schema are none under another: a hash of it, as it is now; undefined while it is not known, and nothing is asked or stored. */
  readonly schemaHash: () => string | undefined;
  /** Answers of one release of the application are none of another. */
  readonly codeVersion: string;
  /** Turns values to bytes and back. */
  readonly codec: Codec<V>;
  readonly feed: SecondTierFeed;
  /** Signs what is stored: what was not written with the secret is as good as absent. @defaultValue nothing is signed */
  readonly secret?: string | undefined;
  /** A call that takes longer has failed. @defaultValue {@link CALL_TIMEOUT_MS_DEFAULT} */
  readonly callTimeoutMs?: number | undefined;
  /** How long a computation keeps others waiting after its process has died. While that lives, it goes on asking for more. @defaultValue {@link LEASE_MS_DEFAULT} */
  readonly leaseMs?: number | undefined;
  /** How long a miss waits for another's computation before it computes on its own. @defaultValue {@link WAIT_MAX_MS_DEFAULT} */
  readonly waitMaxMs?: number | undefined;
  /** Answers are forgotten after this time even if nothing ends them. @defaultValue {@link ENTRY_MS_DEFAULT} */
  readonly entryMs?: number | undefined;
  /** Told of what Redis fails at; it is tried again. */
  readonly onProblem?: ((error: Error) => void) | undefined;
}

/** The part of a feed that the second tier uses. */
export type SecondTierFeed = Pick<Feed, 'timeline' | 'on' | 'status'>;

/**
 * Whether what a feed tells is enough to share answers by: every change in the order of the log, those of the schema among
 * them. Without event triggers a change of the schema is noticed at another moment by each process.
 */
export function isShareable(feed: Pick<Feed, 'status'>): boolean {
  const status = feed.status();
  return originOf(status) === 'wal' && status.schemaWatch === 'event triggers';
}

/** Turns values to bytes and back. */
export interface Codec<V> {
  encode(value: V): Buffer;
  /** Undefined for bytes that are no value. May throw. */
  decode(bytes: Buffer): V | undefined;
}

export const CALL_TIMEOUT_MS_DEFAULT = 50;
export const LEASE_MS_DEFAULT = 1_000;
/** A computation of a second that is handed over once, by a process that died, and then some. */
export const WAIT_MAX_MS_DEFAULT = 3_000;
export const ENTRY_MS_DEFAULT: number = 24 * 60 * 60 * 1_000;
/** First and longest pause of a miss that waits for another; doubles. */
export const WAIT_STEP_MS = 4;
export const WAIT_STEP_MAX_MS = 64;
/** A computation that takes longer than this keeps nobody waiting any more. */
export const LEASE_HELD_MAX_MS = 30_000;
/** A Redis without room is not asked to store for so long. */
export const FULL_PAUSE_MS = 1_000;
/** Failures in a row after which Redis is left alone. */
export const FAILURES_MAX = 3;
export const PROBE_MIN_MS = 200;
export const PROBE_MAX_MS = 5_000;
/** Answers that wait to be stored; more are not stored. */
export const STORES_WAITING_MAX = 256;
export const STORES_AT_ONCE_MAX = 4;

/** The hash tag keeps all keys in one slot of a cluster. */
export function namespaceOf(database: {
  /** `IDENTIFY_SYSTEM`: told by {@link FeedStatus.systemId}. */
  readonly systemId: string;
  readonly databaseOid: number;
  /** The relay tells what its feed tells, and that is what is published. */
  readonly publication: string;
  /** Of Vazão: another may tag otherwise, and both may run while hosts are upgraded one by one. */
  readonly version: string;
}): string {
  return `{vazao:${database.version}:${database.systemId}:${database.databaseOid}:${encodeURIComponent(database.publication)}}`;
}
