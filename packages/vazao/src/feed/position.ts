/**
 * Positions: places in PostgreSQL's log, with the timeline that they are on, as one number: timeline × 2⁶⁴ + LSN.
 *
 * A failover begins a new timeline somewhere before the end of the old log, so LSNs alone go back then. With the timeline in
 * front everything on the new one is later than everything on the old one, and positions only grow: those of feeds, of
 * commits, and of the tokens that clients carry from before the failover.
 */
import { FeedError } from './errors.ts';
import { formatLsn, parseLsn } from './lsn.ts';

const LSN_BITS = 64n;

/** SQL, on a primary: the position of an LSN, for {@link parsePosition}. The name of a log file begins with its timeline. */
export function positionSql(lsn: string): string {
  return `(pg_catalog.left(pg_catalog.pg_walfile_name(${lsn}), 8) || ':' || (${lsn})::text)`;
}

/** SQL, on a primary: everything that has returned to its writer was committed before this. See {@link parsePosition}. */
export const FLUSHED_POSITION_SQL: string = positionSql('pg_catalog.pg_current_wal_flush_lsn()');
/** SQL, on a primary: the same, counting what is not flushed yet. */
export const INSERTED_POSITION_SQL: string = positionSql('pg_catalog.pg_current_wal_insert_lsn()');

/**
 * Of what was seen, or written, when the database then did not say any more where its log stood. No feed reaches it: whoever
 * carries it is answered past every cache, by the primary, and carries from then on what that answer shows.
 */
export const UNKNOWN_POSITION: bigint = (1n << 96n) - 1n;

/** Parses what {@link positionSql} gives. Throws {@link FeedError}. */
export function parsePosition(text: string): bigint {
  const match = /^([0-9A-F]{8}):(.+)$/i.exec(text);
  if (!match) throw new FeedError('ERR_FEED_PROTOCOL', `Not a position: ${JSON.stringify(text)}`);
  return positionAt(Number.parseInt(match[1] as string, 16), parseLsn(match[2] as string));
}

export function positionAt(timeline: number, lsn: bigint): bigint {
  return (BigInt(timeline) << LSN_BITS) | lsn;
}

/** For people: the LSN as PostgreSQL prints it. */
export function formatPosition(position: bigint): string {
  return formatLsn(BigInt.asUintN(Number(LSN_BITS), position));
}
