/** Draws SELECT statements over the oracle's tables. Some are rejected by PostgreSQL; those are counted and skipped. */
import type { Choices } from './choices.fuzz.ts';
import { type Kind, literal, TABLES, VALUES } from './schema.fuzz.ts';

export interface OracleStatement {
  readonly sql: string;
  readonly parameters: readonly (string | null)[];
  /** For the measure of precision. */
  readonly kind: string;
}

interface Column {
  readonly sql: string;
  readonly kind: Kind;
}

interface Relation {
  readonly alias: string;
  readonly columns: readonly Column[];
}

const TYPE_NAMES: Readonly<Record<Kind, string>> = {
  int: 'int',
  text: 'text',
  numeric: 'numeric',
  bool: 'bool',
  float: 'float8',
  date: 'date',
  mood: 'mood',
  timestamptz: 'timestamptz',
  timestamp: 'timestamp',
  uuid: 'uuid',
  ci: 'text',
  char: 'char(3)',
};

export function drawStatement(choices: Choices): OracleStatement {
  const parameters: (string | null)[] = [];
  const features = new Set<string>();
  let aliases = 0;
  const hasBareNames = choices.rarely(4);
  /** CTEs in scope, with their columns. */
  let ctes: { name: string; columns: readonly { name: string; kind: Kind }[] }[] = [];

  const parameter = (value: string | null): string => {
    if (parameters.length > 0 && parameters.includes(value) && choices.rarely(3))
      return `$${parameters.indexOf(value) + 1}`;
    parameters.push(value);
    return `$${parameters.length}`;
  };

  const value = (kind: Kind): string => {
    const text = choices.pick(VALUES[kind]);
    switch (choices.number(9)) {
      case 0:
      case 1:
        return literal(text);
      case 2:
      case 3:
        return parameter(text);
      case 4:
        return kind === 'int' || kind === 'numeric' ? text : `${literal(text)}::${TYPE_NAMES[kind]}`;
      case 5:
        return `${parameter(kind === 'int' && choices.rarely(3) ? '1.6' : text)}::${TYPE_NAMES[kind]}`;
      case 6:
        return kind === 'int' || kind === 'float' ? choices.pick(['1.0', '1.6', '1', '2e0']) : literal(text);
      case 7:
        return choices.rarely(3) ? 'null' : literal(text);
      default:
        return kind === 'bool' ? choices.pick(['true', 'false']) : parameter(choices.rarely(6) ? null : text);
    }
  };

  const columnOf = (relations: readonly Relation[]): Column => choices.pick(choices.pick(relations).columns);
  const namesOf = (relations: readonly Relation[]): string[] =>
    relations.flatMap(({ columns }) => columns.map(({ sql }) => sql.split('.').at(-1) as string));
  const keyOf = (relation: Relation): Column =>
    choices.pick(
      relation.columns.filter(({ kind }) => kind === 'int').length > 0
        ? relation.columns.filter(({ kind }) => kind === 'int')
        : relation.columns,
    );

  /** A condition on `own`, which may also name `outer`. */
  const condition = (own: readonly Relation[], outer: readonly Relation[], depth: number): string => {
    const column = columnOf(own);
    const { sql, kind } = column;
    switch (choices.number(24)) {
      case 0:
      case 1:
      case 2:
        return `${sql} = ${value(kind)}`;
      case 3:
      case 4: {
        const all = [...own, ...outer];
        return `${keyOf(choices.pick(own)).sql} = ${keyOf(choices.pick(all)).sql}`;
      }
      case 5:
        return `${value(kind)} = ${sql}`;
      case 6:
        return `${sql} in (${value(kind)}, ${value(kind)})`;
      case 7: {
        const elements = [choices.pick(VALUES[kind]), choices.rarely(4) ? 'NULL' : choices.pick(VALUES[kind])];
        const text = `{${elements.map((element) => (element === 'NULL' ? element : `"${element}"`)).join(',')}}`;
        const list = choices.pick([
          () => parameter(text),
          () => literal(text),
          () => `${literal(text)}::${TYPE_NAMES[kind]}[]`,
          () => `array[${value(kind)}, ${value(kind)}]`,
          () => `${parameter(text)}::${TYPE_NAMES[kind]}[]`,
        ]);
        return `${sql} = any(${list()})`;
      }
      case 8:
        return `${sql} ${choices.pick(['<', '<=', '>', '>='])} ${value(kind)}`;
      case 9:
        return `${sql} between ${value(kind)} and ${value(kind)}`;
      case 10:
        return `${sql} is null`;
      case 11:
        return `${sql} is not null`;
      case 12:
        return kind === 'bool'
          ? choices.pick([sql, `not ${sql}`, `${sql} is true`, `${sql} is not true`, `${sql} is false`])
          : `${sql} is distinct from ${value(kind)}`;
      case 13:
        return `(${condition(own, outer, depth)} or ${condition(own, outer, depth)})`;
      case 14:
        return `not (${condition(own, outer, depth)})`;
      case 15: {
        const given = parameter(choices.rarely(2) ? null : choices.pick(VALUES[kind]));
        return choices.rarely(2)
          ? `(${given}::${TYPE_NAMES[kind]} is null or ${sql} = ${given})`
          : `(${sql} = ${given} or ${given} is null)`;
      }
      case 16: {
        const other = columnOf(own);
        return `(${sql}, ${other.sql}) = (${value(kind)}, ${value(other.kind)})`;
      }
      case 17: {
        const other = columnOf(own);
        return `(${sql}, ${other.sql}) in ((${value(kind)}, ${value(other.kind)}), (${value(kind)}, ${value(other.kind)}))`;
      }
      case 18:
        return `${sql}::text = ${parameter(choices.pick(VALUES[kind]))}`;
      case 19:
        return `coalesce(${sql}, ${value(kind)}) = ${value(kind)}`;
      case 20:
        return `(${condition(own, outer, depth)} and ${condition(own, outer, depth)})`;
      case 21: {
        // Compared across types.
        const other = columnOf([...own, ...outer]);
        return `${sql} = ${other.sql}`;
      }
      default:
        if (depth <= 0) return `${sql} = ${value(kind)}`;
        features.add('sub-select');
        return choices.pick(['exists', 'not exists', 'in', 'not in', '=']) === 'exists' || choices.rarely(2)
          ? `${choices.pick(['exists', 'not exists'])} (${select(depth - 1, [...own, ...outer], 'star')})`
          : `${sql} ${choices.pick(['in', 'not in', '= any', '= all', '='])} (${select(depth - 1, [...own, ...outer], kind)})`;
    }
  };

  const conditions = (own: readonly Relation[], outer: readonly Relation[], depth: number): string =>
    Array.from({ length: choices.pick([1, 1, 2, 3]) }, () => condition(own, outer, depth)).join(' and ');

  const relationOf = (alias: string, columns: readonly { name: string; kind: Kind }[]): Relation => ({
    alias,
    // A bare name now and then: it may be ambiguous, merged, or another scope's.
    columns: columns.map(({ name, kind }) => ({
      sql: hasBareNames && choices.rarely(3) ? name : `${alias}.${name}`,
      kind,
    })),
  });

  const entry = (
    visible: readonly Relation[],
    outer: readonly Relation[],
    depth: number,
  ): { sql: string; relations: Relation[] } => {
    const alias = `r${++aliases}`;
    const cte = ctes.length > 0 && choices.rarely(3) ? choices.pick(ctes) : undefined;
    if (cte) return { sql: `${cte.name} as ${alias}`, relations: [relationOf(alias, cte.columns)] };
    if (depth > 0 && choices.rarely(6)) {
      features.add('sub-select');
      const lateral = choices.rarely(2);
      const body = select(depth - 1, lateral ? [...visible, ...outer] : outer, 'named');
      return {
        sql: `${lateral ? 'lateral ' : ''}(${body}) as ${alias}`,
        relations: [
          relationOf(alias, [
            { name: 'a', kind: 'int' },
            { name: 'z', kind: 'int' },
          ]),
        ],
      };
    }
    const table = choices.pick(TABLES);
    const columns = Object.entries(table.columns).map(([name, kind]) => ({ name, kind }));
    if (choices.rarely(12)) {
      const renamed = columns.map((column, at) => ({ ...column, name: at < 2 ? `c${at}` : column.name }));
      return { sql: `${table.name} as ${alias}(c0, c1)`, relations: [relationOf(alias, renamed)] };
    }
    if (choices.rarely(10)) return { sql: table.name, relations: [relationOf(table.name, columns)] };
    return {
      sql: `${choices.rarely(15) ? 'only ' : ''}${table.name} as ${alias}`,
      relations: [relationOf(alias, columns)],
    };
  };

  const joined = (
    visible: readonly Relation[],
    outer: readonly Relation[],
    depth: number,
  ): { sql: string; relations: Relation[] } => {
    let left = entry(visible, outer, depth);
    const count = choices.pick([0, 0, 1, 1, 2, 3]);
    for (let at = 0; at < count; at++) {
      const tree = choices.rarely(4) ? joined([...visible, ...left.relations], outer, 0) : undefined;
      const right = tree ?? entry([...visible, ...left.relations], outer, depth);
      const rightSql = tree && tree.relations.length > 1 ? `(${right.sql})` : right.sql;
      const relations = [...left.relations, ...right.relations];
      const kind = choices.pick(['join', 'left join', 'left join', 'right join', 'full join', 'cross join']);
      features.add(kind === 'join' || kind === 'cross join' ? 'join' : 'outer join');
      const common = namesOf(left.relations).filter((name) => namesOf(right.relations).includes(name));
      if (kind === 'cross join') left = { sql: `${left.sql} cross join ${rightSql}`, relations };
      else if (hasBareNames && common.length > 0 && choices.rarely(2))
        left = { sql: `${left.sql} ${kind} ${rightSql} using (${choices.pick(common)})`, relations };
      else if (choices.rarely(25)) left = { sql: `${left.sql} natural ${kind} ${rightSql}`, relations };
      else {
        const equal = `${keyOf(choices.pick(left.relations)).sql} = ${keyOf(choices.pick(right.relations)).sql}`;
        const more = choices.rarely(2)
          ? ` and ${condition(relations, outer, kind === 'full join' ? 0 : Math.min(depth, 1))}`
          : '';
        left = { sql: `${left.sql} ${kind} ${rightSql} on ${equal}${more}`, relations };
      }
    }
    return left;
  };

  /** `outer`: what a correlated condition may name. `output`: what the place asks for. */
  const select = (depth: number, outer: readonly Relation[], output: 'any' | 'star' | 'named' | Kind): string => {
    const from = joined([], outer, depth);
    let sql = from.sql;
    let relations = from.relations;
    if (choices.rarely(6)) {
      features.add('join');
      const second = entry(relations, outer, depth);
      sql += `, ${second.sql}`;
      relations = [...relations, ...second.relations];
    }
    const where = choices.number(8) === 7 ? '' : ` where ${conditions(relations, outer, depth)}`;
    if (output === 'star')
      return `select ${choices.pick(['*', '1', relations[0]?.columns[0]?.sql ?? '1'])} from ${sql}${where}`;
    if (output === 'named') {
      const names = [keyOf(choices.pick(relations)).sql, keyOf(choices.pick([...relations, ...outer])).sql];
      if (choices.rarely(3)) return `select ${names[0]}::int as a, count(*)::int as z from ${sql}${where} group by 1`;
      return choices.rarely(2)
        ? `select ${names[0]} as a, ${names[1]} as z from ${sql}${where}`
        : `select ${names[0]}::int as a, ${names[1]}::int as z from ${sql}${where}`;
    }
    if (output !== 'any') {
      const fitting = relations.flatMap(({ columns }) => columns).filter(({ kind }) => kind === output);
      return `select ${fitting.length > 0 ? choices.pick(fitting).sql : `null::${TYPE_NAMES[output]}`} from ${sql}${where}`;
    }
    // Of equal values that look different (1 and 1.0), the one that stands for the group is anybody's guess.
    const groupable = relations
      .flatMap(({ columns }) => columns)
      .filter(({ kind }) => !['numeric', 'float', 'ci'].includes(kind));
    const grouped = choices.pick(groupable);
    switch (choices.number(12)) {
      case 0:
      case 1:
        return `select ${relations.flatMap(({ columns }) => [choices.pick(columns).sql, choices.pick(columns).sql]).join(', ')} from ${sql}${where}`;
      case 2:
        return `select * from ${sql}${where}`;
      case 3:
        features.add('aggregate');
        return `select count(*) from ${sql}${where}`;
      case 4:
        features.add('aggregate');
        return `select ${grouped.sql}, count(*), min(${keyOf(choices.pick(relations)).sql}), count(distinct ${columnOf(relations).sql}) from ${sql}${where} group by ${grouped.sql}${choices.rarely(2) ? ` having count(*) > 1 or ${condition([{ alias: '', columns: [grouped] }], [], 0)}` : ''}`;
      case 5:
        return `select ${choices.pick(relations).alias}.* from ${sql}${where}`;
      case 6:
        features.add('sub-select');
        return `select ${keyOf(choices.pick(relations)).sql}, (select count(*) from (${select(Math.max(depth - 1, 0), [...relations, ...outer], 'named')}) s) from ${sql}${where}`;
      case 7: {
        features.add('limit');
        const column = keyOf(choices.pick(relations)).sql;
        return `select distinct ${column} as o from ${sql}${where} order by o limit ${1 + choices.number(3)}`;
      }
      case 8:
        return `select case when ${condition(relations, outer, 0)} then ${grouped.sql}::text else 'no' end from ${sql}${where}`;
      case 9:
        features.add('window');
        return `select ${grouped.sql}, count(*) over (partition by ${keyOf(choices.pick(relations)).sql}) from ${sql}${where}`;
      case 10:
        return `select ${choices.pick(relations).alias}::text from ${sql}${where}`;
      default:
        features.add('aggregate');
        return `select ${grouped.sql}, count(*) from ${sql}${where} group by rollup (${grouped.sql})`;
    }
  };

  const withCte = (): string => {
    if (!choices.rarely(5)) return '';
    features.add('cte');
    const list: string[] = [];
    const isRecursive = choices.rarely(4);
    for (let at = 0; at <= choices.number(2); at++) {
      // Names of tables, too: within a plain WITH the body still means the table.
      const name = choices.pick(['q', 'w', 'p', 'c'].filter((name) => !ctes.some((cte) => cte.name === name)));
      const columns = [
        { name: 'a', kind: 'int' },
        { name: 'z', kind: 'int' },
      ] as const;
      if (isRecursive && at === 0 && (name === 'q' || name === 'w')) {
        const start = select(0, [], 'named');
        list.push(
          `${name} as (${start} union select ${name}.a, e.id::int from ${name} join e on e.pid = ${name}.z${choices.rarely(2) ? ` where e.k = ${value('int')}` : ''})`,
        );
      } else list.push(`${name} as ${choices.pick(['', 'materialized '])}(${select(1, [], 'named')})`);
      ctes = [...ctes, { name, columns }];
    }
    return `with ${isRecursive ? 'recursive ' : ''}${list.join(', ')} `;
  };

  /** Shapes that applications write, drawn often enough to measure how precise the read sets are for them. */
  const common = (): OracleStatement => {
    const id = choices.pick(VALUES.int);
    const shapes: readonly [string, string, (string | null)[]][] = [
      ['point lookup', 'select * from p where id = $1', [id]],
      ['foreign-key list', 'select id, t, n from c where pid = $1 order by id', [id]],
      ['join on a key', 'select p.t, c.id, c.n from p join c on c.pid = p.id where p.id = $1', [id]],
      [
        'left join with aggregate',
        'select p.id, p.t, count(c.id), coalesce(sum(c.n), 0) from p left join c on c.pid = p.id where p.id = $1 group by p.id',
        [id],
      ],
      [
        'correlated sub-select',
        'select p.t, (select coalesce(sum(n), 0) from c where c.pid = p.id) from p where p.id = $1',
        [id],
      ],
      ['in list', 'select id, t from p where id = any($1)', [`{${id},7}`]],
      ['range', 'select id, d from p where d >= $1 and d < $2', ['2024-01-02', '2024-01-03']],
      [
        'optional filter',
        'select id, t from p where ($1::text is null or t = $1) and ok order by id',
        [choices.pick([null, 'a'])],
      ],
      ['exists', 'select id from p where id = $1 and exists (select 1 from c where c.pid = p.id and c.k > 1)', [id]],
    ];
    const [kind, sql, given] = choices.pick(shapes);
    return { kind, sql, parameters: given };
  };

  /** Shapes whose traps chance alone seldom meets. */
  const trap = (): OracleStatement => {
    const [one, two] = [choices.pick(VALUES.int), choices.pick(VALUES.int)];
    const shapes: readonly [string, (string | null)[]][] = [
      ['select g from p where id = $1', [one]],
      ['select vg from c where pid = $1', [one]],
      ['select id from p where g = 2', []],
      ['select c.id from c join p on c.vg = p.g where p.g = $1', ['2']],
      ['select id from p where n = $1 and k = $1::int', ['1.0']],
      ['select id from p where (n = $1 or ok) and k = $1::int', [choices.pick(['1.6', '1.5', '0.6'])]],
      ['select id from p where (f = $1 or ok) and n = $1', ['0.1']],
      ['select id from p where f = $1', ['0.10000000000000000000001']],
      ['select id from p where f in (0.1, 1)', []],
      ['select count(*) from p left join c on c.pid = p.id where c.id is null', []],
      ['select p.id from p left join c on c.pid = p.id and c.k = $1 where c.k is null', [one]],
      ['select p.id from p right join c on c.pid = p.id where p.k is null and c.k = $1', [one]],
      ['select id from e where b = $1', ['a']],
      ['select id from e where ci = $1', ['a']],
      ['select k, count(*) from p group by k having k = $1', [one]],
      ['select sum(k) from p having bool_or(ok)', []],
      ['select grouping(k), k, count(*) from p group by rollup (k) having k is null', []],
      ['with p as (select * from p where k = $1) select * from p', [one]],
      ['with recursive p as (select 1 as id) select * from p, c where c.pid = p.id', []],
      ['select c.id from c where c.ts = $1', ['2024-01-01 12:00:00+00']],
      ['select c.id from c where c.ts >= $1', ['2024-01-02']],
      ['select c.id from c where c.ts < $1', ['2024-01-02']],
      ['select p.id, q.s from p, lateral (select sum(c.n) as s from c where c.pid = p.k) q where p.id = $1', [one]],
      ['select k from p full join c using (k) where k = $1', [one]],
      ['select k from p left join c using (k) where c.k = $1', [one]],
      ['select p.id from p where id = $1 and not exists (select 1 from c where c.pid = p.id and c.k = $2)', [one, two]],
      ['select p.id from p where p.id in (select pid from c where k = $1) and p.k = $2', [one, two]],
      [
        'select a.id, b.id, c.id from p a left join (c b join e on e.cid = b.id) on b.pid = a.id left join c on c.pid = e.pid where a.id = $1',
        [one],
      ],
      [
        'select a.id, b.id from p a full join (c b left join e on e.cid = b.id and e.k = $2) on b.pid = a.id where a.id = $1 or b.id = $1',
        [one, two],
      ],
      [
        'select x.id, (select count(*) from c full join e on c.pid = x.id and e.k = x.k) from p x where x.id = $1',
        [one],
      ],
      ['select id from part where k = $1', [one]],
      ['select t from base where id = $1', [one]],
      ['select k from totals where pid = $1', [one]],
    ];
    const [sql, given] = choices.pick(shapes);
    return { kind: 'traps', sql, parameters: given };
  };

  const shape = choices.number(8);
  if (shape === 7) return common();
  if (shape === 6) return trap();
  const prefix = withCte();
  let sql = select(2, [], choices.rarely(8) ? 'named' : 'any');
  if (choices.rarely(12)) {
    features.add('set operation');
    sql = `(${select(1, [], 'named')}) ${choices.pick(['union', 'union all', 'except', 'intersect'])} (${select(1, [], 'named')})`;
  }
  return { sql: prefix + sql, parameters, kind: [...features].sort().join(' + ') || 'one table' };
}
