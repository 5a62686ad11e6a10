/**
 * One look at the outbox. Two statements go out in one packet: the position, and then, under a later snapshot, everything
 * that this snapshot sees and the one before did not. So a transaction is told exactly once, when it becomes visible, however
 * long it took and whatever others did meanwhile.
 */
import type pg from 'pg';
import { FeedError } from '../errors.ts';
import { parsePosition } from '../position.ts';
import { parseSnapshot, type Snapshot, sees } from '../snapshot.ts';
import { POLL_SQL, POSITION_SQL } from './sql/poll.ts';

/** Number of the transaction, oid, operation, milliseconds since 1970, rows before and after as JSON. */
export type OutboxRow = readonly [
  xid: string,
  oid: number,
  operation: 'I' | 'U' | 'D' | 'A' | 'S',
  atMs: number,
  oldRows: string | null,
  newRows: string | null,
];

export interface TableDefinition {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly string[];
  /** Virtual generated columns, whose values a trigger does not see. */
  readonly virtual: readonly boolean[];
  /** Another text when a column was added, altered or renamed, also when it has its old name again. */
  readonly identity: string;
}

export interface Poll {
  /** By the monotonic clock, before it was sent. */
  readonly sentAtMs: number;
  /** Flushed, and inserted, before the snapshot was taken. */
  readonly flushed: bigint;
  readonly inserted: bigint;
  /** No commit that the snapshot sees lies behind it. */
  readonly position: bigint;
  readonly snapshot: Snapshot;
  /** Transactions with a number of at least the snapshot's `xmax`, which it does not list. */
  readonly unlisted: number;
  readonly birth: string | null;
  /** Whatever this snapshot sees may have been deleted. */
  readonly deleted: Snapshot | undefined;
  readonly generation: string;
  readonly leaseSeconds: number;
  readonly overflow: boolean;
  readonly rows: readonly OutboxRow[];
  readonly definitions: readonly TableDefinition[];
}

/** Beyond every transaction id: nothing is asked for. */
const NOTHING = '18446744073709551615';

export async function pollOutbox(
  client: pg.Client,
  previous: Snapshot | undefined,
  monotonicMs: () => number,
): Promise<Poll> {
  const sentAtMs = monotonicMs();
  const position = client.query<{ flushed: string; inserted: string }>({ name: 'vazao-position', text: POSITION_SQL });
  const found = client.query({
    name: 'vazao-poll',
    text: POLL_SQL,
    values: previous ? [`{${[...previous.running].join(',')}}`, String(previous.xmax)] : ['{}', NOTHING],
  });
  // Both are awaited together, or the failure of the first would leave that of the second unhandled.
  const [positions, { rows }] = await Promise.all([position, found]);
  const before = positions.rows[0];
  const row = rows[0];
  if (!before || !row) throw new FeedError('ERR_FEED_PROTOCOL', 'The outbox answered nothing.');
  return {
    sentAtMs,
    flushed: parsePosition(before.flushed),
    inserted: parsePosition(before.inserted),
    position: parsePosition(row.position),
    snapshot: parseSnapshot(row.snapshot),
    unlisted: row.unlisted,
    birth: row.birth,
    deleted: row.deleted === null ? undefined : parseSnapshot(row.deleted),
    generation: row.generation,
    leaseSeconds: row.leaseSeconds,
    overflow: row.overflow,
    rows: row.rows === null ? [] : JSON.parse(row.rows),
    definitions: row.definitions === null ? [] : JSON.parse(row.definitions),
  };
}

/** Whether a transaction was running in the snapshot of a poll. */
export function isBusy({ snapshot, unlisted }: Pick<Poll, 'snapshot' | 'unlisted'>): boolean {
  return snapshot.running.size > 0 || unlisted !== 0;
}

/** Whether `later` sees whatever `earlier` does. */
export function seesAll(later: Snapshot, earlier: Snapshot): boolean {
  if (earlier.xmax > later.xmax) return false;
  for (const xid of later.running) if (sees(earlier, xid)) return false;
  return true;
}

/**
 * How far the feed is after a poll: everything that anybody had seen while no more than this was flushed has been told.
 *
 * Who read `p` as flushed before the position of this poll was read could see no more than its snapshot does, as what is
 * flushed only grows; so all below `flushed` is certain. Who reads exactly `flushed` may do so later, and see a transaction
 * that had written its commit by then and was still running in the snapshot. If none was running there is no such, and what
 * is inserted counts too: whoever has not begun yet will commit behind it.
 *
 * A transaction that stays open for hours therefore holds back the last byte, and nothing else.
 */
export function positionAfter(
  poll: Pick<Poll, 'flushed' | 'inserted' | 'snapshot' | 'unlisted'>,
  wanted: bigint,
): bigint {
  if (isBusy(poll)) return poll.flushed - 1n;
  return wanted > poll.flushed ? poll.inserted : poll.flushed;
}
