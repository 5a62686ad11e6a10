/** Draws SELECT statements. Some are rejected by PostgreSQL; those are counted and skipped. */
import type { Choices } from './choices.fuzz.ts';
import { comparison, condition, conditions } from './conditions.fuzz.ts';
import { type Column, columnOf, type Draft, keyOf, keyOfAny, type Output, type Relation, value } from './draft.fuzz.ts';
import { entry, joined } from './from.fuzz.ts';
import { isGroupable, isKey, type Kind, PLACE_FIELDS, TYPE_NAMES } from './kinds.fuzz.ts';
import type { OracleStatement } from './oracle.fuzz.ts';
import type { OracleSchema } from './schema.fuzz.ts';

export function drawStatement(schema: OracleSchema, focus: readonly string[], choices: Choices): OracleStatement {
  const draft: Draft = {
    choices,
    schema,
    focus,
    parameters: [],
    features: new Set(),
    hasBareNames: choices.rarely(4),
    compare: 'rows',
    ctes: [],
    aliases: 0,
    select: (depth, outer, output) => select(draft, depth, outer, output),
  };
  if (schema.session) draft.features.add('roles and sessions');
  if (schema.isPlain || choices.rarely(10)) return plain(draft);
  const prefix = withClause(draft);
  let sql: string;
  if (choices.rarely(12)) {
    draft.features.add('set operation');
    const operations = ['union', 'union all', 'except', 'intersect', 'except all', 'intersect all'];
    sql = `(${select(draft, 1, [], 'named')}) ${choices.pick(operations)} (${select(draft, 1, [], 'named')})`;
    const more = choices.number(4);
    if (more === 3) sql += ` order by 1, 2 limit ${1 + choices.number(3)}`;
    else if (more === 2) sql = `(${sql}) ${choices.pick(operations)} (${select(draft, 0, [], 'named')})`;
  } else sql = select(draft, 2, [], choices.rarely(8) ? 'named' : 'any');
  const kinds = draft.features.size === 0 ? ['one table'] : [...draft.features];
  return { sql: prefix + sql, parameters: draft.parameters, kinds, compare: draft.compare };
}

/** One table, by the value of a column or two: where every type is compared. */
function plain(draft: Draft): OracleStatement {
  const { choices, schema } = draft;
  const table = choices.pick(schema.tables.filter(({ name }) => draft.focus.includes(name)));
  const columns = Object.entries(table.columns).map(([name, kind]): Column => ({ sql: name, kind }));
  const compared = choices.pick(columns.length > 1 ? columns.slice(1) : columns);
  const more = choices.rarely(3) ? ` and ${comparison(draft, choices.pick(columns))}` : '';
  const session = schema.sessionValues ? [`id, ${choices.pick(schema.sessionValues)}`] : [];
  const list = choices.pick(['id', '*', `id, ${compared.sql}`, 'count(*)', ...session]);
  const sql = `select ${list} from ${table.name} where ${comparison(draft, compared)}${more}`;
  return { sql, parameters: draft.parameters, kinds: ['plain comparison', ...draft.features] };
}

function select(draft: Draft, depth: number, outer: readonly Relation[], output: Output): string {
  const { choices } = draft;
  const from = joined(draft, [], outer, depth);
  let sql = from.sql;
  let relations = from.relations;
  if (choices.rarely(6)) {
    draft.features.add('join');
    const second = entry(draft, relations, outer, depth);
    sql += `, ${second.sql}`;
    relations = [...relations, ...second.relations];
  }
  const where = choices.number(8) === 7 ? '' : ` where ${conditions(draft, relations, outer, depth)}`;
  const tail = `from ${sql}${where}`;
  if (output === 'star') return `select ${choices.pick(['*', '1', relations[0]?.columns[0]?.sql ?? '1', ''])} ${tail}`;
  if (output === 'named') return named(draft, relations, outer, tail);
  if (output !== 'any') {
    const fitting = relations
      .flatMap(({ columns }) => columns)
      .filter(({ kind }) => kind === output || (isKey(kind) && isKey(output)));
    return `select ${fitting.length > 0 ? choices.pick(fitting).sql : `null::${TYPE_NAMES[output]}`} ${tail}`;
  }
  return whole(draft, relations, outer, depth, tail);
}

/** Two columns, `a` and `z`. */
function named(draft: Draft, relations: readonly Relation[], outer: readonly Relation[], tail: string): string {
  const { choices } = draft;
  const first = keyOfAny(draft, relations).sql;
  const second = keyOfAny(draft, [...relations, ...outer]).sql;
  switch (choices.number(5)) {
    case 0:
    case 1:
      return `select ${first} as a, ${second} as z ${tail}`;
    case 2:
      return `select ${first}::int as a, ${second}::int as z ${tail}`;
    case 3:
      return `select ${first}::int as a, count(*)::int as z ${tail} group by 1`;
    default:
      draft.features.add('limit');
      return `select ${first}::int as a, ${second}::int as z ${tail} order by 1, 2 limit ${1 + choices.number(3)}`;
  }
}

