import { FIND_RELEVANT_CHANGE_SQL } from './find-relevant-change.ts';

/** Stands in the function's comment; another text makes the feed create it anew. */
export const DDL_FUNCTION_VERSION = 'vazao ddl 1';

/**
 * Announces a schema change in the WAL, as part of its transaction.
 *
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
  ${FIND_RELEVANT_CHANGE_SQL}
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
