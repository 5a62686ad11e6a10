/**
 * Values in canonical form: two texts of one comparator family have the same canonical form if and only if PostgreSQL's `=`
 * on that family calls them equal. Where that can't be promised the answer is "cannot tell" (undefined), and whoever asked
 * must assume a match.
 *
 * A family is a set of types among which `=` and `<` compare by exact value. `float8` is not with the numbers, since
 * comparing it with `numeric` rounds; `char(n)` is not with text, which keeps its trailing blanks. In none are `float4` (a literal
 * without quotes is compared as float8, one with quotes rounded first), `interval` (a month has no length), `jsonb` (its
 * numbers are numeric), arrays, `citext`, `name` and all that is not PostgreSQL's own.
 */

export type Family =
  | 'number'
  | 'float8'
  | 'text'
  | 'char'
  | 'bool'
  | 'uuid'
  | 'date'
  | 'time'
  | 'timestamp'
  | 'timestamptz'
  | 'enum'
  | 'bytea'
  | 'oid'
  | 'inet'
  | 'cidr'
  | 'macaddr';

const FAMILIES: Readonly<Record<string, Family>> = {
  int2: 'number',
  int4: 'number',
  int8: 'number',
  numeric: 'number',
  float8: 'float8',
  text: 'text',
  varchar: 'text',
  bool: 'bool',
  uuid: 'uuid',
  date: 'date',
  timestamp: 'timestamp',
  timestamptz: 'timestamptz',
  time: 'time',
  enum: 'enum',
  bpchar: 'char',
  bytea: 'bytea',
  oid: 'oid',
  inet: 'inet',
  cidr: 'cidr',
  macaddr: 'macaddr',
};

/** Text is absent: its order is that of a collation. So are enums, ordered by their definition. */
const ORDERED: ReadonlySet<Family> = new Set(['number', 'float8', 'date', 'time', 'timestamp', 'timestamptz', 'uuid']);

export function findFamily(type: string): Family | undefined {
  return Object.hasOwn(FAMILIES, type) ? FAMILIES[type] : undefined;
}

export function isOrdered(family: Family): boolean {
  return ORDERED.has(family);
}

/** The canonical form of a value of a type, given in any of PostgreSQL's input forms for it; undefined: cannot tell. */
export function canonical(type: string, text: string): string | undefined {
  switch (findFamily(type)) {
    case 'number':
      return canonicalNumber(text);
    case 'float8':
      return canonicalFloat(text);
    case 'text':
    case 'enum':
      // Half a surrogate pair goes over the wire as another character (U+FFFD), and that is what the database compares.
      return text.isWellFormed() ? text : undefined;
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
    case 'oid':
      return /^(?:0|[1-9]\d{0,9})$/.test(text) ? text : undefined;
    case 'inet':
    case 'cidr':
      return canonicalAddress(text);
    case 'macaddr':
      return /^(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}$/i.test(text)
        ? text.replaceAll('-', ':').toLowerCase()
        : undefined;
    case 'time':
      return canonicalTime(text);
    case 'timestamp':
      return canonicalTimestamp(text, false);
    case 'timestamptz':
      return canonicalTimestamp(text, true);
    case undefined:
      return undefined;
  }
}

/** Compares two canonical forms of an ordered type: negative, zero, positive. */
export function compareCanonical(type: string, left: string, right: string): number {
  const family = findFamily(type);
  if (family === 'number') return compareNumbers(left, right);
  if (family === 'float8') {
    const a = Number(left);
    const b = Number(right);
    // PostgreSQL: NaN equals itself and is greater than everything else.
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
    return a - b || 0;
  }
  return left < right ? -1 : left > right ? 1 : 0;
}

const SHORT_INTEGER = /^-?[1-9]\d{0,17}$/;
const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/;
/** Numbers longer than this are left to "cannot tell"; `1e9999` in full would be no bargain. */
const DIGITS_MAX = 1_000;

