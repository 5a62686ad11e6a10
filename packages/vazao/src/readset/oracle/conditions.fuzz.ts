/** Draws conditions: comparisons of every form, trees of AND, OR and NOT, sub-selects. */
import { type Column, columnOf, type Draft, keyOf, keyOfAny, parameter, type Relation, value } from './draft.fuzz.ts';
import { isKey, type Kind, literal, TYPE_NAMES, VALUES } from './kinds.fuzz.ts';

export function conditions(draft: Draft, own: readonly Relation[], outer: readonly Relation[], depth: number): string {
  const count = draft.choices.pick([1, 1, 2, 3]);
  return Array.from({ length: count }, () => condition(draft, own, outer, depth)).join(' and ');
}

/** A condition on `own`, which may also name `outer`. */
export function condition(draft: Draft, own: readonly Relation[], outer: readonly Relation[], depth: number): string {
  const { choices } = draft;
  const column = columnOf(draft, own);
  const { sql, kind } = column;
  switch (choices.number(26)) {
    case 0:
    case 1:
    case 2:
      return equality(draft, column);
    case 3:
    case 4:
      return `${keyOfAny(draft, own).sql} = ${keyOfAny(draft, [...own, ...outer]).sql}`;
    case 5:
      return `${value(draft, kind)} = ${sql}`;
    case 6:
      return `${sql} in (${value(draft, kind)}, ${value(draft, kind)})`;
    case 7:
      return `${sql} = any(${list(draft, kind)})`;
    case 8:
    case 9:
      return range(draft, column);
    case 10:
      return `${sql} is ${choices.pick(['null', 'not null'])}`;
    case 11:
    case 12:
      draft.features.add('or');
      return `(${condition(draft, own, outer, depth)} or ${condition(draft, own, outer, depth)})`;
    case 13:
      draft.features.add('or');
      return orTree(draft, own);
    case 14:
      return `not (${condition(draft, own, outer, depth)})`;
    case 15:
      return optionalFilter(draft, column);
    case 16:
    case 17:
      return rowComparison(draft, own);
    case 18:
      return `(${condition(draft, own, outer, depth)} and ${condition(draft, own, outer, depth)})`;
    case 19:
      return `${sql} = ${columnOf(draft, [...own, ...outer]).sql}`; // compared across types
    case 20:
    case 21:
      return peculiar(draft, column);
    default:
      if (depth <= 0) return equality(draft, column);
      return subSelect(draft, own, outer, column, depth);
  }
}

/** A comparison of a column with values: what a read set can understand, if it knows the type. */
export function comparison(draft: Draft, column: Column): string {
  const { choices } = draft;
  const { sql, kind } = column;
  switch (choices.number(6)) {
    case 0:
    case 1:
      return equality(draft, column);
    case 2:
      return `${sql} in (${value(draft, kind)}, ${value(draft, kind)})`;
    case 3:
      return `${sql} = any(${list(draft, kind)})`;
    case 4:
      return `(${equality(draft, column)} or ${equality(draft, column)})`;
    default:
      return range(draft, column);
  }
}

function equality(draft: Draft, { sql, kind }: Column): string {
  // Where an application has an operator of its own, only the full name says which is meant.
  const operator = draft.choices.rarely(8) ? 'operator(pg_catalog.=)' : '=';
  return `${sql} ${operator} ${value(draft, kind)}`;
}

function list(draft: Draft, kind: Kind): string {
  const { choices } = draft;
  const elements = [choices.pick(VALUES[kind]), choices.rarely(4) ? 'NULL' : choices.pick(VALUES[kind])];
  const text = `{${elements.map((element) => (element === 'NULL' ? element : `"${element.replaceAll(/["\\]/g, '\\$&')}"`)).join(',')}}`;
  switch (choices.number(5)) {
    case 0:
      return parameter(draft, text);
    case 1:
      return literal(text);
    case 2:
      return `${literal(text)}::${TYPE_NAMES[kind]}[]`;
    case 3:
      return `array[${value(draft, kind)}, ${value(draft, kind)}]`;
    default:
      return `${parameter(draft, text)}::${TYPE_NAMES[kind]}[]`;
  }
}

function range(draft: Draft, { sql, kind }: Column): string {
  const { choices } = draft;
  switch (choices.number(4)) {
    case 0:
      return `${sql} between ${value(draft, kind)} and ${value(draft, kind)}`;
    case 1:
      return `${sql} ${choices.pick(['between symmetric', 'not between'])} ${value(draft, kind)} and ${value(draft, kind)}`;
    case 2:
      return `${value(draft, kind)} ${choices.pick(['<', '<=', '>', '>='])} ${sql}`;
    default:
      return `${sql} ${choices.pick(['<', '<=', '>', '>='])} ${value(draft, kind)}`;
  }
}

