import { FeedError } from './errors.ts';

/** What a statement can see: `pg_current_snapshot()`. All ids are 64 bits wide and of top-level transactions. */
export interface Snapshot {
  /** Every transaction below has ended. */
  readonly xmin: bigint;
  /** No transaction from here on had begun to write. */
  readonly xmax: bigint;
  /** Those between that had not ended. */
  readonly running: ReadonlySet<bigint>;
}

/** Most snapshots are of moments at which nobody writes, and each entry of a cache keeps its own. */
const NONE: ReadonlySet<bigint> = new Set();

/** Parses `xmin:xmax:a,b,c`. Throws {@link FeedError}. */
export function parseSnapshot(text: string): Snapshot {
  const match = /^(\d+):(\d+):([\d,]*)$/.exec(text);
  if (!match) throw new FeedError('ERR_FEED_PROTOCOL', `Not a snapshot: ${JSON.stringify(text)}`);
  const list = match[3] as string;
  return {
    xmin: BigInt(match[1] as string),
    xmax: BigInt(match[2] as string),
    running: list === '' ? NONE : new Set(list.split(',').map(BigInt)),
  };
}

/**
 * What a transaction on a standby can see: every commit up to a position, and none after. Its `pg_current_snapshot()` is of
 * no use: during recovery PostgreSQL keeps all running transactions where that function does not look (procarray.c,
 * `GetSnapshotData`, "we know that all transactions are subtransactions").
 */
export interface ReplayedSnapshot {
  /** `pg_last_wal_replay_lsn()`, read before the snapshot was taken. */
  readonly replayedTo: bigint;
}

/** What a fill can see. */
export type ReadSnapshot = Snapshot | ReplayedSnapshot;

/** Whether a delivered commit is surely visible in the snapshot. */
export function seesCommit(
  snapshot: ReadSnapshot,
  commit: { readonly xid: bigint; readonly position: bigint },
): boolean {
  return 'replayedTo' in snapshot ? commit.position <= snapshot.replayedTo : sees(snapshot, commit.xid);
}

/** Whether a transaction, of which nothing but its id is known, is surely visible in the snapshot if it has committed. */
export function seesTransaction(snapshot: ReadSnapshot, xid: bigint): boolean {
  return 'replayedTo' in snapshot ? false : sees(snapshot, xid);
}

/** What both see. Throws for snapshots of replicas, which tell by position what they see. */
export function intersectSnapshots(a: ReadSnapshot, b: ReadSnapshot): Snapshot {
  if ('replayedTo' in a || 'replayedTo' in b) throw new TypeError('Only snapshots of the primary can be intersected.');
  const xmax = a.xmax < b.xmax ? a.xmax : b.xmax;
  const running = [...a.running, ...b.running].filter((xid) => xid < xmax);
  return { xmin: a.xmin < b.xmin ? a.xmin : b.xmin, xmax, running: new Set(running) };
}

/** Whether the effects of a committed transaction are visible in the snapshot. */
export function sees(snapshot: Snapshot, xid: bigint): boolean {
  return xid < snapshot.xmax && !snapshot.running.has(xid);
}
