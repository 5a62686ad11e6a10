/** SQL: what a session may set so that its statements mean, or answer, something else than those of its neighbours. */

/** What texts mean, and how values look. Some are set for a whole database or role, and change for the sessions that come later. */
const MEANINGS = [
  'search_path',
  'TimeZone',
  'DateStyle',
  'IntervalStyle',
  'array_nulls',
  'bytea_output',
  'default_text_search_config',
  'extra_float_digits',
  'lc_monetary',
  'lc_numeric',
  'lc_time',
  'quote_all_identifiers',
  'row_security',
  'standard_conforming_strings',
  'timezone_abbreviations',
  'transform_null_equals',
  'xmlbinary',
  'xmloption',
] as const;

const settings = (names: readonly string[]): string => names.map((name) => `current_setting('${name}')`).join(', ');

/**
 * What changes the meaning of a statement, or the look of an answer, most easily; asked at the beginning of each fill. It costs some
 * 2 µs each; all settings in one scan of pg_settings cost 1 ms.
 */
export const QUICK_SETTINGS_SQL: string = `concat_ws('|', current_user, session_user, ${settings(MEANINGS)}, pg_my_temp_schema())`;

/**
 * Settings under which PostgreSQL reads a statement otherwise than its parser does here, or answers by chance: where one is not as it
 * is by default, nothing is cached.
 */
export const READ_AS_USUAL: Readonly<Record<string, string>> = {
  transform_null_equals: 'off',
  array_nulls: 'on',
  standard_conforming_strings: 'on',
  gin_fuzzy_search_limit: '0',
};

/**
 * A fingerprint of what the session has set for itself; about 1 ms. Not of what it was given by the server's configuration:
 * `ALTER SYSTEM SET work_mem` would make all later sessions look changed, and end the caching until the next start.
 */
export const ALL_SETTINGS_SQL = `select coalesce(md5(string_agg(name || '=' || setting, ',' order by name)), '') as settings from pg_settings
  where context in ('user', 'superuser') and setting is distinct from reset_val
    and name not in ('application_name', 'idle_in_transaction_session_timeout', 'idle_session_timeout',
    'lock_timeout', 'statement_timeout', 'transaction_deferrable', 'transaction_isolation', 'transaction_read_only', 'transaction_timeout')`;

/** What a replica must have like its primary besides, its database's oid among it. */
export const SERVER_SETTINGS_SQL: string = `concat_ws('|', (select oid from pg_database where datname = current_database()),
  ${settings(['backslash_quote', 'client_encoding'])})`;
