import type { Snapshot } from '../feed/index.ts';
import type { Term } from '../readset/index.ts';

/** A statement that ran in a fill, for people who ask why. */
export interface StatementRecord {
  readonly text: string;
  readonly terms: readonly Term[];
  readonly refusal: { readonly code: string; readonly detail: string } | undefined;
  durationMs: number;
  rows: number;
}

/** An answer in the cache, or a piece of book-keeping (without terms) that shares its LRU bound. */
export interface Entry<V> {
  readonly key: string;
  readonly value: V;
  /** What is counted against the bound: key, value and book-keeping. */
  readonly sizeBytes: number;
  readonly terms: readonly Term[];
  /** What the answer saw; undefined for book-keeping and for answers that read no row. */
  readonly snapshot: Snapshot | undefined;
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
 * the Entry object, its slots in the LRU's arrays and map, and per term the Term object and its place in the index.
 */
const ENTRY_OVERHEAD_BYTES = 700;
const TERM_OVERHEAD_BYTES = 700;
const INDEX_VALUE_BYTES = 250;

/** What is counted for an entry whose value takes `valueBytes`. */
export function entrySizeBytes(key: string, valueBytes: number, terms: readonly Term[]): number {
  let size = ENTRY_OVERHEAD_BYTES + key.length * 2 + valueBytes;
  for (const term of terms) {
    size += TERM_OVERHEAD_BYTES + INDEX_VALUE_BYTES * (term.indexBy?.values.length ?? 1);
  }
  return size;
}
