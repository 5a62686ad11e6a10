export interface PublicationRow {
  /** Another text means that its options were changed, or that it was dropped and created. */
  readonly version: string;
  readonly allTables: boolean;
  readonly optionsRight: boolean;
  readonly owned: boolean;
  /** Schemas published whole (`for tables in schema`, PostgreSQL 15). */
  readonly schemas: readonly string[];
}

/** Our publication, if there is one. `$1` is its name. */
export function findPublicationSql(serverVersion: number): string {
  const schemas =
    serverVersion >= 150_000
      ? `array(select n.nspname::text from pg_catalog.pg_publication_namespace pn
          join pg_catalog.pg_namespace n on n.oid = pn.pnnspid where pn.pnpubid = p.oid)`
      : `array[]::text[]`;
  const generated = serverVersion >= 180_000 ? `and p.pubgencols = 's'` : '';
  return `
    select p.oid::text || '/' || p.xmin::text as version, p.puballtables as "allTables",
      p.pubinsert and p.pubupdate and p.pubdelete and p.pubtruncate and not p.pubviaroot ${generated} as "optionsRight",
      pg_catalog.pg_has_role(p.pubowner, 'USAGE') as owned, ${schemas} as schemas
    from pg_catalog.pg_publication p where p.pubname = $1`;
}

/**
 * `publish_via_partition_root = false`: with true, PostgreSQL does not publish a TRUNCATE of a partition.
 *
 * `publish_generated_columns = stored` (PostgreSQL 18): without it, an UPDATE of a published table with the identity `full`
 * and a stored generated column fails ("must not contain unpublished generated columns").
 */
export function publicationOptions(serverVersion: number): string {
  const generated = serverVersion >= 180_000 ? ', publish_generated_columns = stored' : '';
  return `publish = 'insert, update, delete, truncate', publish_via_partition_root = false${generated}`;
}
