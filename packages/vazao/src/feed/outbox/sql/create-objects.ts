import { FIND_RELEVANT_CHANGE_SQL } from '../../sql/find-relevant-change.ts';

/** Stands in the comment of the outbox; another text makes the next feed create the functions anew. */
export function outboxVersion(notifies: boolean): string {
  return `vazao outbox 2${notifies ? ' with notify' : ''}`;
}

/** More rows of one statement, or of one transaction where triggers work row by row, count as a change of the whole table. */
export const STATEMENT_ROWS_MAX = 1_000;
/** The same, in bytes of their text. */
export const STATEMENT_BYTES_MAX = 1_000_000;
/** What is appended is dropped after this, unless somebody has said within it that he reads. */
export const LEASE_SECONDS = 120;
export const NOTIFY_CHANNEL = 'vazao_outbox';

/**
 * - `outbox` is unlogged: its rows cost no WAL, and need not survive a crash, after which every feed begins an epoch.
 *   `birth`, in a table that is emptied by the same crash (and on a standby that is promoted), tells that it was.
 * - `outbox_lease` is the second (since 1970) up to which writers append. It is a sequence since sequences are outside of
 *   snapshots: a writer in REPEATABLE READ must see a lease that was renewed after it began. Without readers nothing is
 *   appended, so an outbox that everybody has forgotten does not grow.
 * - `outbox_generation` grows when the lease had run out, that is, when changes may be missing.
 */
export const CREATE_OUTBOX_SQL: string = `
create schema if not exists vazao;
create unlogged table if not exists vazao.outbox (
  id int8 not null, xid xid8 not null, relid oid not null, operation text not null, at timestamptz not null,
  bytes int4 not null, old_rows text, new_rows text
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
alter table vazao.outbox alter old_rows set storage external, alter new_rows set storage external;
create index if not exists outbox_xid on vazao.outbox (xid);
create index if not exists outbox_whole on vazao.outbox (xid, relid) where operation = 'A';
create unlogged table if not exists vazao.outbox_state (
  one boolean primary key default true check (one), birth text not null, deleted text);
create sequence if not exists vazao.outbox_id;
create sequence if not exists vazao.outbox_lease;
create sequence if not exists vazao.outbox_generation`;

/**
 * The output functions of the values run inside, under the settings that the stream of the other source has. What is not
 * pinned (`lc_monetary`, `quote_all_identifiers`) shapes types that are never compared by their text across rows.
 */
const SETTINGS = `set search_path = pg_catalog, pg_temp set DateStyle = 'ISO' set TimeZone = 'UTC'
  set IntervalStyle = 'postgres' set extra_float_digits = '3' set bytea_output = 'hex'`;

const APPEND = `insert into vazao.outbox (id, xid, relid, operation, at, bytes, old_rows, new_rows)
    values (nextval('vazao.outbox_id'), pg_current_xact_id()`;
const IS_UNREAD = `(select last_value from vazao.outbox_lease) < extract(epoch from clock_timestamp())`;

/**
 * Three trigger functions, and one for event triggers. They run with the rights of their owner, so any writer may append;
 * nobody but the owner may make triggers of them.
 *
 * `concat` calls the output function of the row's type. A cast to text may be one that the table's owner has made, and would
 * run here with the rights of the owner of these functions.
 *
 * A row that can't be written as text (too large, an output function that fails) must not fail the writer's statement: it
 * becomes "the whole table". That the outbox itself can't be written to does, or the change would be lost.
 */
