/** Loads the part of PostgreSQL's catalog that decides what a statement means (PostgreSQL 14 to 18). */
import type pg from 'pg';
import type {
  Catalog,
  CatalogCast,
  CatalogColumn,
  CatalogFunction,
  CatalogOperator,
  CatalogTable,
  CatalogType,
  FunctionName,
  Invisibility,
} from '../readset/catalog.ts';
import { READ_AS_USUAL } from './session-settings.ts';

export interface LoadCatalogOptions {
  /** The publication that the feed reads; a table outside of it can't be followed. */
  readonly publication: string;
  /** The tables that the feed follows without a publication. @defaultValue those of the publication */
  readonly published?: ReadonlySet<number> | undefined;
}

/**
 * Loads the catalog as one snapshot. The client must not be in a transaction. Statements are resolved with the search path
 * of this session, so it must be one of the pool that the statements run on.
 */
export async function loadCatalog(client: Pick<pg.ClientBase, 'query'>, options: LoadCatalogOptions): Promise<Catalog> {
  await client.query('begin transaction isolation level repeatable read, read only');
  try {
    // The statements are long, and each runs once: on a new connection compiling them took as long as all else.
    await client.query('set local jit = off');
    const catalog = await readCatalog(client, options);
    await client.query('commit');
    return catalog;
  } catch (error) {
    await client.query('rollback').catch(() => {}); // the first error is the one to tell
    throw error;
  }
}

async function readCatalog(client: Pick<pg.ClientBase, 'query'>, options: LoadCatalogOptions): Promise<Catalog> {
  const { rows: unusual } = await client.query<{ name: string; setting: string }>(UNUSUAL_SETTINGS);
  const { rows: paths } = await client.query<{ path: string[] }>(SEARCH_PATH_SQL);
  // pg_get_viewdef qualifies what the search path would not find: with an empty path, all that is not in pg_catalog.
  await client.query(`set local search_path = ''`);
  const { rows: relations } = await client.query<RelationRow>(RELATIONS, [options.publication]);
  const { rows: columns } = await client.query<ColumnRow>(COLUMNS);
  const { rows: keys } = await client.query<{ table: number; columns: string[] }>(UNIQUE_KEYS);
  const { rows: functions } = await client.query<FunctionRow>(FUNCTIONS);
  const { rows: operators } = await client.query<CatalogOperator>(OPERATORS);
  const { rows: unsureCasts } = await client.query<CatalogCast>(UNSURE_CASTS);
  const { rows: types } = await client.query<CatalogType>(TYPES);

  const columnsByTable = Map.groupBy(columns, (row) => row.table);
  const nullableIn = nullableInDescendants(relations, columns);
  const keysByTable = Map.groupBy(keys, (row) => row.table);
  return {
    searchPath: paths[0]?.path ?? ['pg_catalog'],
    tables: relations.map(
      (row): CatalogTable => ({
        oid: row.oid,
        schema: row.schema,
        name: row.name,
        kind: row.kind === 'v' ? 'view' : 'table',
        columns: (columnsByTable.get(row.oid) ?? []).map(
          ({ name, type, deterministic, generated, notNull }): CatalogColumn => ({
            name,
            type,
            deterministic,
            generated,
            notNull: notNull && !nullableIn.get(row.oid)?.has(name),
          }),
        ),
        definition: row.kind === 'v' ? (row.definition ?? undefined) : undefined,
        invisible: invisibilityOf(row, options.published?.has(row.oid) ?? row.published),
        uniqueKeys: (keysByTable.get(row.oid) ?? []).map((key) => key.columns),
        ancestors: row.ancestors,
        ...rowSecurityOf(row),
      }),
    ),
    functions: functions.map(
      (row): CatalogFunction => ({
        schema: row.s,
        name: row.n,
        volatility: volatilityOf(row.v),
        kind: KINDS[row.k] ?? 'function',
        body: row.body === null ? undefined : { text: row.body, isQualified: row.qualified },
        defaults: row.defaults ?? undefined,
        isOpaque: row.opaque || undefined,
        parts: row.parts ?? undefined,
      }),
    ),
    operators,
    types,
    unsureCasts,
    unusualSettings: unusual.map(({ name, setting }) => `${name} = ${setting}`),
  };
}

/** What of each relation is another for another role, by oid. The client is in a transaction, with that role set; its search path is lost. */
export async function loadRowSecurity(client: Pick<pg.ClientBase, 'query'>): Promise<ReadonlyMap<number, ForRole>> {
  await client.query(`set local search_path = ''`);
  const { rows } = await client.query<RelationRow>(RELATIONS, ['']);
  return new Map(rows.map((row) => [row.oid, rowSecurityOf(row)]));
}

