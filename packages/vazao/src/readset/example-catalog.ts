/** A small catalog for tests of the pure parts, without a database. */
import type { Catalog, CatalogColumn, CatalogFunction, CatalogOperator, CatalogTable } from './catalog.ts';

let nextOid = 1;

/** Columns as `name type`, with `generated`, `required` or `insensitive` after it. The first is the primary key. */
function table(name: string, columns: string, more: Partial<CatalogTable> = {}): CatalogTable {
  const list = columns.split(', ').map((column): CatalogColumn => {
    const [name = '', type = '', ...flags] = column.split(' ');
    return {
      name,
      type,
      deterministic: !flags.includes('insensitive'),
      generated: flags.includes('generated'),
      notNull: flags.includes('required'),
    };
  });
  const [key] = list;
  return {
    oid: nextOid++,
    schema: 'public',
    name,
    kind: 'table',
    columns: list,
    definition: undefined,
    invisible: undefined,
    uniqueKeys: key ? [[key.name]] : [],
    ancestors: [],
    ...more,
  };
}

const view = (name: string, columns: string, definition: string): CatalogTable =>
  table(name, columns, { kind: 'view', definition, uniqueKeys: [] });

const body = (name: string, text: string, isQualified = false): CatalogFunction => ({
  schema: 'public',
  name,
  volatility: 'stable',
  kind: 'function',
  body: { text, isQualified },
});

const operator = (
  name: string,
  volatility: CatalogOperator['volatility'],
  function_: string,
  mayTakeOver = true,
): CatalogOperator => ({
  schema: 'public',
  name,
  volatility,
  mayTakeOver,
  function: { schema: 'public', name: function_ },
});

const aggregate = (name: string, part: string): CatalogFunction => ({
  schema: 'public',
  name,
  volatility: 'immutable',
  kind: 'aggregate',
  parts: [{ schema: 'public', name: part }],
});

const secured = (name: string, ...policies: string[]): CatalogTable =>
  table(name, 'id int4, owner text, team int4', { rowSecurity: { isActive: true, policies } });

const parent = table('parent', 'id int4, k int4');
const spoilt = table('spoilt', 'id int4, k int4');

const functions = (
  volatility: CatalogFunction['volatility'],
  names: string,
  schema = 'pg_catalog',
): CatalogFunction[] => names.split(' ').map((name) => ({ schema, name, volatility, kind: 'function' }));

