/** Makes the outbox in the schema `vazao`, with the rights of an ordinary role that may create in the database. */
import { randomBytes } from 'node:crypto';
import type { ClientBase } from 'pg';
import { FeedError, sqlStateOf } from '../errors.ts';
import { ensureEventTriggers, type SchemaWatch } from '../event-triggers.ts';
import { inTransaction } from '../publication.ts';
import { CREATE_OUTBOX_SQL, createFunctionsSql, LEASE_SECONDS, outboxVersion } from './sql/create-objects.ts';

/** Two feeds that start at one moment would both create everything. */
const ADVISORY_LOCK = 0x76617a_6f62;
const EVENT_TRIGGERS = { vazao_outbox_ddl_command_end: 'ddl_command_end', vazao_outbox_sql_drop: 'sql_drop' };

/** Throws {@link FeedError}. */
export async function installOutbox(client: ClientBase, feedId: string, notifies: boolean): Promise<void> {
  try {
    await inTransaction(client, async () => {
      await client.query('select pg_catalog.pg_advisory_xact_lock($1)', [ADVISORY_LOCK]);
      const { rows } = await client.query<{ version: string | null }>(
        `select pg_catalog.obj_description(pg_catalog.to_regclass('vazao.outbox'), 'pg_class') as version`,
      );
      if (rows[0]?.version === outboxVersion(notifies)) return;
      await client.query(`select pg_catalog.set_config('vazao.feed', $1, true)`, [feedId]);
      await client.query(CREATE_OUTBOX_SQL);
      await client.query(createFunctionsSql(notifies));
    });
    // Emptied by a crash, with the outbox.
    await client.query('insert into vazao.outbox_state (birth) values ($1) on conflict do nothing', [
      randomBytes(12).toString('hex'),
    ]);
  } catch (error) {
    if (sqlStateOf(error) !== '42501') throw error;
    throw new FeedError(
      'ERR_FEED_PRIVILEGE',
      `The role may not create the outbox, or it belongs to another role: \`grant create on database <database> to <role>\`, or connect as the role that owns it. (PostgreSQL says: ${(error as Error).message})`,
      { cause: error },
    );
  }
}

/** Makes sure of the event triggers where that is allowed, and says how schema changes will be noticed. */
export function ensureSchemaTriggers(client: ClientBase, feedId: string): Promise<SchemaWatch> {
  return ensureEventTriggers(client, feedId, {
    events: EVENT_TRIGGERS,
    procedure: 'vazao.outbox_schema()',
    advisoryLock: ADVISORY_LOCK,
    areInstalled,
  });
}

async function areInstalled(client: ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ count: number }>(
    `select count(*)::int4 as count from pg_catalog.pg_event_trigger t
     where t.evtname = any ($1::text[]) and t.evtenabled = 'A'
       and t.evtfoid = pg_catalog.to_regprocedure('vazao.outbox_schema()')`,
    [Object.keys(EVENT_TRIGGERS)],
  );
  return rows[0]?.count === Object.keys(EVENT_TRIGGERS).length;
}

/**
 * Says to the writers that somebody reads. The generation grows when nobody had: changes are missing then, and whoever reads
 * that it has grown begins an epoch.
 */
export async function renewLease(client: ClientBase): Promise<void> {
  await client.query(`
    select case when (select last_value from vazao.outbox_lease) <= extract(epoch from clock_timestamp())
        then pg_catalog.nextval('vazao.outbox_generation') end,
      pg_catalog.setval('vazao.outbox_lease', (extract(epoch from clock_timestamp()) + ${LEASE_SECONDS})::int8)`);
}
