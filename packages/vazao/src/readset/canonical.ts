/**
 * Values in canonical form: two texts of one comparator family have the same canonical form if and only if PostgreSQL's `=`
 * on that family calls them equal. Where that can't be promised the answer is "cannot tell" (undefined), and whoever asked
 * must assume a match.
 *
 * A family is a set of types among which `=` and `<` compare by exact value. `float4` and `float8` are not with the numbers,
 * nor with each other, since comparing them rounds; `char(n)` is not with text, which keeps its trailing blanks.
 * `comparable-types.test.ts` lists the types of PostgreSQL that are in no family, with the reason of each. Nor are `citext` and
 * all that is not PostgreSQL's own.
 */
import { parseArrayLiteral } from './array-literal.ts';
import { canonicalJson } from './canonical-json.ts';
import {
  canonicalDouble,
  canonicalNumber,
  canonicalSingle,
  compareFloats,
  compareNumbers,
} from './canonical-number.ts';
import { canonicalInterval, canonicalTime, canonicalTimestamp, canonicalTimeWithZone } from './canonical-time.ts';

type ScalarFamily =
  | 'number'
  | 'float4'
  | 'float8'
  | 'text'
  | 'name'
  | 'char'
  | 'bool'
  | 'uuid'
  | 'date'
  | 'time'
  | 'timetz'
  | 'timestamp'
  | 'timestamptz'
  | 'interval'
  | 'enum'
  | 'bytea'
  | 'bit'
  | 'oid'
  | 'pg_lsn'
  | 'inet'
  | 'cidr'
  | 'macaddr'
  | 'macaddr8'
  | 'jsonb';

export type Family = ScalarFamily | `${ScalarFamily}[]`;

const SCALARS: Readonly<Record<string, ScalarFamily>> = {
  int2: 'number',
  int4: 'number',
  int8: 'number',
  numeric: 'number',
  float4: 'float4',
  float8: 'float8',
  text: 'text',
  varchar: 'text',
  name: 'name',
  bool: 'bool',
  uuid: 'uuid',
  date: 'date',
  timestamp: 'timestamp',
  timestamptz: 'timestamptz',
  time: 'time',
  timetz: 'timetz',
  interval: 'interval',
  enum: 'enum',
  bpchar: 'char',
  bytea: 'bytea',
  bit: 'bit',
  varbit: 'bit',
  oid: 'oid',
  pg_lsn: 'pg_lsn',
  inet: 'inet',
  cidr: 'cidr',
  macaddr: 'macaddr',
  macaddr8: 'macaddr8',
  jsonb: 'jsonb',
};

/** With the arrays of each, as the catalog names them: `_int4`. An array of an enum type is not PostgreSQL's own. */
const FAMILIES: ReadonlyMap<string, Family> = new Map<string, Family>([
  ...Object.entries(SCALARS),
  ...Object.entries(SCALARS).flatMap(([type, family]): [string, Family][] =>
    family === 'enum' ? [] : [[`_${type}`, arrayOf(family)]],
  ),
]);

/** Text is absent: its order is that of a collation. So are enums, ordered by their definition. */
const ORDERED: ReadonlySet<Family> = new Set<Family>([
  'number',
  'float4',
  'float8',
  'date',
  'time',
  'timestamp',
  'timestamptz',
  'interval',
  'uuid',
  'pg_lsn',
]);

export function findFamily(type: string): Family | undefined {
  return FAMILIES.get(type);
}

/** The family of arrays of a scalar one. */
export function arrayOf(family: Family): Family {
  return `${family as ScalarFamily}[]`;
}

/** The family of the elements; undefined unless it is one of arrays. */
export function elementOf(family: Family): Family | undefined {
  return family.endsWith('[]') ? (family.slice(0, -2) as Family) : undefined;
}

export function isOrdered(family: Family): boolean {
  return ORDERED.has(family);
}

/** Identifiers are cut to this length. */
const NAME_BYTES_MAX = 63;