type ForRole = Pick<CatalogTable, 'asOwner' | 'rowSecurity'>;

function rowSecurityOf(row: RelationRow): ForRole {
  const { row_security: isSecured, row_security_active: isActive, policies } = row;
  return {
    asOwner: row.as_owner,
    rowSecurity: isSecured ? { isActive, policies: isActive ? policies : [] } : undefined,
  };
}

interface RelationRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  readonly persistence: string;
  readonly row_security: boolean;
  readonly row_security_active: boolean;
  readonly policies: string[];
  readonly as_owner: boolean;
  readonly definition: string | null;
  readonly ancestors: number[];
  readonly published: boolean;
}

/** Short names, as there are thousands of rows. */
interface FunctionRow {
  readonly s: string;
  readonly n: string;
  readonly v: string;
  readonly k: string;
  readonly body: string | null;
  readonly qualified: boolean;
  readonly defaults: string | null;
  readonly opaque: boolean;
  readonly parts: readonly FunctionName[] | null;
}

interface ColumnRow extends CatalogColumn {
  readonly table: number;
}

/** For each table, the columns that may be NULL in a descendant: before PostgreSQL 18 a child need not be as strict as its parent. */
function nullableInDescendants(
  relations: readonly RelationRow[],
  columns: readonly ColumnRow[],
): ReadonlyMap<number, ReadonlySet<string>> {
  const ancestorsOf = new Map(relations.map((row) => [row.oid, row.ancestors]));
  const nullable = new Map<number, Set<string>>();
  for (const { table, name, notNull } of columns) {
    if (notNull) continue;
    for (const ancestor of ancestorsOf.get(table) ?? []) {
      const names = nullable.get(ancestor);
      if (names) names.add(name);
      else nullable.set(ancestor, new Set([name]));
    }
  }
  return nullable;
}

function invisibilityOf(row: RelationRow, isPublished: boolean): Invisibility | undefined {
  if (row.kind === 'v') return undefined; // its tables are judged one by one
  if (row.kind === 'f') return 'foreign';
  if (row.kind === 'm') return 'materialized-view';
  if (row.kind === 'S') return 'sequence';
  if (row.kind !== 'r' && row.kind !== 'p') return 'unsupported';
  if (row.persistence === 't') return 'temporary';
  if (row.persistence === 'u') return 'unlogged';
  return isPublished ? undefined : 'unpublished';
}

function volatilityOf(letter: string): CatalogFunction['volatility'] {
  return letter === 'i' ? 'immutable' : letter === 's' ? 'stable' : 'volatile';
}

const KINDS: Readonly<Record<string, CatalogFunction['kind']>> = { a: 'aggregate', w: 'window', p: 'procedure' };

const UNUSUAL_SETTINGS = `select name, current_setting(name) as setting
  from (values ${Object.entries(READ_AS_USUAL)
    .map(([name, setting]) => `('${name}', '${setting}')`)
    .join(', ')}) usual (name, setting)
  where current_setting(name) <> setting`;

export const SEARCH_PATH_SQL = 'select pg_catalog.current_schemas(true)::pg_catalog.text[] as path';

/**
 * Published: named in the publication itself or through a partition ancestor, by schema, or by FOR ALL TABLES; and whole:
 * without row filter or column list, for all kinds of change. A partition counts by its root (`pg_inherits` of a partitioned
 * parent), an inheritance child only by itself. to_jsonb reads columns that older releases don't have.
 */