/** Several branches of AND and OR over equalities and ranges, which a read set may tell apart. */
function orTree(draft: Draft, own: readonly Relation[]): string {
  const { choices } = draft;
  const branch = (): string => {
    const leaves = Array.from({ length: 1 + choices.number(2) }, () => {
      const column = choices.rarely(3) ? columnOf(draft, own) : keyOfAny(draft, own);
      return choices.rarely(3) ? range(draft, column) : equality(draft, column);
    });
    return leaves.length === 1 ? (leaves[0] as string) : `(${leaves.join(' and ')})`;
  };
  return `(${Array.from({ length: 2 + choices.number(2) }, branch).join(' or ')})`;
}

function optionalFilter(draft: Draft, { sql, kind }: Column): string {
  const { choices } = draft;
  const given = parameter(draft, choices.rarely(2) ? null : choices.pick(VALUES[kind]));
  switch (choices.number(4)) {
    case 0:
      return `(${given}::${TYPE_NAMES[kind]} is null or ${sql} = ${given})`;
    case 1:
      return `(${sql} = ${given} or ${given} is null)`;
    case 2:
      return `${sql} = coalesce(${given}, ${sql})`;
    default:
      return `case when ${given}::${TYPE_NAMES[kind]} is null then true else ${sql} = ${given} end`;
  }
}

function rowComparison(draft: Draft, own: readonly Relation[]): string {
  const { choices } = draft;
  const left = columnOf(draft, own);
  const right = columnOf(draft, own);
  const row = (): string => `(${value(draft, left.kind)}, ${value(draft, right.kind)})`;
  switch (choices.number(4)) {
    case 0:
      return `(${left.sql}, ${right.sql}) in (${row()}, ${row()})`;
    case 1:
      return `(${left.sql}, ${right.sql}) ${choices.pick(['<', '<=', '>', '>=', '<>'])} ${row()}`;
    case 2:
      return `row(${left.sql}, ${right.sql}) is not distinct from ${row()}`;
    default:
      return `(${left.sql}, ${right.sql}) = ${row()}`;
  }
}

/** Forms that mean more or less than an equality: a reader must not take them for one. */
function peculiar(draft: Draft, { sql, kind }: Column): string {
  const { choices, schema } = draft;
  if (schema.functions.length > 0 && choices.rarely(3)) {
    const argument = isKey(kind) ? sql : '1';
    return `${choices.pick(schema.functions)}(${argument}::int)::text = ${choices.pick([`'0'`, `'1'`, `'2'`, `'true'`, `'a'`])}`;
  }
  const own = OF_KIND[kind];
  if (own && !choices.rarely(3)) return choices.pick(own).replaceAll('COLUMN', sql);
  switch (choices.number(11)) {
    case 0:
      return `${sql}::text = ${parameter(draft, choices.pick(VALUES[kind]))}`;
    case 1:
      return `coalesce(${sql}, ${value(draft, kind)}) = ${value(draft, kind)}`;
    case 2:
      return `${sql} is ${choices.pick(['distinct from', 'not distinct from'])} ${value(draft, kind)}`;
    case 3:
      return `nullif(${sql}, ${value(draft, kind)}) is null`;
    case 4:
      return `case ${sql} when ${value(draft, kind)} then ${choices.pick(['true', 'false', 'null'])} else ${choices.pick(['true', 'false'])} end`;
    case 5:
      return `${sql} not in (${value(draft, kind)}, ${value(draft, kind)})`;
    case 6:
      return `${sql} <> all(${list(draft, kind)})`;
    case 7:
      return `(${sql} = ${value(draft, kind)}) is ${choices.pick(['not true', 'true', 'unknown', 'not false'])}`;
    case 8:
      return `greatest(${sql}, ${value(draft, kind)}) = ${value(draft, kind)}`;
    case 9:
      return `${sql} <> ${value(draft, kind)}`;
    default:
      return `${sql}::text ${choices.pick(['like', 'ilike', '~'])} ${choices.pick([`'a%'`, `'1'`, `'_'`])}`;
  }
}