function whole(
  draft: Draft,
  relations: readonly Relation[],
  outer: readonly Relation[],
  depth: number,
  tail: string,
): string {
  const { choices } = draft;
  const all = relations.flatMap(({ columns }) => columns);
  const groupable = all.filter(({ kind }) => isGroupable(kind));
  const grouped: Column = groupable.length > 0 ? choices.pick(groupable) : { sql: '1::int', kind: 'int' };
  const key = keyOf(draft, choices.pick(relations)).sql;
  switch (choices.number(14)) {
    case 0:
    case 1:
      return `select ${relations.flatMap(({ columns }) => [choices.pick(columns).sql, choices.pick(columns).sql]).join(', ')} ${tail}`;
    case 2:
      return `select * ${tail}`;
    case 3:
      draft.features.add('aggregate');
      return `select count(*) ${tail}`;
    case 4:
    case 5:
      draft.features.add('aggregate');
      return aggregate(draft, relations, grouped, tail);
    case 6:
      return `select ${choices.pick(relations).alias}${choices.pick(['.*', '', '::text'])} ${tail}`;
    case 7:
      draft.features.add('sub-select');
      return `select ${key}, (select count(*) from (${select(draft, Math.max(depth - 1, 0), [...relations, ...outer], 'named')}) s) ${tail}`;
    case 8:
    case 9:
      draft.features.add('limit');
      return limited(draft, relations, groupable, grouped, tail);
    case 10:
      return `select case when ${condition(draft, relations, outer, 0)} then ${grouped.sql}::text else 'no' end ${tail}`;
    case 11:
      draft.features.add('window');
      return windowed(draft, relations, grouped, key, tail);
    case 12:
      draft.features.add('aggregate');
      return `select ${key}, array(select a from (${select(draft, 0, [...relations, ...outer], 'named')}) s order by a nulls first) ${tail}`;
    default: {
      draft.features.add('grouping sets');
      const other = groupable.length > 0 ? choices.pick(groupable) : grouped;
      const sets = choices.pick([
        `rollup (${grouped.sql})`,
        `cube (${grouped.sql}, ${other.sql})`,
        `grouping sets ((${grouped.sql}), (${other.sql}), ())`,
        `grouping sets ((${grouped.sql}, ${other.sql}), rollup (${other.sql}))`,
      ]);
      return `select ${grouped.sql}, count(*), grouping(${grouped.sql}) ${tail} group by ${sets}`;
    }
  }
}

function aggregate(draft: Draft, relations: readonly Relation[], grouped: Column, tail: string): string {
  const { choices } = draft;
  const key = keyOfAny(draft, relations).sql;
  const column = columnOf(draft, relations);
  const distinct = ['json', 'tsv', 'xml'].includes(column.kind) ? column.sql : `distinct ${column.sql}`;
  const having = choices.rarely(2)
    ? ` having ${choices.pick([() => 'count(*) > 1', () => condition(draft, [{ alias: '', columns: [grouped] }], [], 0), () => `bool_or(${key} = 1)`])()}`
    : '';
  switch (choices.number(4)) {
    case 0:
      return `select ${grouped.sql}, count(*), min(${key}), count(${distinct}) ${tail} group by ${grouped.sql}${having}`;
    case 1:
      return `select ${grouped.sql}, array_agg(${key} order by ${key}), count(*) filter (where ${condition(draft, relations, [], 0)}) ${tail} group by 1${having}`;
    case 2:
      return `select max(${key}), count(${key}), string_agg(${grouped.sql}::text, ',' order by ${grouped.sql}::text) ${tail}`;
    default:
      return `select distinct ${grouped.sql}, ${key} ${tail}`;
  }
}

