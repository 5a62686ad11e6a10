/** Kinds of columns: the type, and values in text form. Several are other names of one value, where comparators go wrong. */
import type { Choices } from './choices.fuzz.ts';
import { KEEPER, READER, TEAM } from './session.fuzz.ts';

const INT = ['1', '1', '2', '1', '2', '3', '0'];

/** Type names as a cast spells them. */
export const TYPE_NAMES = {
  int: 'int',
  text: 'text',
  role: 'text',
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
  name: 'name',
  cash: 'money',
  cidr: 'cidr',
  macaddr: 'macaddr',
  macaddr8: 'macaddr8',
  bit: 'bit(3)',
  lsn: 'pg_lsn',
  span: 'span',
  doc: 'doc',
  numerics: 'numeric[]',
  floats: 'float4[]',
  jsonbs: 'jsonb[]',
  times: 'timestamptz[]',
  cis: 'text[]',
  xml: 'xml',
  place: 'place',
  moods: 'mood[]',
} as const;

/** Compared by a collation that is not deterministic. */
export const INSENSITIVE: ReadonlySet<Kind> = new Set<Kind>(['ci', 'cis']);

export type Kind = keyof typeof TYPE_NAMES;
export const KINDS: readonly Kind[] = Object.keys(TYPE_NAMES) as Kind[];

const INTERVALS = [
  '1 day',
  '24:00:00',
  '1 mon',
  '30 days',
  'P1D',
  '-1 days',
  '-1 days +48:00:00',
  'infinity',
  '720:00:00',
];
const DOCUMENTS = [
  '{"a":1,"b":2}',
  '{"b":2,"a":1.0}',
  '{"a":1}',
  '{"a": 1.0}',
  '{"a":2,"a":1}',
  '{"a":"x","b":[1,2]}',
  '[1]',
  '1',
  '1.0',
  '"1"',
  'null',
  '{"b":{"a":1}}',
];

export const VALUES: Readonly<Record<Kind, readonly string[]>> = {
  int: INT,
  int2: INT,
  bigint: INT,
  small: INT,
  oid: INT,
  text: ['a', 'b', 'a', 'A', 'a ', '', 'now'],
  role: [READER, READER, KEEPER, TEAM, 'a'],
  varchar: ['a', 'b', 'A', 'a ', ''],
  numeric: ['1', '1.0', '0.1', '1.5', '1.50', '0.10000000000000000000001', '2', '0', '-1.5', '10', 'NaN'],
  money: ['1', '1.00', '1.5', '1.005', '2', '0', '-1.5'],
  bool: ['true', 'f', 'yes', 'off', 't'],
  float: ['1', '1.5', '0', '-0', '0.1', '0.10000000000000000000001', 'NaN', 'Infinity', '1e0'],
  float4: ['1', '1.5', '1.50', '0', '-0', '0.1', '0.10000000149011612', 'NaN', '16777217', '16777216', '-Infinity'],
  date: ['2024-01-01', '2024-01-02', '2024-01-03', 'infinity', '01/02/2024'],
  time: ['12:00', '12:00:00', '09:00:00.5', '24:00:00', '00:00'],
  timetz: ['12:00+00', '09:00-03', '12:00:00+00'],
  interval: INTERVALS,
  span: INTERVALS,
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
  jsonb: DOCUMENTS,
  doc: DOCUMENTS,
  json: ['{"a":1}', '{"a": 1}', '[1]'],
  tsv: ["'a':1", "'a':1 'b':2", "'b'", ''],
  range: ['[1,2)', '[1,1]', '(0,2)', 'empty', '[2,)'],
  bits: ['1', '10', '01', ''],
  bit: ['101', '010', '101', 'b101'],
  name: ['a', 'b', 'A', 'a ', 'x'.repeat(63), 'x'.repeat(64)],
  cash: ['1', '1.00', '$1.00', '2', '-1.5'],
  cidr: ['10.0.0.0/8', '10/8', '10.0.0.1', '10.0.0.1/32', '::1'],
  macaddr: ['08:00:2b:01:02:03', '08-00-2B-01-02-03', '08002b:010203', '08:00:2b:01:02:04'],
  macaddr8: ['08:00:2b:ff:fe:01:02:03', '08-00-2B-FF-FE-01-02-03', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05'],
  lsn: ['0/1A', '0/1a', '00000000/0000001A', '1/0', '0/FFFFFFFF'],
  numerics: ['{1}', '{1.0}', '{1,2}', '{NULL}', '{}', '[0:0]={1}'],
  floats: ['{0.1}', '{0.10000000149011612}', '{1,NULL}', '{1.0,null}', '{{1}}', '{-0}', '{0}'],
  jsonbs: ['{1}', '{1.0}', '{"{\\"a\\":1}"}', '{"{\\"a\\": 1.0}"}', '{NULL}'],
  times: ['{2024-01-01 12:00:00+00}', '{"2024-01-01T09:00:00-03"}', '{2024-01-02}', '{}'],
  cis: ['{a}', '{A}', '{b}', '{a,NULL}'],
  xml: ['<a/>', '<a></a>', 'b'],
  place: ['(a,1)', '(a,2)', '(b,1)', '(,1)', '(,)'],
  moods: ['{sad}', '{ok,glad}', '{sad,NULL}', '{}'],
};

/** Arrays that are not written as texts. */
export const CONSTRUCTED: Partial<Record<Kind, readonly string[]>> = {
  ints: ['array[1]', 'array[1, 2]', 'array[2, null]', 'array[1.6, 2]::int[]', "array['1']::int[]", 'array[]::int[]'],
  texts: ["array['a']", "array['a', null]", "array['A ']::text[]"],
  numerics: ['array[1.0]', 'array[1]::numeric[]', "array[1.00, '2']"],
  floats: ['array[0.1]::float4[]', "array['0.1', '1']::float4[]", 'array[1.0, null]::float4[]'],
};

/** Values with which their comparators differ, since the literal has a type of its own. */
export const NUMBERS_OF: Partial<Record<Kind, readonly string[]>> = {
  int: ['1.0', '1.6', '1', '2e0'],
  float: ['1.0', '1.6', '1', '2e0', '0.1'],
  float4: ['1.0', '1.5', '1', '2e0', '0.1', '16777217'],
};

/** Kinds whose equal values all look the same: of others, the one that stands for a group is anybody's guess. */
const GROUPABLE: ReadonlySet<Kind> = new Set<Kind>(
  'int text role bool date mood timestamptz timestamp uuid int2 bigint small money varchar time bytea oid name macaddr macaddr8 bit lsn'.split(
    ' ',
  ) as Kind[],
);

/** Fields of a `place`. */
export const PLACE_FIELDS = 2;

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
