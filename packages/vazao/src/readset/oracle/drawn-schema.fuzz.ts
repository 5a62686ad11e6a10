/** Schemas drawn at random: tables of drawn types with references, partitions, children, triggers, views over views. */
import type { Choices } from './choices.fuzz.ts';
import { INSENSITIVE, KINDS, type Kind, TYPE_NAMES } from './kinds.fuzz.ts';
import { type OracleSchema, type OracleTable, table } from './schema.fuzz.ts';

export const TYPES: readonly string[] = [
  `create type mood as enum ('sad', 'ok', 'glad')`,
  'create domain small as int check (value < 1000)',
  'create domain span as interval',
  'create domain doc as jsonb',
  `create collation insensitive (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
];

/** Names that meet across tables, so that USING and NATURAL find something. */
const NAMES = ['k', 't', 'n', 'a', 'b', 'v'];

export function drawSchema(choices: Choices): OracleSchema {
  const ddl = [...TYPES];
  const tables: OracleTable[] = [];
  const count = 2 + choices.number(3);
  for (let at = 0; at < count; at++) drawTable(`t${at}`, tables, ddl, choices);
  for (let at = 0; at < choices.number(4); at++) drawView(`v${at}`, tables, ddl, choices);
  const functions: string[] = [];
  if (choices.rarely(3)) {
    ddl.push(`create function half(x int) returns int language sql immutable return x / 2`);
    functions.push('half');
  }
  return { ddl, tables, functions };
}

function drawTable(name: string, tables: OracleTable[], ddl: string[], choices: Choices): void {
  const columns: Record<string, Kind> = { id: choices.pick(['int', 'int', 'bigint', 'int2'] as const) };
  const parent = tables.find((table) => table.hasKey && columns.id === table.columns.id);
  if (tables.length > 0) columns.ref = parent ? (parent.columns.id as Kind) : 'int';
  columns.k = choices.pick(['int', 'int', 'bigint', 'small', 'numeric', 'text'] as const);
  for (const column of NAMES.slice(1, 3 + choices.number(4))) columns[column] = choices.pick(KINDS);
  const definitions = definitionsOf(columns);
  const generated: string[] = [];
  if (choices.rarely(3)) {
    // A virtual column may not use a domain.
    const how = columns.k === 'small' ? 'stored' : choices.pick(['stored', 'virtual']);
    definitions.push(`g int generated always as (${choices.pick(['id', 'id * 2', 'length(k::text)'])}) ${how}`);
    columns.g = 'int';
    generated.push('g');
  }
  const shape = choices.number(6);
  const isPartitioned = shape === 4;
  const hasKey = !isPartitioned && !choices.rarely(5);
  if (hasKey) definitions[0] += ' primary key';
  if (parent && choices.rarely(2)) {
    const action = choices.pick([
      'on delete cascade on update cascade',
      'on delete set null on update set null',
      'on delete set null on update cascade',
    ]);
    definitions[1] += ` references ${parent.name} (id) ${action}`;
  }
  const body = `create table ${name} (${definitions.join(', ')})`;
  if (isPartitioned) {
    const how = choices.pick(['hash', 'range']);
    ddl.push(`${body} partition by ${how} (id)`);
    if (how === 'hash') {
      for (const at of [0, 1])
        ddl.push(`create table ${name}_${at} partition of ${name} for values with (modulus 2, remainder ${at})`);
    } else {
      ddl.push(`create table ${name}_0 partition of ${name} for values from (minvalue) to (3)`);
      ddl.push(`create table ${name}_1 partition of ${name} default`);
    }
    tables.push(table(`${name}_1`, columns, { generated, isFilled: false }));
  } else ddl.push(body);
  tables.push(table(name, columns, { generated, hasKey }));
  if (shape === 5) {
    ddl.push(`create table ${name}_child (x int) inherits (${name})`);
    tables.push(table(`${name}_child`, { ...columns, x: 'int' }, { generated }));
  }
  const target = tables.find((other) => other.isFilled && other.name !== name && isWhole(other.columns.k));
  if (target && choices.rarely(4)) {
    ddl.push(
      `create function ${name}_note() returns trigger language plpgsql as $$ begin update ${target.name} set k = 3 where id = new.id; return null; end $$`,
      `create trigger note after insert or update on ${name} for each row execute function ${name}_note()`,
    );
  }
}

export function definitionsOf(columns: Readonly<Record<string, Kind>>): string[] {
  return Object.entries(columns).map(
    ([column, kind]) => `${column} ${TYPE_NAMES[kind]}${INSENSITIVE.has(kind) ? ' collate insensitive' : ''}`,
  );
}

function isWhole(kind: Kind | undefined): boolean {
  return kind === 'int' || kind === 'bigint' || kind === 'numeric';
}

function drawView(name: string, tables: OracleTable[], ddl: string[], choices: Choices): void {
  const source = choices.pick(tables);
  const other = choices.pick(tables);
  const shared = Object.keys(source.columns).filter((column) => other.columns[column] === source.columns[column]);
  const kind = source.columns.k;
  const condition = kind === undefined ? '' : ` where ${choices.pick(['id > 1', 'k is not null', 'id <> 2'])}`;
  switch (choices.number(4)) {
    case 0: {
      ddl.push(
        `create view ${name} as select ${Object.keys(source.columns).join(', ')} from ${source.name}${condition}${choices.rarely(3) && condition ? ' with check option' : ''}`,
      );
      tables.push(
        table(name, source.columns, {
          isFilled: false,
          isWritable: source.writable.length > 0,
          generated: Object.keys(source.columns).filter((column) => !source.writable.includes(column)),
        }),
      );
      break;
    }
    case 1:
      ddl.push(
        `create view ${name} as select id, count(*) as k from ${source.name}${condition} group by id having count(*) < 3`,
      );
      tables.push(table(name, { id: source.columns.id as Kind, k: 'bigint' }, { isFilled: false, isWritable: false }));
      break;
    case 2:
      ddl.push(
        `create view ${name} as select a.id, b.id as k from ${source.name} a ${choices.pick(['join', 'left join', 'full join'])} ${other.name} b on a.id = b.id`,
      );
      tables.push(
        table(
          name,
          { id: source.columns.id as Kind, k: other.columns.id as Kind },
          { isFilled: false, isWritable: false },
        ),
      );
      break;
    default: {
      const list = shared.filter((column) => column === 'id' || column === 'ref').join(', ');
      if (!list.split(', ').includes('id')) return;
      ddl.push(
        `create view ${name} as select ${list} from ${source.name} union all select ${list} from ${other.name} where id = 1`,
      );
      tables.push(
        table(name, Object.fromEntries(list.split(', ').map((column) => [column, source.columns[column] as Kind])), {
          isFilled: false,
          isWritable: false,
        }),
      );
    }
  }
}
