const WRAP = 1n << 32n;
const HALF = 1n << 31n;

/**
 * Widens a transaction id of the wire (32 bits) to the 64 bits of `pg_current_xact_id()`.
 *
 * PostgreSQL never lets live transaction ids lie further apart than 2^31, so of all 64-bit numbers with these low bits
 * the one nearest to a recent id is meant. `reference` may be older or newer than the transaction.
 */
export function widenXid(xid32: number, reference: bigint): bigint {
  const candidate = reference - (reference % WRAP) + BigInt(xid32);
  if (candidate - reference > HALF && candidate >= WRAP) return candidate - WRAP;
  if (reference - candidate > HALF) return candidate + WRAP;
  return candidate;
}