const RELATIONS = `
  with recursive
    publication as (
      select oid, puballtables from pg_publication
      where pubname = $1 and pubinsert and pubupdate and pubdelete and pubtruncate),
    lineage as (
      select inhrelid as oid, inhparent as ancestor, relkind = 'p' as is_partition
      from pg_inherits join pg_class on pg_class.oid = inhparent
      union
      select lineage.oid, inhparent, is_partition and relkind = 'p'
      from lineage join pg_inherits on inhrelid = ancestor join pg_class on pg_class.oid = inhparent),
    named as (
      select prrelid as oid,
             to_jsonb(pr) ->> 'prqual' is null and to_jsonb(pr) ->> 'prattrs' is null as is_whole
      from pg_publication_rel pr join publication on prpubid = publication.oid),
    in_schema as (
      select distinct c.oid
      from pg_publication_tables pt
      join pg_namespace n on n.nspname = pt.schemaname
      join pg_class c on c.relnamespace = n.oid and c.relname = pt.tablename
      where pt.pubname = $1)
  select c.oid::int8::float8 as oid, n.nspname as schema, c.relname as name, c.relkind as kind, c.relpersistence as persistence,
         c.relrowsecurity as row_security, c.relrowsecurity and row_security_active(c.oid) as row_security_active,
         array(select pg_get_expr(polqual, polrelid) from pg_policy
               where polrelid = c.oid and polcmd in ('r', '*') and polqual is not null
                 and exists (select from unnest(polroles) role where case when role = 0 then true else pg_has_role(role, 'usage') end))
           as policies,
         c.relkind = 'v' and c.relowner <> (select oid from pg_roles where rolname = current_user)
           and not exists (select from pg_options_to_table(c.reloptions)
                           where option_name = 'security_invoker' and option_value::bool) as as_owner,
         case when c.relkind = 'v' then pg_get_viewdef(c.oid) end as definition,
         coalesce((select array_agg(ancestor::int8::float8) from lineage where lineage.oid = c.oid), '{}') as ancestors,
         exists (select from publication where puballtables)
         or (exists (select from publication) and (
           exists (select from named where is_whole and named.oid = c.oid)
           or exists (select from lineage join named on named.oid = ancestor where is_partition and is_whole and lineage.oid = c.oid)
           -- By schema: the publication lists the table although neither it nor an ancestor is named.
           or (exists (select from in_schema where in_schema.oid = c.oid)
               and not exists (select from named where named.oid = c.oid)
               and not exists (select from lineage join named on named.oid = ancestor where lineage.oid = c.oid))))
         and not exists (select from named where not is_whole and named.oid = c.oid)
         and not exists (select from lineage join named on named.oid = ancestor where is_partition and not is_whole and lineage.oid = c.oid)
         as published
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_toast%'
    and (n.nspname not like 'pg\\_temp%' or n.oid = pg_my_temp_schema())`;

/** Domains are resolved to what they are based on; a domain over a domain too. */
const BASE_TYPES = `
  base as (
    select t.oid, t.oid as root, t.typtype, t.typbasetype, t.typname, t.typnamespace, true as is_faithful from pg_type t
    union all
    select base.oid, t.oid, t.typtype, t.typbasetype, t.typname, t.typnamespace,
           base.is_faithful and domain.typtypmod = -1 and domain.typcollation = t.typcollation
    from base join pg_type t on t.oid = base.typbasetype join pg_type domain on domain.oid = base.root
    where base.typtype = 'd'),
  resolved as (
    select oid, root, is_faithful, case when typtype = 'e' then 'enum'
                     when typtype in ('b', 'r', 'm') and typnamespace = 'pg_catalog'::regnamespace then typname::text
                     else 'other' end as base
    from base where typtype <> 'd')`;

/** From PostgreSQL 18 on `attnotnull` is set by a constraint that is NOT VALID too. */
const COLUMNS = `
  with recursive ${BASE_TYPES}
  select a.attrelid::int8::float8 as table, a.attname as name, resolved.base as type,
         coalesce(collation_.collisdeterministic, true) as deterministic, a.attgenerated <> '' as generated,
         a.attnotnull and not exists (
           select from pg_constraint k
           where k.conrelid = a.attrelid and k.contype = 'n' and k.conkey = array[a.attnum] and not k.convalidated) as "notNull"
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid
  join pg_namespace n on n.oid = c.relnamespace
  join resolved on resolved.oid = a.atttypid
  left join pg_collation collation_ on collation_.oid = a.attcollation
  where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_toast%'
  order by a.attrelid, a.attnum`;

const UNIQUE_KEYS = `
  select i.indrelid::int8::float8 as table, array_agg(a.attname::text order by a.attnum) as columns
  from pg_index i
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
  join pg_class c on c.oid = i.indrelid
  join pg_namespace n on n.oid = c.relnamespace
  where i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
    and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_toast%'
  group by i.indexrelid, i.indrelid, i.indisprimary
  order by i.indrelid, i.indisprimary desc, i.indexrelid`;

const PARTS = 'a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn';

/**
 * Whether a function is the application's own: from 16384 on, oids are given to what is not PostgreSQL's, and extensions are
 * believed, as their functions in C are beyond any look. What comes with a type (the constructors of a range) is PostgreSQL's.
 */
