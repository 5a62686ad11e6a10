import type { ReadSnapshot } from '../feed/index.ts';
import type { Term } from '../readset/index.ts';

/** A statement that ran in a fill, for people who ask why. */
export interface StatementRecord {
  readonly text: string;
  /** What it reads; may be narrowed when it is known what came back. */
  terms: readonly Term[];
  readonly refusal: { readonly code: string; readonly detail: string } | undefined;
  durationMs: number;
  rows: number;
}

/** An answer in the cache, or a piece of book-keeping (without terms) that shares its bound. */
export interface Entry<V> {
  readonly key: string;
  readonly value: V;
  /** What is counted against the bound: key, value and book-keeping. Grows with its value: `Cache.grow`. */
  sizeBytes: number;
  readonly terms: readonly Term[];
  /** What the answer saw; undefined for book-keeping and for answers that read no row. */
  readonly snapshot: ReadSnapshot | undefined;
  /** It may be another at another time although no row behind it changed: a statement, or its caller, says so. */
  readonly usesTime: boolean;
  /** Compared with the cache's clock. `Infinity` when the answer has no time to live. */
  readonly expiresAtMs: number;
  readonly createdAtMs: number;
  readonly fillMs: number;
  /** How long it may be served after it was dropped: for {@link Entry.staleSinceMs}. */
  readonly staleForMs: number;
  /** `Infinity` while the entry is good; else the moment it stopped to be, by the cache's clock. */
  staleSinceMs: number;
  hits: number;
  readonly statements: readonly StatementRecord[];
}

/*
 * What an entry costs beside its key's and value's own bytes, measured with `node --expose-gc bench/memory.ts`:
 * the Entry object and its slots in the LRU's arrays and map; if it reads, its snapshot, its lists of terms and statements;
 * per term the Term object, its predicates and its place in the index; per value that it is indexed under, the value itself,
 * its slot in the map, and its part of the Set that stands there if another answer read the same.
 */
const ENTRY_OVERHEAD_BYTES = 320;
const READS_OVERHEAD_BYTES = 170;
const TERM_OVERHEAD_BYTES = 690;
const INDEX_VALUE_BYTES = 130;
/** A value that is only compared with. */
const PREDICATE_VALUE_BYTES = 80;

/** What is counted for an entry whose value takes `valueBytes`. */
export function entrySizeBytes(key: string, valueBytes: number, terms: readonly Term[]): number {
  let size = ENTRY_OVERHEAD_BYTES + key.length * 2 + valueBytes;
  if (terms.length > 0) size += READS_OVERHEAD_BYTES;
  for (const { indexBy, predicates } of terms) {
    size += TERM_OVERHEAD_BYTES;
    for (const predicate of predicates) {
      if (predicate.kind !== 'in') continue;
      const each = predicate.column === indexBy?.column ? INDEX_VALUE_BYTES : PREDICATE_VALUE_BYTES;
      for (const value of predicate.values) size += each + value.length;
    }
  }
  return size;
}

/** A piece of book-keeping, which reads no row. */
export function createNote<V>(key: string, value: V, valueBytes: number, nowMs: number, ttlMs?: number): Entry<V> {
  return {
    key,
    value,
    terms: [],
    sizeBytes: entrySizeBytes(key, valueBytes, []),
    snapshot: undefined,
    usesTime: false,
    expiresAtMs: ttlMs === undefined ? Number.POSITIVE_INFINITY : nowMs + ttlMs,
    createdAtMs: nowMs,
    fillMs: 0,
    staleForMs: 0,
    staleSinceMs: Number.POSITIVE_INFINITY,
    hits: 0,
    statements: [],
  };
}