const OF_KIND: Partial<Record<Kind, readonly string[]>> = {
  bool: ['COLUMN', 'not COLUMN', 'COLUMN is true', 'COLUMN is not true', 'COLUMN is false', 'COLUMN is unknown'],
  ints: [
    '1 = any(COLUMN)',
    `COLUMN @> '{1}'`,
    `COLUMN && '{1,2}'`,
    'COLUMN[1] = 1',
    `COLUMN = '{1}'`,
    'cardinality(COLUMN) = 1',
    `COLUMN <@ '{1,2,3}'`,
    'COLUMN[1:1] = array[1]',
  ],
  texts: [`'a' = any(COLUMN)`, `COLUMN @> '{a}'`, `COLUMN[1] = 'a'`, `array_length(COLUMN, 1) > 1`],
  jsonb: [
    `COLUMN @> '{"a":1}'`,
    `COLUMN ->> 'a' = '1'`,
    `COLUMN ? 'a'`,
    `COLUMN -> 'b' -> 'a' = '1'`,
    `COLUMN #>> '{b,0}' = '1'`,
    `COLUMN @? '$.a'`,
    `COLUMN = '{"a":1}'`,
    `COLUMN['a'] = '1'`,
    `jsonb_typeof(COLUMN) = 'object'`,
    `COLUMN is not null`,
  ],
  json: [`COLUMN ->> 'a' = '1'`, `COLUMN is json object`, `json_typeof(COLUMN) = 'array'`],
  tsv: [
    `COLUMN @@ to_tsquery('simple', 'a')`,
    `COLUMN @@ 'b'::tsquery`,
    `not COLUMN @@ plainto_tsquery('simple', 'a b')`,
  ],
  range: ['COLUMN @> 1', `COLUMN && '[1,3)'`, 'isempty(COLUMN)', 'lower(COLUMN) = 1'],
  text: [
    `to_tsvector('simple', COLUMN) @@ to_tsquery('simple', 'a')`,
    `COLUMN like 'a%'`,
    `lower(COLUMN) = 'a'`,
    `COLUMN ^@ 'a'`,
    `COLUMN = 'a' collate "C"`,
    `COLUMN || '' = 'a'`,
    `COLUMN similar to '(a|b)'`,
  ],
  date: [`COLUMN + 1 > '2024-01-02'`, `extract(day from COLUMN) = 1`, `COLUMN::timestamp = '2024-01-01'`],
  timestamptz: [
    `COLUMN::date = '2024-01-01'`,
    `COLUMN at time zone 'UTC' > '2024-01-01 13:00'`,
    `date_trunc('day', COLUMN) = '2024-01-01'`,
  ],
  float4: ['COLUMN = 0.1', 'COLUMN::float8 = 0.1', `COLUMN > 1`, `COLUMN = '0.1'::float8`],
  cash: [`COLUMN = 1::money`, `COLUMN::numeric = 1`],
  place: [
    `(COLUMN).zip = 1`,
    `(COLUMN).street is null`,
    `COLUMN = row('a', 1)::place`,
    'COLUMN is null',
    'COLUMN is not null',
  ],
  moods: [`'ok' = any(COLUMN)`, `COLUMN @> '{ok}'`, `COLUMN[1] = 'sad'`],
  xml: [`COLUMN::text = '<a/>'`, `COLUMN is document`],
  interval: [`COLUMN = '24:00'`, `justify_hours(COLUMN) = '1 day'`],
  int: [
    'COLUMN + 0 = 1',
    '-COLUMN = -1',
    'COLUMN % 2 = 1',
    'COLUMN = 1.0',
    `COLUMN::text = '1'`,
    'COLUMN = 1::numeric',
  ],
};

function subSelect(
  draft: Draft,
  own: readonly Relation[],
  outer: readonly Relation[],
  column: Column,
  depth: number,
): string {
  const { choices } = draft;
  const all = [...own, ...outer];
  const inner = (output: 'star' | Kind): string => draft.select(depth - 1, all, output);
  switch (choices.number(6)) {
    case 0:
      draft.features.add('exists');
      return `exists (${inner('star')})`;
    case 1:
      draft.features.add('not exists');
      return `not exists (${inner('star')})`;
    case 2: {
      // The frequent case: a key among the keys of other rows.
      const key = keyOf(draft, choices.pick(own));
      draft.features.add('in (select)');
      return `${key.sql} in (${inner(key.kind)})`;
    }
    case 3:
      draft.features.add('not in (select)');
      return `${column.sql} ${choices.pick(['not in', '<> all'])} (${inner(column.kind)})`;
    case 4:
      draft.features.add('sub-select');
      return `${column.sql} ${choices.pick(['= any', '= all', '=', '> any', '<= all'])} (${inner(column.kind)})`;
    default:
      draft.features.add('in (select)');
      return `${column.sql} in (${inner(column.kind)})`;
  }
}
