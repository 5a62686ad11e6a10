/**
 * Sessions: the one that asks, with a role, a search path and formats of its own, and the one that writes and tells of its
 * changes as the feed does. The oracle has one connection and goes from one to the other.
 */
import type { Choices } from './choices.fuzz.ts';
import type { OracleChange } from './oracle.fuzz.ts';

export const READER = 'vazao_oracle_reader';
export const KEEPER = 'vazao_oracle_keeper';
/** The reader is a member of it. */
export const TEAM = 'vazao_oracle_team';

export interface OracleSession {
  /** Who asks. */
  readonly role: string;
  /** SET commands, for both: tables without a schema are the same to reader and writer. */
  readonly settings: readonly string[];
}

/** Roles are the cluster's: others may be making the same ones at this moment. */
export const CREATE_ROLES: readonly string[] = [
  ...[READER, KEEPER, TEAM].map((role) => `create role ${role}`),
  `grant ${TEAM} to ${READER}`,
].map((command) => `do $$ begin ${command}; exception when others then null; end $$`);

/**
 * What a session may set later: first nothing, which is what it says again after a transaction that set it. That it says NULL
 * before the first such transaction is no case: a statement that reads what nobody set is not answered from the cache.
 */
export const SETTINGS: readonly string[] = [`set app.tenant = ''`];

/** Values are read and printed in other formats than the feed's. */
export function asReader(session: OracleSession | undefined): string {
  const formats = `set local timezone = 'America/Sao_Paulo'; set local datestyle = 'ISO, DMY'; set local intervalstyle = sql_standard; set local bytea_output = escape`;
  return session ? `${formats}; set local session authorization ${session.role}` : formats;
}

/** As `feed/replication-connection.ts` has it. */
export function asWriter(session: OracleSession | undefined): string {
  const formats = `set local timezone = 'UTC'; set local datestyle = 'ISO'; set local intervalstyle = postgres; set local bytea_output = hex`;
  return session ? `set local session authorization default; ${formats}` : formats;
}

/**
 * The next reader's session differs. What `db/session-settings.ts` compares quickly may change answers, since they are not
 * shared then; the rest must not. Left out is what a client can only set by a SET that its pool sees, and then compares all.
 */
export function drawSessionChange(choices: Choices): OracleChange {
  const session = choices.pick([
    `set local app.tenant = 'b'`,
    `set local app.tenant = 'b'; set local application_name = 'b'`,
    `set local application_name = 'b'`,
    `set local statement_timeout = '6s'; set local lock_timeout = '6s'`,
    `set local timezone = 'Asia/Tokyo'`,
    `set local datestyle = 'German'`,
    'set local search_path = public',
    'set local search_path = shop, public',
    `set local role ${TEAM}`,
    `set local session authorization ${KEEPER}`,
    'set local session authorization default',
  ]);
  return { sql: 'select', session, degrade: 'none' };
}

/** What depends on the session, as text. */
export const SESSION_VALUES: readonly string[] = [
  'current_user',
  'session_user',
  'current_role',
  'current_schema',
  'current_schema()',
  `current_setting('TimeZone')`,
  `current_setting('search_path')`,
  `current_setting('app.tenant', true)`,
  `current_setting('application_name')`,
];
