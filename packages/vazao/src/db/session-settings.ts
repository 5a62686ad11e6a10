/** SQL: what a session may set so that its statements mean, or answer, something else than those of its neighbours. */

/** What changes the meaning of a statement most easily, and costs nothing to ask. */
export const QUICK_SETTINGS_SQL = `concat_ws('|', current_user, session_user, current_setting('search_path'), current_setting('TimeZone'),
  current_setting('DateStyle'), pg_my_temp_schema())`;

/**
 * A fingerprint of what the session has set for itself; about 1 ms. Not of what it was given by the server's configuration:
 * `ALTER SYSTEM SET work_mem` would make all later sessions look changed, and end the caching until the next start.
 */
export const ALL_SETTINGS_SQL = `select coalesce(md5(string_agg(name || '=' || setting, ',' order by name)), '') as settings from pg_settings
  where context in ('user', 'superuser') and setting is distinct from reset_val
    and name not in ('application_name', 'idle_in_transaction_session_timeout', 'idle_session_timeout',
    'lock_timeout', 'statement_timeout', 'transaction_deferrable', 'transaction_isolation', 'transaction_read_only', 'transaction_timeout')`;

/** What a server's configuration may say so that its answers look, or mean, something else than another server's. */
const SERVER_SETTINGS = [
  'array_nulls',
  'backslash_quote',
  'bytea_output',
  'client_encoding',
  'default_text_search_config',
  'extra_float_digits',
  'IntervalStyle',
  'lc_monetary',
  'lc_numeric',
  'lc_time',
  'row_security',
  'standard_conforming_strings',
  'timezone_abbreviations',
  'transform_null_equals',
  'xmlbinary',
  'xmloption',
] as const;

/** What a replica must have like its primary, its database's oid among it; costs as little as the quick ones. */
export const SERVER_SETTINGS_SQL: string = `concat_ws('|', (select oid from pg_database where datname = current_database()),
  ${SERVER_SETTINGS.map((name) => `current_setting('${name}')`).join(', ')})`;
