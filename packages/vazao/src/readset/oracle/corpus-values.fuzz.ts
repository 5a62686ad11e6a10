/** Values for parameters: mostly such as occur in the data, by type. */
import type { Choices } from './choices.fuzz.ts';

/** Texts of values that occur, by the name of their type. */
export type Pools = ReadonlyMap<string, readonly string[]>;

const ALIKE: Readonly<Record<string, string>> = {
  smallint: 'integer',
  bigint: 'integer',
  'character varying': 'text',
  character: 'text',
  bpchar: 'text',
  name: 'text',
  real: 'double precision',
};

/** Types that take the same texts share a pool. */
export function poolOf(type: string): string {
  return ALIKE[type] ?? type;
}

const ALWAYS: Readonly<Record<string, readonly string[]>> = {
  integer: ['0', '1', '2', '3', '10', '20'],
  text: ['', 'a', '%a%', '%'],
  numeric: ['0', '1', '10.50'],
  'double precision': ['0', '1.5'],
  boolean: ['true', 'false'],
  date: ['2024-01-01'],
  'timestamp with time zone': ['2024-01-01 00:00:00+00'],
  'timestamp without time zone': ['2024-01-01 00:00:00'],
  jsonb: ['{}', '[]', '{"a": 1}'],
  json: ['{}'],
  uuid: ['00000000-0000-0000-0000-000000000001'],
  interval: ['1 day'],
  tsquery: ['a'],
};

export function drawParameter(type: string, pools: Pools, choices: Choices): string | null {
  if (choices.number(15) === 14) return null;
  if (type.endsWith('[]')) {
    const elements = Array.from({ length: 1 + choices.number(3) }, () =>
      drawParameter(type.slice(0, -2), pools, choices),
    );
    return `{${elements.map((element) => (element === null ? 'NULL' : `"${element.replaceAll(/["\\]/g, '\\$&')}"`)).join(',')}}`;
  }
  const pool = pools.get(poolOf(type)) ?? [];
  const always = ALWAYS[poolOf(type)] ?? [];
  const list = pool.length > 0 && !choices.rarely(4) ? pool : [...always, ...pool];
  return list.length === 0 ? null : choices.pick(list);
}
