/** Values by the schemas of an OpenAPI document, and what is wrong with them in any way. */
import fc from 'fast-check';

/** The part of JSON Schema that the document uses. */
export interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly examples?: readonly unknown[];
}

/** Text that somebody means harm with, or that no program expects. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 50 }),
  fc.constantFrom(
    '',
    ' ',
    '\u0000',
    'a\u0000b',
    '\ud800',
    '\udfff\ud800',
    "' or 1=1 --",
    "'); drop table doacoes; --",
    '${7*7}',
    '../../../../etc/passwd',
    '<script>alert(1)</script>',
    '__proto__',
    'constructor',
    '\r\nset-cookie: a=b',
    '%00',
    '%zz',
    'ａｄｍｉｎ',
    'İı',
    '\u202e',
    'a'.repeat(6_000),
    '🦄'.repeat(300),
    '9'.repeat(400),
    '-0',
    '1e309',
    'NaN',
    '0x10',
    '12.345',
    '2147483648',
    '9007199254740993',
  ),
);

const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  hostileText,
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    0.5,
    1e-320,
    2 ** 31 - 1,
    2 ** 31,
    -(2 ** 31) - 1,
    2 ** 53,
    1e308,
    [],
    {},
    [[]],
    ['a', 1],
    { toString: 1 },
    { length: 1e9 },
  ),
  fc.constant(nest(300)),
  fc.jsonValue(),
);

/** Values that the schema allows. */
export function arbitraryOf(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(arbitraryOf));
  switch (schema.type) {
    case 'object':
      return objectOf(schema);
    case 'array':
      return fc.array(arbitraryOf(schema.items ?? {}), { maxLength: 5 });
    case 'string':
      return textOf(schema);
    case 'integer':
      return integerOf(schema);
    case 'number':
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      return fc.jsonValue();
  }
}

/** A value with something wrong at one place of it, or at its root. */
export function mutated(values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc
    .tuple(values, fc.nat(), hostileValue, fc.constantFrom('replace', 'remove', 'add', 'root'), hostileText)
    .map(([value, place, hostile, how, name]) => {
      if (how === 'root' || typeof value !== 'object' || value === null) return hostile;
      const names = Object.keys(value);
      const at = names[place % Math.max(1, names.length)];
      const entries = Object.entries(value);
      if (how === 'add') return fromEntries([...entries, [name, hostile]]);
      if (how === 'remove') return fromEntries(entries.filter(([key]) => key !== at));
      return fromEntries(entries.map(([key, own]) => [key, key === at ? hostile : own]));
    });
}

function objectOf({ properties = {}, required = [] }: Schema): fc.Arbitrary<unknown> {
  const model = Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, arbitraryOf(inner)]));
  return fc.record(model, { requiredKeys: required as never });
}

function textOf({ pattern, minLength = 0, maxLength = 100, examples }: Schema): fc.Arbitrary<unknown> {
  const isRight = (text: string): boolean => {
    const { length } = [...text];
    return length >= minLength && length <= maxLength && (pattern === undefined || new RegExp(pattern, 'u').test(text));
  };
  if (examples) return fc.constantFrom(...examples);
  const isExact = pattern?.startsWith('^') && pattern.endsWith('$');
  const any = isExact
    ? fc.stringMatching(new RegExp(pattern as string))
    : fc.string({ unit: 'grapheme', minLength: Math.max(1, minLength), maxLength: Math.min(maxLength, 60) });
  const filled = any.map((text) =>
    isRight(text) ? text : 'abc'.slice(0, Math.max(minLength, 1)).padEnd(minLength, 'x'),
  );
  return minLength === 0 ? fc.oneof(filled, fc.constant('')) : filled;
}

/** Small ones most of the time, for rows that are there, and the ends of what is allowed. */
function integerOf({ minimum = -(2 ** 31), maximum = 2 ** 31 }: Schema): fc.Arbitrary<number> {
  return fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: minimum, max: Math.min(maximum, minimum + 20) }) },
    fc.constantFrom(minimum, maximum),
    fc.integer({ min: minimum, max: maximum }),
  );
}

/** As JSON.parse would: a name may be anything, `__proto__` too. */
function fromEntries(entries: readonly (readonly [string, unknown])[]): object {
  const made = {};
  for (const [name, value] of entries) {
    Object.defineProperty(made, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return made;
}

function nest(depth: number): unknown {
  return depth === 0 ? 1 : [nest(depth - 1)];
}
