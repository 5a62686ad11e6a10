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

/** Parses `xmin:xmax:a,b,c`. Throws {@link FeedError}. */
export function parseSnapshot(text: string): Snapshot {
  const match = /^(\d+):(\d+):([\d,]*)$/.exec(text);
  if (!match) throw new FeedError('ERR_FEED_PROTOCOL', `Not a snapshot: ${JSON.stringify(text)}`);
  const list = match[3] as string;
  return {
    xmin: BigInt(match[1] as string),
    xmax: BigInt(match[2] as string),
    running: new Set(list === '' ? [] : list.split(',').map(BigInt)),
  };
}

/** Whether the effects of a committed transaction are visible in the snapshot. */
export function sees(snapshot: Snapshot, xid: bigint): boolean {
  return xid < snapshot.xmax && !snapshot.running.has(xid);
}