export const EXAMPLE_CATALOG: Catalog = {
  searchPath: ['pg_catalog', 'public'],
  tables: [
    table(
      'a',
      'id int4, k int4, t text, n numeric, f float8, ok bool, d date, ts timestamptz, l timestamp, u uuid, m enum, g int4 generated, ci text insensitive, b bpchar, j jsonb',
    ),
    table('b', 'id int8, aid int4, k int4, t varchar, n numeric, f float8'),
    table('c', 'id int4 required, bid int4, z int4, t text'),
    table('a', 'id int4, only_other int4', { schema: 'other' }),
    parent,
    table('child', 'k int4, id int4, more int4', { ancestors: [parent.oid] }),
    spoilt,
    table('spoilt_child', 'id int4, k int4', { ancestors: [spoilt.oid], invisible: 'unlogged' }),
    table('zoned', 'id int4, at timetz'),
    table('hours', 'id int4, at time, note text, span interval'),
    table('kinds', 'id int4, f float4, iv interval, j jsonb, a _int4, s _text, m money, l pg_lsn'),
    ...(
      ['unlogged', 'temporary', 'foreign', 'materialized-view', 'sequence', 'row-security', 'unpublished'] as const
    ).map((invisible) => table(invisible.replace('-', '_'), 'id int4', { invisible })),
    view('v', 'id int4, total int8', 'SELECT a.id, count(*) AS total FROM public.a WHERE a.k = 1 GROUP BY a.id'),
    view('vv', 'id int4', 'SELECT v.id FROM public.v JOIN public.b ON b.aid = 3'),
    view('hidden', 'id int4', 'SELECT id FROM public.unlogged'),
    view('endless', 'id int4', 'SELECT id FROM public.endless'),
    secured('per_owner', '(owner = CURRENT_USER)'),
    secured('per_team', '(team IN ( SELECT b.k FROM public.b WHERE (b.aid = per_team.id)))', '(id > 0)'),
    secured('per_tenant', "(owner = current_setting('app.tenant'::text))"),
    table('open_to_us', 'id int4', { rowSecurity: { isActive: false, policies: [] } }),
    view('through_invoker', 'id int4', 'SELECT per_owner.id FROM public.per_owner'),
    table('through_owner', 'id int4', {
      kind: 'view',
      definition: 'SELECT open_to_us.id FROM public.open_to_us',
      uniqueKeys: [],
      asOwner: true,
    }),
    view('clock', 'now timestamptz', 'SELECT now() AS now'),
  ],
  functions: [
    ...functions(
      'immutable',
      'count sum min max lower upper coalesce abs json_typeof generate_series substring regexp_split_to_table',
    ),
    ...functions(
      'stable',
      'now age current_setting timezone jsonb_path_query_tz jsonb_to_record date_bin to_char date_trunc concat generate_series json_agg json_to_recordset date pg_table_size extract row_to_json',
    ),
    ...functions('immutable', 'age timezone'),
    ...functions('volatile', 'random nextval set_config clock_timestamp pg_notify'),
    ...functions('immutable', 'pure_one', 'public'),
    ...functions('stable', 'stable_one trusted', 'public'),
    ...functions('volatile', 'volatile_one', 'public'),
    body('reads_b', 'select count(*) from b where b.aid = $1 and b.k = 2'),
    body('reads_a', 'BEGIN ATOMIC\n SELECT a.t FROM public.a WHERE (a.id = 5);\nEND', true),
    body('reads_both', 'RETURN (public.reads_b(1) + (SELECT max(c.z) AS max FROM public.c))', true),
    body('to_day', 'select $1::date'),
    body('reads_clock', 'select now()'),
    body('draws', 'select random()'),
    body('tenant_of', "select current_setting('app.tenant', true)"),
    body('two_steps', 'select 1; select 2'),
    body('calls_itself', 'select calls_itself()'),
    body('hidden_count', 'select count(*) from unlogged'),
    // Declared IMMUTABLE, whatever they do.
    { ...body('reads_c', 'select max(z) from c where id = $1'), volatility: 'immutable' },
    { ...body('doubles', 'select $1 * 2'), volatility: 'immutable' },
    { schema: 'public', name: 'opaque', volatility: 'immutable', kind: 'function', isOpaque: true },
    aggregate('total_of_c', 'reads_c'),
    aggregate('total_opaque', 'opaque'),
    // One overload can be looked into, the other can't.
    body('sometimes', 'select 1'),
    ...functions('stable', 'sometimes', 'public'),
    { schema: 'public', name: 'with_default', volatility: 'immutable', kind: 'function', defaults: '1, random()' },
    { schema: 'public', name: 'later', volatility: 'immutable', kind: 'function', defaults: 'now()' },
    ...functions('stable', 'current_schema current_database version'),
    ...functions('volatile', 'lower', 'other'),
  ],
  operators: [
    operator('<=>', 'stable', 'stable_one', false),
    operator('@@@', 'volatile', 'volatile_one'),
    operator('#>#', 'immutable', 'reads_c'),
    operator('#!#', 'immutable', 'opaque'),
  ],
  types: [
    { schema: 'public', name: 'mood', base: 'enum' },
    { schema: 'public', name: 'small', base: 'int4', isFaithful: true },
    { schema: 'public', name: 'few', base: '_int4', isFaithful: true },
    { schema: 'public', name: 'cents', base: 'numeric', isFaithful: false },
    { schema: 'public', name: 'day', base: 'date', holdsTime: true },
    { schema: 'public', name: 'dated', base: 'other', holdsTime: true },
    { schema: 'public', name: 'pair', base: 'other' },
    { schema: 'public', name: 'zoned_pair', base: 'other', holdsTime: true, holdsZone: true },
  ],
};
