/**
 * The oracle's tables: small, with values that collide. One schema is written by hand, with every kind of relation and
 * column that the rules treat apart; others are drawn, see `drawn-schema.fuzz.ts`.
 */
import type { Choices } from './choices.fuzz.ts';
import { type Kind, literal, randomValue, VALUES } from './kinds.fuzz.ts';
import type { OracleSession } from './session.fuzz.ts';

export interface OracleTable {
  readonly name: string;
  readonly columns: Readonly<Record<string, Kind>>;
  /** Columns that a statement may write; none for relations that are only read. `id` comes first where there is one. */
  readonly writable: readonly string[];
  /** Filled at the beginning. Views and such are only written later. */
  readonly isFilled: boolean;
  /** Its `id` is unique, so that ON CONFLICT can name it. */
  readonly hasKey: boolean;
}

export interface OracleSchema {
  readonly ddl: readonly string[];
  readonly tables: readonly OracleTable[];
  /** SQL functions of one integer argument. */
  readonly functions: readonly string[];
  /** Statements compare columns of one table with values, and nothing else. @defaultValue false */
  readonly isPlain?: boolean | undefined;
  /** Who asks, and in what session. @defaultValue the superuser that writes */
  readonly session?: OracleSession | undefined;
  /** Expressions of the session, as text. */
  readonly sessionValues?: readonly string[] | undefined;
}

const P = {
  id: 'int',
  k: 'int',
  t: 'text',
  n: 'numeric',
  ok: 'bool',
  f: 'float',
  d: 'date',
  m: 'mood',
  g: 'int',
} as const;
const C = {
  id: 'int',
  pid: 'small',
  k: 'int',
  t: 'varchar',
  n: 'numeric',
  ts: 'timestamptz',
  u: 'uuid',
  vg: 'int',
} as const;
const E = {
  id: 'bigint',
  pid: 'bigint',
  cid: 'int',
  k: 'int2',
  ok: 'bool',
  ci: 'ci',
  b: 'char',
  l: 'timestamp',
} as const;
const PART = { id: 'int', k: 'int', t: 'text', n: 'numeric' } as const;
const BASE = { id: 'int', k: 'int', t: 'text' } as const;
const OWNER = { id: 'int', k: 'int', t: 'text' } as const;
const THING = { id: 'int', oid_: 'int', k: 'int', a: 'ints', j: 'jsonb', v: 'tsv', z: 'texts' } as const;
const TALLY = { id: 'int', k: 'int' } as const;

