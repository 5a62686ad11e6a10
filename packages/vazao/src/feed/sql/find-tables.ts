/** One table of the application, or one partition, and what decides whether it can be published. */
export interface TableRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: 'ordinary' | 'partitioned' | 'foreign';
  readonly permanent: boolean;
  /** As the table is set. */
  readonly identity: 'default' | 'nothing' | 'full' | 'index';
  /** Whether PostgreSQL can find the old row by it: there is the index that it names, or it is `full`. */
  readonly identityUsable: boolean;
  /** An immediate, valid primary key. On a partitioned table it binds all partitions, later ones too. */
  readonly hasPrimaryKey: boolean;
  /** A virtual generated column (PostgreSQL 18), with which the identity `full` makes updates of a published table fail. */
  readonly hasVirtualColumn: boolean;
  /** The partitioned table of which this is a partition. */
  readonly parentOid: number | null;
  /** Whether the role may add the table to a publication. */
  readonly owned: boolean;
  /** Identifies the entry of the table itself in the publication; another text means that it was taken out and put back. */
  readonly membership: string | null;
  /** The entry has a row filter or a column list. */
  readonly filtered: boolean;
}

/**
 * All tables of the application. `$1` is the name of the publication. Columns of the catalog that old versions lack
 * (`prqual`, `prattrs`, since 15) are read through `to_jsonb`, so that one text serves all versions.
 */
export const FIND_TABLES_SQL = `
  select c.oid::int8::float8 as oid, n.nspname as schema, c.relname as name,
    case c.relkind when 'r' then 'ordinary' when 'p' then 'partitioned' else 'foreign' end as kind,
    c.relpersistence = 'p' as permanent,
    case c.relreplident when 'd' then 'default' when 'n' then 'nothing' when 'f' then 'full' else 'index' end as identity,
    case c.relreplident
      when 'f' then true
      when 'd' then coalesce(pk.usable, false)
      when 'i' then exists (
        select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisreplident and i.indisvalid and i.indimmediate)
      else false
    end as "identityUsable",
    coalesce(pk.usable, false) as "hasPrimaryKey",
    exists (
      select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attgenerated = 'v' and not a.attisdropped
    ) as "hasVirtualColumn",
    (select i.inhparent::int8::float8 from pg_catalog.pg_inherits i where c.relispartition and i.inhrelid = c.oid) as "parentOid",
    pg_catalog.pg_has_role(c.relowner, 'USAGE') as owned,
    pr.oid::text || '/' || pr.xmin::text as membership,
    coalesce(
      pg_catalog.to_jsonb(pr) ->> 'prqual' is not null or pg_catalog.to_jsonb(pr) ->> 'prattrs' is not null, false
    ) as filtered
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join lateral (
    select i.indisvalid and i.indimmediate as usable
    from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary
  ) pk on true
  left join pg_catalog.pg_publication p on p.pubname = $1
  left join pg_catalog.pg_publication_rel pr on pr.prpubid = p.oid and pr.prrelid = c.oid
  where c.relkind in ('r', 'p', 'f') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'vazao')
  order by n.nspname, c.relname`;