export function createFunctionsSql(notifies: boolean): string {
  const notify = notifies ? `perform pg_notify('${NOTIFY_CHANNEL}', '');` : '';
  return `
create or replace function vazao.outbox_statement() returns trigger language plpgsql security definer ${SETTINGS} as $function$
declare
  old_rows text; new_rows text; old_count int8 := 0; new_count int8 := 0; old_bytes int8 := 0; new_bytes int8 := 0;
  whole boolean := false;
begin
  if ${IS_UNREAD} then return null; end if;
  begin
    if tg_op <> 'INSERT' then
      select json_agg(line)::text, count(*), coalesce(sum(octet_length(line)), 0) into old_rows, old_count, old_bytes
      from (select concat(vazao_line.*) as line from vazao_old vazao_line limit ${STATEMENT_ROWS_MAX + 1}) lines;
    end if;
    if tg_op <> 'DELETE' then
      select json_agg(line)::text, count(*), coalesce(sum(octet_length(line)), 0) into new_rows, new_count, new_bytes
      from (select concat(vazao_line.*) as line from vazao_new vazao_line limit ${STATEMENT_ROWS_MAX + 1}) lines;
    end if;
    if old_count + new_count = 0 then return null; end if;
    whole := greatest(old_count, new_count) > ${STATEMENT_ROWS_MAX} or old_bytes + new_bytes > ${STATEMENT_BYTES_MAX};
  exception when others then
    whole := true;
  end;
  if whole then
    ${APPEND}, tg_relid, 'A', clock_timestamp(), 0, null, null);
  else
    ${APPEND}, tg_relid, left(tg_op, 1), clock_timestamp(), old_bytes + new_bytes, old_rows, new_rows);
  end if;
  ${notify}
  return null;
end
$function$;

create or replace function vazao.outbox_row() returns trigger language plpgsql security definer ${SETTINGS} as $function$
declare
  old_rows text; new_rows text; size int8;
  listed int8 := coalesce(nullif(current_setting('vazao.outbox_listed', true), ''), '0')::int8;
  told text := coalesce(current_setting('vazao.outbox_told', true), '');
  mark text := ',' || tg_relid || ',';
begin
  if ${IS_UNREAD} then return null; end if;
  -- The setting, which anybody may set, says that it is worth looking.
  if strpos(told, mark) > 0 and exists (select from vazao.outbox o
      where o.xid = pg_current_xact_id() and o.relid = tg_relid and o.operation = 'A') then
    return null;
  end if;
  if listed < ${STATEMENT_ROWS_MAX} then
    begin
      if tg_op <> 'INSERT' then old_rows := json_build_array(concat(old))::text; end if;
      if tg_op <> 'DELETE' then new_rows := json_build_array(concat(new))::text; end if;
      size := coalesce(octet_length(old_rows), 0) + coalesce(octet_length(new_rows), 0);
    exception when others then
      size := null;
    end;
  end if;
  if size <= ${STATEMENT_BYTES_MAX} then
    perform set_config('vazao.outbox_listed', (listed + 1)::text, true);
    ${APPEND}, tg_relid, left(tg_op, 1), clock_timestamp(), size, old_rows, new_rows);
  else
    -- Undone with a savepoint, as the row is.
    perform set_config('vazao.outbox_told', told || mark, true);
    ${APPEND}, tg_relid, 'A', clock_timestamp(), 0, null, null);
  end if;
  ${notify}
  return null;
end
$function$;

create or replace function vazao.outbox_truncate() returns trigger language plpgsql security definer ${SETTINGS} as $function$
begin
  if ${IS_UNREAD} then return null; end if;
  ${APPEND}, tg_relid, 'A', clock_timestamp(), 0, null, null);
  ${notify}
  return null;
end
$function$;

create or replace function vazao.outbox_schema() returns event_trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $function$
declare
  relevant boolean;
begin
  if coalesce(current_setting('vazao.feed', true), '') <> '' then return; end if;
  ${FIND_RELEVANT_CHANGE_SQL}
  if relevant and not ${IS_UNREAD} then
    ${APPEND}, 0, 'S', clock_timestamp(), 0, null, null);
    ${notify}
  end if;
end
$function$;

revoke all on function vazao.outbox_statement(), vazao.outbox_row(), vazao.outbox_truncate(), vazao.outbox_schema() from public;
comment on table vazao.outbox is '${outboxVersion(notifies)}'`;
}