export const HAND_MADE: OracleSchema = {
  functions: ['twice', 'count_c'],
  tables: [
    table('p', P, { generated: ['g'], hasKey: true }),
    table('c', C, { generated: ['vg'], hasKey: true }),
    table('e', E, { hasKey: true }),
    table('owner', OWNER, { hasKey: true }),
    table('thing', THING, { hasKey: true }),
    table('tally', TALLY, {}),
    table('part', PART, {}),
    table('base', BASE, {}),
    table('child', { ...BASE, x: 'int' }, {}),
    table('part_b', PART, { isFilled: false }),
    table('keen', OWNER, { isFilled: false }),
    table('keener', OWNER, { isFilled: false }),
    table('totals', { pid: 'int', k: 'int', n: 'numeric' }, { isFilled: false, isWritable: false }),
    table('pairs', { id: 'int', k: 'int', cid: 'int', t: 'text' }, { isFilled: false, isWritable: false }),
    table('twofold', { id: 'int', k: 'int' }, { isFilled: false, isWritable: false }),
    table('ranked', { id: 'int', k: 'int', r: 'bigint' }, { isFilled: false, isWritable: false }),
  ],
  ddl: `
  create type mood as enum ('sad', 'ok', 'glad');
  create domain small as int check (value < 1000);
  create collation insensitive (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  create table p (id int primary key, k int, t text, n numeric, ok bool, f float8, d date, m mood, g int generated always as (k * 2) stored);
  create table c (id int primary key, pid small, k int, t varchar, n numeric, ts timestamptz, u uuid, vg int generated always as (k + 1) virtual);
  create table e (id bigint primary key, pid bigint, cid int, k int2, ok bool, ci text collate insensitive, b char(3), l timestamp);
  create table part (id int, k int, t text, n numeric) partition by list (k);
  create table part_a partition of part for values in (0, 1);
  create table part_b (n numeric, t text, extra_dropped int, k int, id int);
  alter table part_b drop column extra_dropped;
  alter table part attach partition part_b default;
  create table base (id int, k int, t text);
  create table child (x int) inherits (base);
  create table owner (id int primary key, k int, t text);
  create table thing (id int primary key, oid_ int references owner (id) on delete cascade on update cascade, k int, a int[], j jsonb, v tsvector, z text[]);
  create table tally (id int, k int);
  create function count_things() returns trigger language plpgsql as $$ begin update tally set k = k + 1 where id = new.k; return new; end $$;
  create trigger count_things before insert or update on thing for each row execute function count_things();
  create function twice(x int) returns int language sql immutable as $$ select x * 2 $$;
  create function count_c(x int) returns bigint language sql stable as $$ select count(*) from c where pid = x $$;
  create view totals as select pid, count(*) as k, sum(n) as n from c where k > 0 group by pid;
  create view pairs as select p.id, p.k, c.id as cid, c.t from p left join c on c.pid = p.id where p.ok;
  create view keen as select id, k, t from owner where k > 0;
  create view keener as select id, k, t from keen where t <> 'b';
  create view twofold as select id, k from p union all select cid, k from e where ok;
  create view ranked as select id, k, rank() over (partition by k order by id) as r from p`
    .split(/;\n/)
    .map((statement) => statement.trim()),
};

export function table(
  name: string,
  columns: Readonly<Record<string, Kind>>,
  options: {
    readonly generated?: readonly string[];
    readonly isFilled?: boolean;
    readonly isWritable?: boolean;
    readonly hasKey?: boolean;
  },
): OracleTable {
  const writable = Object.keys(columns).filter((column) => !options.generated?.includes(column));
  return {
    name,
    columns,
    writable: options.isWritable === false ? [] : writable,
    isFilled: options.isFilled ?? true,
    hasKey: options.hasKey ?? false,
  };
}

/** Rows for all tables, so that about half of the joins find a partner. */
export function createRows(schema: OracleSchema, choices: Choices): string[] {
  return schema.tables
    .filter((table) => table.isFilled)
    .map((table) => {
      const count = 4 + choices.number(5);
      return insertInto(
        table,
        choices,
        Array.from({ length: count }, (_, at) => at + 1),
      );
    });
}

export function insertInto(table: OracleTable, choices: Choices, ids: readonly number[]): string {
  const rows = ids.map((id) => {
    const values = table.writable.map((column) => {
      if (column === 'id') return String(id);
      // References must find their row, and rows of a partition belong there.
      if (column.endsWith('_') || column === 'ref') return String(1 + choices.number(3));
      return randomValue(table.columns[column] as Kind, choices);
    });
    return `(${values.join(', ')})`;
  });
  return `insert into ${table.name} (${table.writable.join(', ')}) values ${rows.join(', ')}`;
}

export function conditionOn(table: OracleTable, choices: Choices): string {
  switch (choices.number(6)) {
    case 0:
    case 1:
    case 2:
      return ` where id = ${choices.number(6) + 1}`;
    case 3:
      return table.writable.includes('k') ? ` where k = ${choices.pick(VALUES.int)}` : ' where id < 3';
    case 4: {
      const column = choices.pick(table.writable);
      return ` where ${column}::text = ${literal(choices.pick(VALUES[table.columns[column] as Kind]))}`;
    }
    default:
      return '';
  }
}
