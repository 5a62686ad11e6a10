/**
 * Two texts: `schema` changes when the definition of a user's table, view, function, type, index or policy does,
 * `publication` when a publication or what it names does.
 *
 * Every definition is a row of a catalog, and a row that is written again has another `xmin`; vacuum and analyze write in
 * place and leave it. Temporary objects are left out, or every `create temp table` would look like a migration. Reads a
 * few catalogs in full (28 ms with 1,000 tables of 20 columns, on a busy host of 2 cores), which is why it runs at most
 * once a second, and only where event triggers may not be installed.
 */
export const FIND_SCHEMA_FINGERPRINT_SQL: string = `
  select concat_ws(' ',
    (select ${digest('c.oid::int8', 'c.xmin')} from pg_catalog.pg_class c
      where c.oid >= 16384 and c.relpersistence <> 't' and c.relkind in ('r', 'p', 'v', 'm', 'f', 'i', 'I')
        and c.relnamespace <> 'pg_toast'::regnamespace),
    (select ${digest('a.attrelid::int8', 'a.xmin')} from pg_catalog.pg_attribute a
      join pg_catalog.pg_class c on c.oid = a.attrelid
      where c.oid >= 16384 and c.relpersistence <> 't' and c.relkind in ('r', 'p', 'v', 'm', 'f')),
    (select ${digest('i.indexrelid::int8', 'i.xmin')} from pg_catalog.pg_index i
      join pg_catalog.pg_class c on c.oid = i.indexrelid
      where c.oid >= 16384 and c.relpersistence <> 't' and c.relnamespace <> 'pg_toast'::regnamespace),
    (select ${digest('r.oid::int8', 'r.xmin')} from pg_catalog.pg_rewrite r
      join pg_catalog.pg_class c on c.oid = r.ev_class where c.oid >= 16384 and c.relpersistence <> 't'),
    (select ${digest('t.oid::int8', 't.xmin')} from pg_catalog.pg_type t where t.oid >= 16384 and t.typtype in ('d', 'e')),
    (select ${digest('h.inhrelid::int8', 'h.xmin')} from pg_catalog.pg_inherits h
      join pg_catalog.pg_class c on c.oid = h.inhrelid where c.relpersistence <> 't'),
    ${['proc', 'policy', 'operator', 'collation'].map(whole).join(', ')}
  ) as schema,
  concat_ws(' ', ${['publication', 'publication_rel'].map(whole).join(', ')}) as publication`;

export interface SchemaFingerprint {
  readonly schema: string;
  readonly publication: string;
}

function digest(seed: string, xmin: string): string {
  return `count(*) || '/' || coalesce(sum(pg_catalog.hashint8extended(${xmin}::text::int8, ${seed})), 0)`;
}

function whole(catalog: string): string {
  return `(select ${digest('x.oid::int8', 'x.xmin')} from pg_catalog.pg_${catalog} x where x.oid >= 16384)`;
}