const isOwn = (p: string): string => `(${p}.oid >= 16384 and not exists (
  select from pg_depend where classid = 'pg_proc'::regclass and objid = ${p}.oid and deptype in ('e', 'i')))`;

const volatilityOfLetter = (p: string): string =>
  `case ${p}.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end`;

/**
 * Some 3,400 rows. An aggregate is as volatile as the worst of the functions that it is made of. The body of a function in
 * SQL tells what it reads if it runs as the caller's statement would. That of an IMMUTABLE one as well: PostgreSQL
 * takes the word for it, and such a function may read tables.
 */
const FUNCTIONS = `
  with listed as (
    select p.*, n.nspname as schema, ${isOwn('p')} as is_own,
           p.prokind = 'f' and not p.prosecdef and p.proconfig is null
           and p.prolang = (select oid from pg_language where lanname = 'sql') as is_plain_sql
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace)
  select distinct p.schema as s, p.proname as n, p.prokind as k,
         case when p.schema = 'pg_catalog' or p.prokind <> 'a' then p.provolatile::text
              else (select max(part.provolatile::text) from pg_proc part where part.oid in (${PARTS})) end as v,
         case when p.schema <> 'pg_catalog' and p.is_plain_sql and (p.provolatile = 's' or p.provolatile = 'i' and p.is_own)
              then coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) end as body,
         p.prosqlbody is not null as qualified,
         p.is_own and p.prokind in ('f', 'w') and p.provolatile = 'i' and not p.is_plain_sql as opaque,
         case when p.is_own and p.prokind = 'a' then (
           select jsonb_agg(distinct jsonb_build_object('schema', m.nspname, 'name', part.proname))
           from pg_proc part join pg_namespace m on m.oid = part.pronamespace where part.oid in (${PARTS}) and ${isOwn('part')}) end as parts,
         case when p.schema <> 'pg_catalog' then pg_get_expr(p.proargdefaults, 0) end as defaults
  from listed p left join pg_aggregate a on a.aggfnoid = p.oid`;

/** An expression on a domain or an enum may mean an operator on it, as one on a type of PostgreSQL's may. */
const OPERATORS = `
  select n.nspname as schema, o.oprname as name, ${volatilityOfLetter('p')} as volatility,
         exists (select from pg_type t where t.oid in (o.oprleft, o.oprright)
                   and (t.typnamespace = 'pg_catalog'::regnamespace or t.typtype in ('d', 'e'))) as "mayTakeOver",
         jsonb_build_object('schema', f.nspname, 'name', p.proname) as function
  from pg_operator o
  join pg_namespace n on n.oid = o.oprnamespace
  join pg_proc p on p.oid = o.oprcode
  join pg_namespace f on f.oid = p.pronamespace
  where n.nspname <> 'pg_catalog'`;

const UNSURE_CASTS = `
  select format_type(c.castsource, null) as source, format_type(c.casttarget, null) as target,
         n.nspname as schema, p.proname as function, ${volatilityOfLetter('p')} as volatility
  from pg_cast c join pg_proc p on p.oid = c.castfunc join pg_namespace n on n.oid = p.pronamespace
  where c.oid >= 16384 and (p.provolatile <> 'i' or ${isOwn('p')})`;

/** Of ranges, arrays, composites (the rows of tables too) and domains is asked what they are made of. */
const TYPES = `
  with recursive ${BASE_TYPES},
    own as (
      select t.oid, n.nspname as schema, t.typname as name from pg_type t join pg_namespace n on n.oid = t.typnamespace
      where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_toast%'),
    part_of as (
      select oid as whole, unnest(array[typbasetype, typelem]) as part from pg_type
      union all select t.oid, a.atttypid from pg_type t join pg_attribute a on a.attrelid = t.typrelid
      where t.typrelid <> 0 and a.attnum > 0 and not a.attisdropped
      union all select rngtypid, rngsubtype from pg_range
      union all select rngmultitypid, rngsubtype from pg_range),
    made_of as (
      select oid as whole, oid as part from own
      union
      select made_of.whole, part_of.part from made_of join part_of on part_of.whole = made_of.part where part_of.part <> 0)
  select own.schema, own.name, resolved.base, resolved.is_faithful as "isFaithful", made.time as "holdsTime", made.zone as "holdsZone"
  from own join resolved on resolved.oid = own.oid
  join (select whole, bool_or(part in ('date'::regtype, 'time'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype, 'timetz'::regtype)) as time,
               bool_or(part = 'timetz'::regtype) as zone
        from made_of group by whole) made on made.whole = own.oid`;
