import type { ClientBase } from 'pg';
import { nameOf, quoteName } from './publication-plan.ts';
import { FIND_TABLES_SQL, type TableRow } from './sql/find-tables.ts';

export interface TableIdentity {
  /** `schema.table` */
  readonly table: string;
  readonly identity: 'default' | 'nothing' | 'full' | 'index';
  /** False when updates of the table, once published, would fail. */
  readonly usable: boolean;
  /** Whether changes carry the whole old row, so that they can be matched without doubt. */
  readonly carriesOldRow: boolean;
}

/** The replica identity of each ordinary table of the application, partitions included. For migrations and `doctor`. */
export async function listReplicaIdentities(client: ClientBase): Promise<TableIdentity[]> {
  const { rows } = await client.query<TableRow>(FIND_TABLES_SQL, ['']);
  return rows
    .filter((row) => row.kind === 'ordinary' && row.permanent)
    .map((row) => ({
      table: nameOf(row),
      identity: row.identity,
      usable: row.identityUsable && !(row.identity === 'full' && row.hasVirtualColumn),
      carriesOldRow: row.identity === 'full',
    }));
}

/**
 * Lets changes of these tables (`schema.table`, or the name alone for one in the search path) carry the whole old row. The setting is not inherited:
 * partitions that exist are set too, those created later are not. Tables that have it already are left alone, since
 * setting it locks the table.
 */
export async function setReplicaIdentityFull(client: ClientBase, tables: readonly string[]): Promise<void> {
  for (const table of tables) {
    const parts = table.split('.').map(quoteName).join('.');
    const { rows } = await client.query<{ name: string }>(
      `select format('%I.%I', n.nspname, c.relname) as name
       from (select $1::regclass as relid union select relid from pg_catalog.pg_partition_tree($1::regclass)) tree
       join pg_catalog.pg_class c on c.oid = tree.relid
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where c.relkind in ('r', 'p') and c.relreplident <> 'f'
         and not exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attgenerated = 'v')`,
      [parts],
    );
    for (const { name } of rows) await client.query(`alter table ${name} replica identity full`);
  }
}
