/**
 * Event triggers that tell the feed of schema changes: a function writes a transactional message to the WAL, so the
 * commit of the schema change itself says that it is one, in order with all others, whoever made it.
 *
 * Only a superuser may create event triggers. Where they exist already (a migration made them) they are used as they are;
 * where they cannot be, the feed compares a fingerprint of the catalog once a second, and a change becomes an epoch.
 */
import type { ClientBase } from 'pg';
import { sqlStateOf } from './errors.ts';
import { inTransaction } from './publication.ts';
import { CREATE_DDL_FUNCTION_SQL, DDL_FUNCTION_VERSION } from './sql/create-ddl-function.ts';

export type SchemaWatch = 'event triggers' | 'fingerprint';

/** A schema change; the content is the command's tag, e.g. `ALTER TABLE`. */
export const DDL_PREFIX = 'vazao.ddl';
/** A feed changed the publication; the content is that feed's id and the tag. */
export const PUBLICATION_PREFIX = 'vazao.publication';

const TRIGGERS = { vazao_ddl_command_end: 'ddl_command_end', vazao_sql_drop: 'sql_drop' };
/** Two feeds that start at one moment would both create them. */
const ADVISORY_LOCK = 0x76617a_6164;

/** Makes sure of the triggers where that is allowed, and says how schema changes will be noticed. */
export async function ensureDdlTriggers(client: ClientBase, feedId: string): Promise<SchemaWatch> {
  if (await areInstalled(client)) return 'event triggers';
  try {
    await inTransaction(client, async () => {
      await client.query('select pg_catalog.pg_advisory_xact_lock($1)', [ADVISORY_LOCK]);
      if (await areInstalled(client)) return;
      await client.query(`select pg_catalog.set_config('vazao.feed', $1, true)`, [feedId]);
      await client.query('create schema if not exists vazao');
      for (const name of Object.keys(TRIGGERS)) await client.query(`drop event trigger if exists ${name}`);
      await client.query(CREATE_DDL_FUNCTION_SQL);
      for (const [name, event] of Object.entries(TRIGGERS)) {
        await client.query(`create event trigger ${name} on ${event} execute function vazao.announce_ddl()`);
        // Also in sessions that set session_replication_role, as restores and replication tools do.
        await client.query(`alter event trigger ${name} enable always`);
      }
    });
    return 'event triggers';
  } catch (error) {
    // Not allowed (42501), or the provider does not offer them (0A000): the other way serves.
    if (sqlStateOf(error) === '42501' || sqlStateOf(error) === '0A000') return 'fingerprint';
    throw error;
  }
}

async function areInstalled(client: ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ count: number }>(
    `select count(*)::int4 as count
     from pg_catalog.pg_event_trigger t
     join pg_catalog.pg_proc p on p.oid = t.evtfoid
     join pg_catalog.pg_namespace n on n.oid = p.pronamespace
     where t.evtname = any ($1::text[]) and t.evtenabled = 'A' and n.nspname = 'vazao' and p.proname = 'announce_ddl'
       and pg_catalog.obj_description(p.oid, 'pg_proc') = $2`,
    [Object.keys(TRIGGERS), DDL_FUNCTION_VERSION],
  );
  return rows[0]?.count === Object.keys(TRIGGERS).length;
}
