/**
 * Event triggers that tell the feed of schema changes: a function writes a transactional message to the WAL, so the
 * commit of the schema change itself says that it is one, in order with all others, whoever made it.
 *
 * Only a superuser may create event triggers. Where they exist already (a migration made them) they are used as they are;
 * where they cannot be, the feed compares a fingerprint of the catalog once a second, and a change becomes an epoch.
 */
import type { ClientBase } from 'pg';
import { ensureEventTriggers, type SchemaWatch } from './event-triggers.ts';
import { CREATE_DDL_FUNCTION_SQL, DDL_FUNCTION_VERSION } from './sql/create-ddl-function.ts';

/** A schema change; the content is the command's tag, e.g. `ALTER TABLE`. */
export const DDL_PREFIX = 'vazao.ddl';
/** A feed changed the publication; the content is that feed's id and the tag. */
export const PUBLICATION_PREFIX = 'vazao.publication';

const TRIGGERS = { vazao_ddl_command_end: 'ddl_command_end', vazao_sql_drop: 'sql_drop' };
const ADVISORY_LOCK = 0x76617a_6164;

/** Makes sure of the triggers where that is allowed, and says how schema changes will be noticed. */
export function ensureDdlTriggers(client: ClientBase, feedId: string): Promise<SchemaWatch> {
  return ensureEventTriggers(client, feedId, {
    events: TRIGGERS,
    procedure: 'vazao.announce_ddl()',
    advisoryLock: ADVISORY_LOCK,
    areInstalled,
    createSql: `create schema if not exists vazao;${CREATE_DDL_FUNCTION_SQL}`,
  });
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
