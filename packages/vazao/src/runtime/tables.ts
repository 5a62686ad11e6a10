import type pg from 'pg';

/** Tables of the application, as `schema.table` quoted where needed, whose replica identity nobody has chosen yet. */
export async function listPlainTables(client: pg.Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ name: string }>(`
    select n.nspname || '.' || c.relname as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and c.relpersistence = 'p' and c.relreplident = 'd'
      and n.nspname not in ('pg_catalog', 'information_schema', 'vazao')`);
  return rows.map(({ name }) => name);
}
