/** Canonical forms of numbers, by decimal digits: JavaScript's numbers are used only where PostgreSQL uses the same ones. */

const SHORT_INTEGER = /^-?[1-9]\d{0,17}$/;
const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/;
/** Numbers longer than this are left to "cannot tell"; `1e9999` in full would be no bargain. */
const DIGITS_MAX = 1_000;

export function canonicalNumber(text: string): string | undefined {
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

export function compareNumbers(left: string, right: string): number {
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

export function canonicalDouble(text: string): string | undefined {
  const trimmed = text.trim();
  if (/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(trimmed)) return String(Number(trimmed) + 0); // + 0: -0 = 0
  if (/^nan$/i.test(trimmed)) return 'NaN';
  const infinity = /^([+-]?)inf(inity)?$/i.exec(trimmed);
  return infinity ? `${infinity[1] === '-' ? '-' : ''}Infinity` : undefined;
}

/**
 * PostgreSQL rounds the digits to a float4 at once, here they pass through a double. That makes a difference only where the
 * double lies in the middle between two float4s: those are left to "cannot tell".
 */
export function canonicalSingle(text: string): string | undefined {
  const form = canonicalDouble(text);
  if (form === undefined) return undefined;
  const double = Number(form);
  const single = Math.fround(double);
  const mirrored = 2 * double - single;
  if (mirrored !== single && Math.fround(mirrored) === mirrored) return undefined;
  return String(single + 0);
}

/** NaN equals itself and is greater than everything else. */
export function compareFloats(left: string, right: string): number {
  const a = Number(left);
  const b = Number(right);
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a - b || 0;
}
