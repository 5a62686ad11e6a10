/** Kinds of columns: the type, and values in text form. Several are other names of one value, where comparators go wrong. */
import type { Choices } from './choices.fuzz.ts';

const INT = ['1', '1', '2', '1', '2', '3', '0'];

/** Type names as a cast spells them. */
export const TYPE_NAMES = {
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
  int2: 'int2',
  bigint: 'int8',
  small: 'small',
  money: 'numeric(6,2)',
  varchar: 'varchar(5)',
  float4: 'float4',
  time: 'time',
  timetz: 'timetz',
  interval: 'interval',
  bytea: 'bytea',
  inet: 'inet',
  ints: 'int[]',
  texts: 'text[]',
  jsonb: 'jsonb',
  json: 'json',
  tsv: 'tsvector',
  range: 'int4range',
  bits: 'varbit',
  oid: 'oid',
} as const;

export type Kind = keyof typeof TYPE_NAMES;
export const KINDS: readonly Kind[] = Object.keys(TYPE_NAMES) as Kind[];

export const VALUES: Readonly<Record<Kind, readonly string[]>> = {
  int: INT,
  int2: INT,
  bigint: INT,
  small: INT,
  oid: INT,
  text: ['a', 'b', 'a', 'A', 'a ', '', 'now'],
  varchar: ['a', 'b', 'A', 'a ', ''],
  numeric: ['1', '1.0', '0.1', '1.5', '1.50', '0.10000000000000000000001', '2', '0', '-1.5', '10', 'NaN'],
  money: ['1', '1.00', '1.5', '1.005', '2', '0', '-1.5'],
  bool: ['true', 'f', 'yes', 'off', 't'],
  float: ['1', '1.5', '0', '-0', '0.1', '0.10000000000000000000001', 'NaN', 'Infinity', '1e0'],
  float4: ['1', '1.5', '0', '-0', '0.1', '0.10000000000000000000001', 'NaN', '16777217'],
  date: ['2024-01-01', '2024-01-02', '2024-01-03', 'infinity', '01/02/2024'],
  time: ['12:00', '12:00:00', '09:00:00.5', '24:00:00', '00:00'],
  timetz: ['12:00+00', '09:00-03', '12:00:00+00'],
  interval: ['1 day', '24:00:00', '1 mon', '30 days', 'P1D'],
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
  bytea: ['\\x61', 'a', '\\x', '\\141'],
  inet: ['10.0.0.1', '10.0.0.1/32', '10.0.0.0/24', '::1'],
  ints: ['{1}', '{1,2}', '{}', '{2,NULL}', '[0:0]={1}', '{3}'],
  texts: ['{a}', '{a,b}', '{}', '{"a",NULL}', '{"A "}'],
  jsonb: ['{"a":1}', '{"a": 1.0}', '{"a":"x","b":[1,2]}', '[1]', '1', 'null', '{"b":{"a":1}}'],
  json: ['{"a":1}', '{"a": 1}', '[1]'],
  tsv: ["'a':1", "'a':1 'b':2", "'b'", ''],
  range: ['[1,2)', '[1,1]', '(0,2)', 'empty', '[2,)'],
  bits: ['1', '10', '01', ''],
};

/** Kinds whose equal values all look the same: of others, the one that stands for a group is anybody's guess. */
const GROUPABLE: ReadonlySet<Kind> = new Set<Kind>(
  'int text bool date mood timestamptz timestamp uuid int2 bigint small money varchar time bytea oid'.split(
    ' ',
  ) as Kind[],
);

export function isGroupable(kind: Kind): boolean {
  return GROUPABLE.has(kind);
}

const NUMBERS: ReadonlySet<Kind> = new Set<Kind>(['int', 'int2', 'bigint', 'small', 'oid']);

/** Kinds that join with one another. */
export function isKey(kind: Kind): boolean {
  return NUMBERS.has(kind);
}

export function literal(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

export function randomValue(kind: Kind, choices: Choices): string {
  return choices.rarely(6) ? 'null' : literal(choices.pick(VALUES[kind]));
}
