import type { ClientBase } from 'pg';
import { sqlStateOf } from './errors.ts';
import { inTransaction } from './publication.ts';

/** How schema changes are noticed. */
export type SchemaWatch = 'event triggers' | 'fingerprint';

export interface EventTriggers {
  /** Name of each trigger, and its event. */
  readonly events: Readonly<Record<string, string>>;
  /** What they call, as SQL calls it. */
  readonly procedure: string;
  /** Two feeds that start at one moment would both create them. */
  readonly advisoryLock: number;
  readonly areInstalled: (client: ClientBase) => Promise<boolean>;
  /** Makes what they call; sent after the old ones were dropped. */
  readonly createSql?: string | undefined;
}

/** Makes sure of event triggers where that is allowed, and says how schema changes will be noticed. */
export async function ensureEventTriggers(
  client: ClientBase,
  feedId: string,
  { events, procedure, advisoryLock, areInstalled, createSql }: EventTriggers,
): Promise<SchemaWatch> {
  if (await areInstalled(client)) return 'event triggers';
  try {
    await inTransaction(client, async () => {
      await client.query('select pg_catalog.pg_advisory_xact_lock($1)', [advisoryLock]);
      if (await areInstalled(client)) return;
      await client.query(`select pg_catalog.set_config('vazao.feed', $1, true)`, [feedId]);
      for (const name of Object.keys(events)) await client.query(`drop event trigger if exists ${name}`);
      if (createSql !== undefined) await client.query(createSql);
      for (const [name, event] of Object.entries(events)) {
        await client.query(`create event trigger ${name} on ${event} execute function ${procedure}`);
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
