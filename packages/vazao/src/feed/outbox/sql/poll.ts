import { FLUSHED_POSITION_SQL, INSERTED_POSITION_SQL } from '../../position.ts';

/** More that a poll finds is not listed row by row: each row counts as a change of its whole table. */
export const POLL_BYTES_MAX: number = 64 * 1024 * 1024;
/** More is not taken at all; the feed begins an epoch. */
export const POLL_ROWS_MAX = 200_000;

/** Sent just before {@link POLL_SQL}, in the same packet: every commit up to here has ended, or is still running in the snapshot. */
export const POSITION_SQL: string = `select ${FLUSHED_POSITION_SQL} as flushed, ${INSERTED_POSITION_SQL} as inserted`;

/**
 * What the snapshot of this statement sees and an earlier one did not: `$1` are the transactions that were running in that
 * one, `$2` is its `xmax`. Both are looked up in the index, so an old transaction costs nothing.
 *
 * `position` is read after the snapshot was taken: no commit that the snapshot sees lies behind it. `unlisted` counts the
 * transactions that had a number by then, from the snapshot's `xmax` on: it lists none of these, running or not. (`age` counts
 * from the next number that will be given out, as long as the transaction that asks has none.)
 */
export const POLL_SQL: string = `
  with pending as materialized (
    select * from vazao.outbox where xid = any ($1::text::xid8[])
    union all
    select * from vazao.outbox where xid >= $2::text::xid8
  ), volume as (
    select count(*) as rows, coalesce(sum(bytes), 0) as bytes from pending
  )
  select pg_catalog.pg_current_snapshot()::text as snapshot, ${INSERTED_POSITION_SQL} as position,
    pg_catalog.age(pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::xid) as unlisted,
    (select birth from vazao.outbox_state) as birth, (select deleted from vazao.outbox_state) as deleted,
    (select last_value from vazao.outbox_generation)::text as generation,
    (select last_value from vazao.outbox_lease)::float8 - extract(epoch from clock_timestamp())::float8 as "leaseSeconds",
    volume.rows > ${POLL_ROWS_MAX} as overflow,
    (select json_agg(json_build_array(
        p.xid::text, p.relid::int8, p.operation, extract(epoch from p.at)::float8 * 1000,
        case when volume.bytes <= ${POLL_BYTES_MAX} then p.old_rows end,
        case when volume.bytes <= ${POLL_BYTES_MAX} then p.new_rows end) order by p.id)
      from pending p where volume.rows <= ${POLL_ROWS_MAX})::text as rows,
    (select json_agg(definition) from (${definitions('select relid from pending')}) definition)::text as definitions
  from volume`;

/** The columns of all tables that have one of our triggers. */
export const DEFINITIONS_SQL: string = definitions(
  `select tgrelid from pg_catalog.pg_trigger where tgname like 'vazao\\_outbox\\_%'`,
);

/**
 * `identity` holds the `xmin` of each column's entry in the catalog, so that a column that was renamed twice, back to its
 * old name, is seen to have been.
 */
function definitions(oids: string): string {
  return `select c.oid::int8::float8 as oid, n.nspname as schema, c.relname as name,
      array_agg(a.attname::text order by a.attnum) as columns,
      array_agg(a.attgenerated::text = 'v' order by a.attnum) as virtual,
      string_agg(a.attnum || '/' || a.xmin::text, ',' order by a.attnum) as identity
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.oid in (${oids})
    group by c.oid, n.nspname, c.relname`;
}
