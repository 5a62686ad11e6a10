/** The oracle's tables: small, with values that collide, and every kind of relation and column that the rules treat apart. */
import type { Choices } from './choices.fuzz.ts';

export const SCHEMA = `
  create type mood as enum ('sad', 'ok', 'glad');
  create domain small as int check (value < 1000);
  create collation insensitive (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  create table p (id int primary key, k int, t text, n numeric, ok bool, f float8, d date, m mood,
    g int generated always as (k * 2) stored);
  create table c (id int primary key, pid small, k int, t varchar, n numeric, ts timestamptz, u uuid,
    vg int generated always as (k + 1) virtual);
  create table e (id bigint primary key, pid bigint, cid int, k int2, ok bool, ci text collate insensitive, b char(3), l timestamp);
  create table part (id int, k int, t text, n numeric) partition by list (k);
  create table part_a partition of part for values in (0, 1);
  create table part_b (n numeric, t text, extra_dropped int, k int, id int);
  alter table part_b drop column extra_dropped;
  alter table part attach partition part_b default;
  create table base (id int, k int, t text);
  create table child (x int) inherits (base);
  create view totals as select pid, count(*) as k, sum(n) as n from c where k > 0 group by pid;
  create view pairs as select p.id, p.k, c.id as cid, c.t from p left join c on c.pid = p.id where p.ok;
  create publication vazao_oracle for table p, c, e, part, base, child;`;

export type Kind =
  | 'int'
  | 'text'
  | 'numeric'
  | 'bool'
  | 'float'
  | 'date'
  | 'mood'
  | 'timestamptz'
  | 'timestamp'
  | 'uuid'
  | 'ci'
  | 'char';

export interface OracleTable {
  readonly name: string;
  readonly columns: Readonly<Record<string, Kind>>;
  /** Columns that a statement may write; none for views. */
  readonly writable: readonly string[];
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
  pid: 'int',
  k: 'int',
  t: 'text',
  n: 'numeric',
  ts: 'timestamptz',
  u: 'uuid',
  vg: 'int',
} as const;
const E = { id: 'int', pid: 'int', cid: 'int', k: 'int', ok: 'bool', ci: 'ci', b: 'char', l: 'timestamp' } as const;
const PART = { id: 'int', k: 'int', t: 'text', n: 'numeric' } as const;
const BASE = { id: 'int', k: 'int', t: 'text' } as const;

const without = (columns: object, ...generated: string[]): string[] =>
  Object.keys(columns).filter((name) => !generated.includes(name));

export const TABLES: readonly OracleTable[] = [
  { name: 'p', columns: P, writable: without(P, 'g') },
  { name: 'c', columns: C, writable: without(C, 'vg') },
  { name: 'e', columns: E, writable: Object.keys(E) },
  { name: 'part', columns: PART, writable: Object.keys(PART) },
  { name: 'base', columns: BASE, writable: Object.keys(BASE) },
  { name: 'child', columns: { ...BASE, x: 'int' }, writable: ['id', 'k', 't', 'x'] },
  { name: 'part_b', columns: PART, writable: [] },
  { name: 'totals', columns: { pid: 'int', k: 'int', n: 'numeric' }, writable: [] },
  { name: 'pairs', columns: { id: 'int', k: 'int', cid: 'int', t: 'text' }, writable: [] },
];

/** Values in text form. Several are other names of the same value, which is where comparators go wrong. */
export const VALUES: Readonly<Record<Kind, readonly string[]>> = {
  int: ['1', '1', '2', '1', '2', '3', '0'],
  text: ['a', 'b', 'a', 'A', 'a ', '', 'now'],
  numeric: ['1', '1.0', '0.1', '1.5', '1.50', '0.10000000000000000000001', '2', '0', '-1.5', '10'],
  bool: ['true', 'f', 'yes', 'off', 't'],
  float: ['1', '1.5', '0', '-0', '0.1', '0.10000000000000000000001', 'NaN', 'Infinity', '1e0'],
  date: ['2024-01-01', '2024-01-02', '2024-01-03', 'infinity'],
  mood: ['sad', 'ok', 'glad'],
  timestamptz: [
    '2024-01-01 12:00:00+00',
    '2024-01-01T09:00:00-03',
    '2024-01-01 12:00:00.000001+00',
    '2024-01-02 00:00Z',
    '2024-01-02 03:00:00+00',
    '2024-01-02',
  ],
  timestamp: ['2024-01-01 12:00:00', '2024-01-01T12:00', '2024-01-01', '2024-01-02 00:00:00.5'],
  uuid: [
    '00000000-0000-0000-0000-00000000000a',
    '0000000000000000000000000000000A',
    '{00000000-0000-0000-0000-00000000000b}',
  ],
  ci: ['a', 'A', 'b'],
  char: ['a', 'a  ', 'b'],
};

export function literal(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

/** Rows for all tables, so that about half of the joins find a partner. */
export function createRows(choices: Choices): string[] {
  return TABLES.filter((table) => table.writable.length > 0).flatMap((table) => {
    const count = 4 + choices.number(5);
    return Array.from({ length: count }, (_, at) => insertInto(table, choices, at + 1));
  });
}

export function insertInto(table: OracleTable, choices: Choices, id: number): string {
  const values = table.writable.map((column) =>
    column === 'id' ? String(id) : randomValue(table.columns[column] as Kind, choices),
  );
  return `insert into ${table.name} (${table.writable.join(', ')}) values (${values.join(', ')})`;
}

export function randomValue(kind: Kind, choices: Choices): string {
  return choices.rarely(6) ? 'null' : literal(choices.pick(VALUES[kind]));
}
