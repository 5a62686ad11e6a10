/** Draws what stands in FROM: tables, views, CTEs, sub-selects, LATERAL, VALUES, functions, joins of every kind. */
import { condition } from './conditions.fuzz.ts';
import { type Draft, keyOf, keyOfAny, namesOf, type Relation, relationOf, value } from './draft.fuzz.ts';
import type { Kind } from './kinds.fuzz.ts';

interface From {
  readonly sql: string;
  readonly relations: readonly Relation[];
}

export function entry(draft: Draft, visible: readonly Relation[], outer: readonly Relation[], depth: number): From {
  const { choices, schema } = draft;
  const alias = `r${++draft.aliases}`;
  const cte = draft.ctes.length > 0 && choices.rarely(3) ? choices.pick(draft.ctes) : undefined;
  if (cte) return { sql: `${cte.name} as ${alias}`, relations: [relationOf(draft, alias, cte.columns)] };
  if (depth > 0 && choices.rarely(6)) {
    const lateral = choices.rarely(2);
    draft.features.add(lateral ? 'lateral' : 'derived table');
    const body = draft.select(depth - 1, lateral ? [...visible, ...outer] : outer, 'named');
    const columns = [
      { name: 'a', kind: 'int' as const },
      { name: 'z', kind: 'int' as const },
    ];
    return { sql: `${lateral ? 'lateral ' : ''}(${body}) as ${alias}`, relations: [relationOf(draft, alias, columns)] };
  }
  if (choices.rarely(20)) return generated(draft, alias, visible);
  const near = schema.tables.filter((table) => draft.focus.includes(table.name));
  const table = choices.pick(near.length > 0 && !choices.rarely(5) ? near : schema.tables);
  const columns = Object.entries(table.columns).map(([name, kind]) => ({ name, kind }));
  const sample = !table.name.endsWith(')') && choices.rarely(200) ? ' tablesample bernoulli (100)' : '';
  if (choices.rarely(12)) {
    const renamed = columns.map((column, at) => ({ ...column, name: at < 2 ? `c${at}` : column.name }));
    return { sql: `${table.name} as ${alias}(c0, c1)`, relations: [relationOf(draft, alias, renamed)] };
  }
  if (choices.rarely(10)) return { sql: table.name, relations: [relationOf(draft, table.name, columns)] };
  return {
    sql: `${choices.rarely(15) ? 'only ' : ''}${table.name} as ${alias}${sample}`,
    relations: [relationOf(draft, alias, columns)],
  };
}

/** Rows that come from no table. */
function generated(draft: Draft, alias: string, visible: readonly Relation[]): From {
  const { choices } = draft;
  const columns: { name: string; kind: Kind }[] = [
    { name: 'a', kind: 'int' },
    { name: 'z', kind: 'int' },
  ];
  const relation = relationOf(draft, alias, columns);
  draft.features.add('values or function');
  const array = visible.flatMap(({ columns }) => columns).find(({ kind }) => kind === 'ints');
  const document = visible.flatMap(({ columns }) => columns).find(({ kind }) => kind === 'jsonb');
  switch (choices.number(6)) {
    case 4:
      return {
        sql: `json_table(${document?.sql ?? `jsonb '[{"a":1,"b":2}]'`}, '$[*]' columns (a int path '$.a', z int path '$.b')) as ${alias}`,
        relations: [relation],
      };
    case 5:
      return {
        sql: `xmltable('/r/i' passing xml '<r><i a="1"/><i a="2"/></r>' columns a int path '@a', z for ordinality) as ${alias}`,
        relations: [relation],
      };
    case 0:
      return {
        sql: `(values (1, ${value(draft, 'int')}::int), (2, 3), (null, 1)) as ${alias}(a, z)`,
        relations: [relation],
      };
    case 1:
      if (array) return { sql: `unnest(${array.sql}) with ordinality as ${alias}(a, z)`, relations: [relation] };
      return { sql: `unnest(array[1, 2], array[2, 3]) as ${alias}(a, z)`, relations: [relation] };
    case 2: {
      const key = visible.length > 0 ? keyOfAny(draft, visible).sql : '2';
      return {
        sql: `lateral (select g as a, g as z from generate_series(1, ${key}::int) g) as ${alias}`,
        relations: [relation],
      };
    }
    default:
      return {
        sql: `rows from (generate_series(1, 2), generate_series(2, 4)) as ${alias}(a, z)`,
        relations: [relation],
      };
  }
}

export function joined(draft: Draft, visible: readonly Relation[], outer: readonly Relation[], depth: number): From {
  const { choices } = draft;
  let left = entry(draft, visible, outer, depth);
  const count = choices.pick([0, 0, 1, 1, 2, 3]);
  for (let at = 0; at < count; at++) {
    const tree = choices.rarely(4) ? joined(draft, [...visible, ...left.relations], outer, 0) : undefined;
    const right = tree ?? entry(draft, [...visible, ...left.relations], outer, depth);
    const rightSql = tree && tree.relations.length > 1 ? `(${right.sql})` : right.sql;
    const relations = [...left.relations, ...right.relations];
    const kind = choices.pick(['join', 'join', 'left join', 'left join', 'right join', 'full join', 'cross join']);
    draft.features.add(kind === 'join' || kind === 'cross join' ? 'join' : 'outer join');
    const common = namesOf(left.relations).filter((name) => namesOf(right.relations).includes(name));
    if (kind === 'cross join') left = { sql: `${left.sql} cross join ${rightSql}`, relations };
    else if (draft.hasBareNames && common.length > 0 && choices.rarely(2)) {
      const alias = choices.rarely(4) ? ` as u${++draft.aliases}` : '';
      left = { sql: `${left.sql} ${kind} ${rightSql} using (${choices.pick(common)})${alias}`, relations };
    } else if (choices.rarely(25)) left = { sql: `${left.sql} natural ${kind} ${rightSql}`, relations };
    else {
      const equal = `${keyOf(draft, choices.pick(left.relations)).sql} = ${keyOf(draft, choices.pick(right.relations)).sql}`;
      const more = choices.rarely(2)
        ? ` and ${condition(draft, relations, outer, kind === 'full join' ? 0 : Math.min(depth, 1))}`
        : '';
      left = { sql: `${left.sql} ${kind} ${rightSql} on ${equal}${more}`, relations };
    }
  }
  return left;
}
