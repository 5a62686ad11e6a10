import { findFamily, isOrdered } from './canonical.ts';

/**
 * A number that orders as the values of the type do, but for ties: `a < b` implies `key(a) <= key(b)`. So a search by keys
 * finds all that a search by values would, and maybe a little more. Undefined for types without an order that is known here.
 * @param value - in canonical form
 */
export function orderKey(type: string, value: string): number | undefined {
  const family = findFamily(type);
  if (!family || !isOrdered(family)) return undefined;
  if (family === 'number' || family === 'interval') return Number(value); // rounding to 53 bits never turns an order around
  if (family === 'float4' || family === 'float8') return value === 'NaN' ? Number.POSITIVE_INFINITY : Number(value); // NaN is the greatest, as in PostgreSQL
  if (family === 'uuid' || family === 'pg_lsn') return Number.parseInt(value.slice(0, 12), 16);
  return Number(value.replaceAll(/\D/g, '')); // dates and times: the digits from the year on, likewise
}