/** Only what is the same whatever the plan: ties are between rows that look alike, or are all returned, or counted. */
function limited(
  draft: Draft,
  relations: readonly Relation[],
  groupable: readonly Column[],
  grouped: Column,
  tail: string,
): string {
  const { choices } = draft;
  const columns = [...new Set([grouped.sql, ...groupable.slice(0, 3).map(({ sql }) => sql)])];
  const list = columns.join(', ');
  // A star before them moves what the numbers mean.
  const star = choices.rarely(4) ? drawStar(relations, choices) : undefined;
  const before = star?.count ?? 0;
  const starred = star ? `${star.sql}, ` : '';
  const numbers = columns.map(
    (_, at) => `${before + at + 1}${choices.pick(['', ' desc', ' desc nulls last', ' nulls first'])}`,
  );
  const count = choices.rarely(4) ? `${value(draft, 'int')}::int` : String(1 + choices.number(3));
  // Rows that tie must look alike, so that the star decides as well.
  const order = [...numbers, ...Array.from({ length: before }, (_, at) => at + 1)].join(', ');
  switch (choices.number(6)) {
    case 0:
    case 1:
      return `select ${starred}${list} ${tail} order by ${order} limit ${count}`;
    case 2:
      return `select ${starred}${list} ${tail} order by ${order} limit ${count} offset ${choices.number(3)}`;
    case 3:
      return `select ${list} ${tail} order by ${grouped.sql} ${choices.pick(['', 'desc'])} fetch first ${1 + choices.number(2)} rows with ties`;
    case 4:
      draft.features.add('distinct on');
      return `select distinct on (${grouped.sql}) ${list} ${tail} order by ${list}`;
    default:
      draft.compare = 'count';
      return `select ${list} ${tail} limit ${count}`;
  }
}

/** `(composite).*` or `table.*`, if its values can be sorted. */
function drawStar(relations: readonly Relation[], choices: Choices): { sql: string; count: number } | undefined {
  const place = relations.flatMap(({ columns }) => columns).find(({ kind }) => kind === 'place');
  if (place) return { sql: `(${place.sql}).*`, count: PLACE_FIELDS };
  const plain = relations.filter(
    ({ alias, columns }) => alias !== '' && columns.every(({ kind }) => isGroupable(kind)),
  );
  const relation = plain.length > 0 ? choices.pick(plain) : undefined;
  return relation && { sql: `${relation.alias}.*`, count: relation.columns.length };
}

function windowed(draft: Draft, relations: readonly Relation[], grouped: Column, key: string, tail: string): string {
  const { choices } = draft;
  const other = keyOfAny(draft, relations).sql;
  const call = choices.pick([
    `count(*) over (partition by ${key})`,
    `rank() over (order by ${key})`,
    `dense_rank() over (partition by ${key} order by ${other})`,
    `count(${other}) over (order by ${key})`,
    `first_value(${key}) over (partition by ${other} order by ${key})`,
    `max(${key}) over w`,
    `cume_dist() over (order by ${key})`,
  ]);
  const list = `select ${grouped.sql}, ${call} as w_ ${tail}`;
  const full = call.endsWith(' w') ? `${list} window w as (partition by ${other})` : list;
  return choices.rarely(4) ? `select * from (${full}) as top where w_ ${choices.pick(['= 1', '<= 2', '> 1'])}` : full;
}

function withClause(draft: Draft): string {
  const { choices } = draft;
  if (!choices.rarely(5)) return '';
  draft.features.add('cte');
  const list: string[] = [];
  const isRecursive = choices.rarely(4);
  const names = ['q', 'w', 'u', ...(isRecursive ? [] : draft.schema.tables.slice(0, 2).map(({ name }) => name))];
  const columns: { name: string; kind: Kind }[] = [
    { name: 'a', kind: 'int' },
    { name: 'z', kind: 'int' },
  ];
  for (let at = 0; at <= choices.number(2); at++) {
    // Names of tables, too: within a plain WITH the body still means the table.
    const name = choices.pick(names.filter((name) => !draft.ctes.some((cte) => cte.name === name)));
    if (isRecursive && at === 0 && (name === 'q' || name === 'w')) {
      draft.features.add('recursive');
      const start = select(draft, 0, [], 'named');
      const step = entry(draft, [], [], 0);
      const [relation] = step.relations as [Relation];
      const [from, to] = [keyOf(draft, relation).sql, keyOf(draft, relation).sql];
      const where = choices.rarely(2) ? ` where ${condition(draft, [relation], [], 0)}` : '';
      const order = choices.rarely(3)
        ? choices.pick([
            ' search depth first by z set sorted',
            ' search breadth first by a, z set sorted',
            ' cycle z set looped using path',
          ])
        : '';
      list.push(
        `${name} (a, z) as ((${start}) union select ${name}.a, ${to}::int from ${name} join ${step.sql} on ${from} = ${name}.z${where})${order}`,
      );
    } else
      list.push(
        `${name} as ${choices.pick(['', 'materialized ', 'not materialized '])}(${select(draft, 1, [], 'named')})`,
      );
    draft.ctes = [...draft.ctes, { name, columns }];
  }
  return `with ${isRecursive ? 'recursive ' : ''}${list.join(', ')} `;
}