function canonicalNumber(text: string): string | undefined {
  if (SHORT_INTEGER.test(text)) return text; // nearly all keys
  const match = DECIMAL.exec(text.trim());
  if (!match) return undefined;
  const [, sign, whole = '', fraction = '', exponentText = '0'] = match;
  if (whole === '' && fraction === '') return undefined;
  const exponent = Number(exponentText);
  if (whole.length + fraction.length + Math.abs(exponent) > DIGITS_MAX) return undefined;
  let digits = whole + fraction;
  let point = whole.length + exponent;
  if (point < 0) {
    digits = '0'.repeat(-point) + digits;
    point = 0;
  }
  digits = digits.padEnd(point, '0');
  const integer = digits.slice(0, point).replace(/^0+/, '') || '0';
  const rest = digits.slice(point).replace(/0+$/, '');
  const absolute = rest === '' ? integer : `${integer}.${rest}`;
  return sign === '-' && absolute !== '0' ? `-${absolute}` : absolute;
}

function compareNumbers(left: string, right: string): number {
  const leftNegative = left.startsWith('-');
  if (leftNegative !== right.startsWith('-')) return leftNegative ? -1 : 1;
  return leftNegative ? compareAbsolute(right.slice(1), left.slice(1)) : compareAbsolute(left, right);
}

function compareAbsolute(left: string, right: string): number {
  const [leftWhole = '', leftFraction = ''] = left.split('.');
  const [rightWhole = '', rightFraction = ''] = right.split('.');
  if (leftWhole.length !== rightWhole.length) return leftWhole.length - rightWhole.length;
  if (leftWhole !== rightWhole) return leftWhole < rightWhole ? -1 : 1;
  // Fractions have no trailing zeros, so the shorter of two that agree is the smaller, as in the order of strings.
  return leftFraction < rightFraction ? -1 : leftFraction > rightFraction ? 1 : 0;
}

function canonicalFloat(text: string): string | undefined {
  const trimmed = text.trim();
  if (/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(trimmed)) return String(Number(trimmed) + 0); // + 0: -0 = 0
  if (/^nan$/i.test(trimmed)) return 'NaN';
  const infinity = /^([+-]?)inf(inity)?$/i.exec(trimmed);
  return infinity ? `${infinity[1] === '-' ? '-' : ''}Infinity` : undefined;
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

/** IPv4 only; other forms (`10.1` as cidr, leading zeros, IPv6 with its many names) are left to "cannot tell". */
function canonicalAddress(text: string): string | undefined {
  const match = /^((?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2}))(?:\/(\d|[12]\d|3[0-2]))?$/.exec(text);
  return match ? `${match[1]}/${match[2] ?? '32'}` : undefined;
}

/** `HH:MM:SS.ffffff`. 24:00 and :60 are left out, as with timestamps. */
function canonicalTime(text: string): string | undefined {
  const match = /^([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,6}))?)?$/.exec(text);
  if (!match) return undefined;
  const [, hour, minute, second = '00', fraction = ''] = match;
  return `${hour}:${minute}:${second}.${fraction.padEnd(6, '0')}`;
}

const TIMESTAMP =
  /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(?: ?(Z|z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?))?)?$/;

/** `YYYY-MM-DD HH:MM:SS.ffffff` (in UTC, for timestamptz), whose order as strings is the order in time. */
function canonicalTimestamp(text: string, withZone: boolean): string | undefined {
  const match = TIMESTAMP.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone] = match;
  // `timestamp` would ignore a zone and `timestamptz` would take the session's: neither is for us to guess.
  if ((zone !== undefined) !== withZone) return undefined;
  if (hour > '23' || minute > '59' || second > '59') return undefined; // 24:00 and :60 are other moments' other names
  const micros = fraction.padEnd(6, '0');
  const offset = zone === undefined ? 0 : parseOffsetSeconds(zone);
  if (offset === 0) return `${year}-${month}-${day} ${hour}:${minute}:${second}.${micros}`;
  const moment = new Date(0);
  moment.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  moment.setUTCHours(Number(hour), Number(minute), Number(second) - offset);
  if (moment.getUTCFullYear() < 1 || moment.getUTCFullYear() > 9999) return undefined;
  return `${moment.toISOString().slice(0, 19).replace('T', ' ')}.${micros}`;
}

function parseOffsetSeconds(zone: string): number {
  if (zone === 'Z' || zone === 'z') return 0;
  const digits = zone.slice(1).replaceAll(':', '');
  const seconds =
    Number(digits.slice(0, 2)) * 3600 + Number(digits.slice(2, 4) || 0) * 60 + Number(digits.slice(4, 6) || 0);
  return zone.startsWith('-') ? -seconds : seconds;
}
