import { canonicalNumber } from './canonical-number.ts';

/** What is longer takes more time to read than a false alarm costs. */
const LENGTH_MAX = 10_000;

/**
 * The text of a `jsonb` value with sorted keys and canonical numbers. Of a key that comes twice both PostgreSQL and JSON.parse
 * take the last; numbers are read by their digits, as `1.0` and `1` are equal and 2^53 + 1 is not 2^53.
 */
export function canonicalJson(text: string): string | undefined {
  if (text.length > LENGTH_MAX || !text.isWellFormed()) return undefined;
  let isExact = true;
  // From the leaves up: each value is replaced by its canonical text.
  const revive = (_key: string, value: unknown, context?: { readonly source?: string }): string => {
    if (typeof value === 'string') return JSON.stringify(value);
    if (typeof value === 'number') {
      const form = canonicalNumber(context?.source ?? '');
      if (form === undefined) isExact = false;
      return form ?? '';
    }
    if (Array.isArray(value)) return `[${value.join(',')}]`;
    if (typeof value !== 'object' || value === null) return String(value);
    const members = value as Readonly<Record<string, string>>;
    return `{${Object.keys(members)
      .sort()
      .map((key) => `${JSON.stringify(key)}:${members[key]}`)
      .join(',')}}`;
  };
  try {
    const form: unknown = JSON.parse(text, revive as (key: string, value: unknown) => unknown);
    return isExact ? String(form) : undefined;
  } catch {
    return undefined; // no JSON, or nested too deeply
  }
}
