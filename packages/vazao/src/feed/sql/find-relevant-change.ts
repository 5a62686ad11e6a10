/**
 * SQL of a function for event triggers: sets its variable `relevant` when the change of the schema may alter an answer. What
 * is temporary is nobody else's, privileges and comments alter none, and a materialized view that is refreshed keeps its definition.
 */
export const FIND_RELEVANT_CHANGE_SQL = `if tg_event = 'sql_drop' then
    relevant := exists (select from pg_event_trigger_dropped_objects() o where not o.is_temporary);
  else
    relevant := tg_tag not in ('GRANT', 'REVOKE', 'COMMENT', 'SECURITY LABEL', 'ALTER DEFAULT PRIVILEGES', 'REFRESH MATERIALIZED VIEW')
      and exists (select from pg_event_trigger_ddl_commands() o where o.schema_name is distinct from 'pg_temp');
  end if;`;
