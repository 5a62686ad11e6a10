/**
 * What is known of the functions of `pg_catalog` that are not IMMUTABLE. STABLE only promises "the same within one
 * statement"; these tables say on what such a function really depends. A STABLE function that is in neither is refused.
 *
 * Derived from pg_proc of PostgreSQL 18, one by one; `functions.test.ts` compares them with the server of the tests.
 */

/**
 * These depend on their arguments and on settings of the session that never change within a pool (TimeZone, DateStyle,
 * lc_time, default_text_search_config, extra_float_digits …).
 */
export const DEPENDS_ON_ARGUMENTS: ReadonlySet<string> = new Set(
  `array_to_json array_to_string concat concat_ws convert convert_from convert_to date date_add date_part date_subtract
   date_trunc extract format generate_series in_range json_agg json_agg_strict json_build_array json_build_object
   json_object_agg json_object_agg_strict json_object_agg_unique json_object_agg_unique_strict json_populate_record
   json_populate_recordset json_to_record json_to_recordset json_to_tsvector jsonb_agg jsonb_agg_strict
   jsonb_build_array jsonb_build_object jsonb_object_agg jsonb_object_agg_strict jsonb_object_agg_unique
   jsonb_object_agg_unique_strict jsonb_populate_record jsonb_populate_record_valid
   jsonb_populate_recordset jsonb_to_record jsonb_to_recordset jsonb_to_tsvector length make_timestamptz money numeric
   overlaps phraseto_tsquery plainto_tsquery quote_literal quote_nullable row_to_json time timestamp timestamptz
   timezone to_char to_date to_json to_jsonb to_number to_timestamp to_tsquery to_tsvector ts_headline
   websearch_to_tsquery xml xml_is_well_formed`.split(/\s+/),
);

/**
 * These read the clock. `timetz` takes the zone's offset of the current day, and so may a path in JSON with `.time_tz()`; `age` only
 * with one argument.
 */
export const READS_CLOCK: ReadonlySet<string> = new Set([
  'now',
  'transaction_timestamp',
  'statement_timestamp',
  'age',
  'timetz',
  'jsonb_path_exists_tz',
  'jsonb_path_match_tz',
  'jsonb_path_query_array_tz',
  'jsonb_path_query_first_tz',
  'jsonb_path_query_tz',
]);

/**
 * These depend on who is connected, in ways in which the sessions whose answers are kept do not differ: a session of another
 * user or search path than its pool had is told by the comparison of settings at the beginning of each fill.
 */
export const SAME_IN_ALL_SESSIONS: ReadonlySet<string> = new Set(
  'current_user session_user current_schema current_schemas current_database version'.split(' '),
);

/** These depend on who is connected, or how. */
export const READS_SESSION: ReadonlySet<string> = new Set(
  `system_user getpgusername current_setting inet_client_addr inet_client_port inet_server_addr inet_server_port
   row_security_active`.split(/\s+/),
);

/**
 * What `current_setting` may be asked for: what is compared at the beginning of each fill, and what never changes while a
 * server runs. Others may change with the server's configuration, of which the feed says nothing; those of applications
 * (with a dot in the name) with each transaction.
 */
export const SAME_SETTINGS: ReadonlySet<string> = new Set(
  `search_path timezone datestyle server_version server_version_num server_encoding block_size integer_datetimes
   max_identifier_length max_index_keys max_function_args segment_size wal_block_size`.split(/\s+/),
);

/** These change the session although they look like reads. */
export const CHANGES_SESSION: ReadonlySet<string> = new Set(['set_config']);
