/** Stands in the function's comment; another text makes the feed create it anew. */
export const DDL_FUNCTION_VERSION = 'vazao ddl 1';

/**
 * Announces a schema change in the WAL, as part of its transaction.
 *
 * - Changes to temporary objects only are no change for anybody else, and applications make them all the time.
 * - Privileges, comments and labels alter no answer, and refreshing a materialized view alters no definition.
 * - A feed names itself in the setting `vazao.feed`; its own changes to the publication are announced under another
 *   prefix, or each would call for the next.
 * - The application's statement must not fail because of us, whatever happens here.
 */
export const CREATE_DDL_FUNCTION_SQL: string = `
create or replace function vazao.announce_ddl() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $function$
declare
  relevant boolean;
  feed text := current_setting('vazao.feed', true);
begin
  if tg_event = 'sql_drop' then
    relevant := exists (select from pg_event_trigger_dropped_objects() o where not o.is_temporary);
  else
    relevant := tg_tag not in ('GRANT', 'REVOKE', 'COMMENT', 'SECURITY LABEL', 'ALTER DEFAULT PRIVILEGES', 'REFRESH MATERIALIZED VIEW')
      and exists (select from pg_event_trigger_ddl_commands() o where o.schema_name is distinct from 'pg_temp');
  end if;
  if relevant then
    if coalesce(feed, '') <> '' then
      perform pg_logical_emit_message(true, 'vazao.publication', feed || ' ' || tg_tag);
    else
      perform pg_logical_emit_message(true, 'vazao.ddl', tg_tag);
    end if;
  end if;
exception when others then
  null;
end
$function$;
comment on function vazao.announce_ddl() is '${DDL_FUNCTION_VERSION}'`;
