import type pg from 'pg';
import { parseSnapshot, type Snapshot } from './snapshot.ts';

/**
 * SQL: the present snapshot, and how many transactions have a number from its `xmax` on. `pg_current_snapshot()` takes for
 * `xmax` the number after the last one that *ended* (procarray.c, `GetSnapshotData`: `latestCompletedXid` + 1), so all of
 * those run, and it lists none of them. `age` counts up to the next number to be given out, which is read later.
 */
const READ_SNAPSHOT_SQL = `select pg_catalog.pg_current_snapshot()::text as snapshot,
  pg_catalog.age(pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::xid) as unlisted`;

/** The present snapshot, with every transaction among its running ones that has a number and has not ended. */
export async function readSnapshot(client: pg.ClientBase): Promise<Snapshot> {
  const { rows } = await client.query<{ snapshot: string; unlisted: number }>(READ_SNAPSHOT_SQL);
  return withUnlisted(parseSnapshot(rows[0]?.snapshot ?? ''), rows[0]?.unlisted ?? 0);
}

/** Adds the transactions from `xmax` on, which the snapshot sees as running without naming them. */
export function withUnlisted({ xmin, xmax, running }: Snapshot, count: number): Snapshot {
  if (count <= 0) return { xmin, xmax, running };
  const unlisted = Array.from({ length: count }, (_, index) => xmax + BigInt(index));
  return { xmin, xmax: xmax + BigInt(count), running: new Set([...running, ...unlisted]) };
}