/** The canonical form of a value of a type, given in any of PostgreSQL's input forms for it; undefined: cannot tell. */
export function canonical(type: string, text: string): string | undefined {
  const family = findFamily(type);
  switch (family) {
    case undefined:
      return undefined;
    case 'number':
      return canonicalNumber(text);
    case 'float4':
      return canonicalSingle(text);
    case 'float8':
      return canonicalDouble(text);
    case 'text':
    case 'enum':
      // Half a surrogate pair goes over the wire as another character (U+FFFD), and that is what the database compares.
      return text.isWellFormed() ? text : undefined;
    case 'name':
      return text.isWellFormed() && Buffer.byteLength(text) <= NAME_BYTES_MAX ? text : undefined;
    case 'bool':
      return canonicalBoolean(text);
    case 'uuid':
      return canonicalUuid(text);
    case 'date':
      return /^\d{4}-\d\d-\d\d$/.test(text) ? text : undefined;
    case 'char':
      return text.replace(/ +$/, ''); // padding, to a comparison of char(n) with char(n)
    case 'bytea':
      return /^\\x(?:[0-9a-f]{2})*$/i.test(text) ? text.toLowerCase() : undefined; // not the escape format
    case 'bit':
      return /^[01]*$/.test(text) ? text : undefined; // not hexadecimal
    case 'oid':
      return /^(?:0|[1-9]\d{0,9})$/.test(text) ? text : undefined;
    case 'pg_lsn':
      return canonicalPosition(text);
    case 'inet':
    case 'cidr':
      return canonicalAddress(text);
    case 'macaddr':
    case 'macaddr8':
      return canonicalMac(text, family === 'macaddr' ? 6 : 8);
    case 'time':
      return canonicalTime(text);
    case 'timetz':
      return canonicalTimeWithZone(text);
    case 'timestamp':
      return canonicalTimestamp(text, false);
    case 'timestamptz':
      return canonicalTimestamp(text, true);
    case 'interval':
      return canonicalInterval(text);
    case 'jsonb':
      return canonicalJson(text);
    default:
      return canonicalArray(type.slice(1), text);
  }
}

/** Compares two canonical forms of an ordered type: negative, zero, positive. */
export function compareCanonical(type: string, left: string, right: string): number {
  const family = findFamily(type);
  if (family === 'number' || family === 'interval') return compareNumbers(left, right);
  if (family === 'float4' || family === 'float8') return compareFloats(left, right);
  return left < right ? -1 : left > right ? 1 : 0;
}

function canonicalBoolean(text: string): string | undefined {
  const word = text.trim().toLowerCase();
  if (word === '') return undefined;
  if (word === '1' || word === 'on' || 'true'.startsWith(word) || 'yes'.startsWith(word)) return 't';
  if (word === '0' || word === 'of' || word === 'off' || 'false'.startsWith(word) || 'no'.startsWith(word)) return 'f';
  return undefined;
}

function canonicalUuid(text: string): string | undefined {
  const digits = (text.startsWith('{') && text.endsWith('}') ? text.slice(1, -1) : text)
    .replaceAll('-', '')
    .toLowerCase();
  return /^[0-9a-f]{32}$/.test(digits) ? digits : undefined;
}

/** Sixteen digits, whose order as strings is that of the positions. */
function canonicalPosition(text: string): string | undefined {
  const match = /^([0-9a-f]{1,8})\/([0-9a-f]{1,8})$/i.exec(text);
  return match ? `${match[1]?.padStart(8, '0')}${match[2]?.padStart(8, '0')}`.toLowerCase() : undefined;
}

/** IPv4 only; other forms (`10.1` as cidr, leading zeros, IPv6 with its many names) are left to "cannot tell". */
function canonicalAddress(text: string): string | undefined {
  const match = /^((?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2}))(?:\/(\d|[12]\d|3[0-2]))?$/.exec(text);
  return match ? `${match[1]}/${match[2] ?? '32'}` : undefined;
}

function canonicalMac(text: string, bytes: number): string | undefined {
  const separator = text[2] === '-' ? '-' : ':';
  const parts = text.toLowerCase().split(separator);
  return parts.length === bytes && parts.every((part) => /^[0-9a-f]{2}$/.test(part)) ? parts.join(':') : undefined;
}

/**
 * NULLs within arrays equal each other. More than one dimension, and bounds that are not the usual ones, which `=` compares
 * as well, are left to "cannot tell".
 */
function canonicalArray(elementType: string, text: string): string | undefined {
  const forms = parseArrayLiteral(text)?.map((element) => (element === null ? null : canonical(elementType, element)));
  return forms && !forms.includes(undefined) ? JSON.stringify(forms) : undefined;
}
