/** What `createCache` gives: a pool, and reads of any code's values that end when a row behind them changes. */
import { LRUCache } from 'lru-cache';
import {
  type CacheFigures,
  type ExplainedDrop,
  type ExplainedStatement,
  explainDrop,
  explainStatement,
  type NotStored,
  type StatementRecord,
} from '../cache/index.ts';
import type { Pool } from '../db/index.ts';
import type { Feed } from '../feed/index.ts';
import type { Codec } from './codec.ts';
import { CacheError } from './errors.ts';
import { type Key, writeKey } from './key.ts';
import { type ReadOptions, resolveReadOptions } from './options.ts';
import type { Kept, Reads, ReadsCache, Refuse } from './reads.ts';

/** Bytes; or, where a value can't be kept, the value itself. */
export type Packed = { readonly bytes: Uint8Array } | { readonly unkept: unknown };

export interface ExplainedRead {
  /**
   * - `fresh`: the next read is a hit
   * - `stale`: dropped, and given where `staleFor` or `staleIfError` allow it
   * - `expired`: older than its `ttl`
   * - `unsure`: the feed is not fresh, so nothing is given from the cache
   * - `bypass`: not kept a moment ago; `notStored` says why
   * - `dropped`: by the change in `lastDrop`
   * - `unknown`: never read, or long ago
   */
  readonly state: 'fresh' | 'stale' | 'expired' | 'unsure' | 'bypass' | 'dropped' | 'unknown';
  /** Why the last value was not kept; undefined when it was. */
  readonly notStored: NotStored | undefined;
  readonly hits: number;
  readonly sizeBytes: number;
  readonly ageMs: number;
  readonly fillMs: number;
  /** What it was computed from, and which changes end it. */
  readonly statements: readonly ExplainedStatement[];
  readonly lastDrop: ExplainedDrop | undefined;
}

export interface ValueCacheParts {
  readonly db: Pool;
  readonly feed: Feed;
  readonly cache: ReadsCache<unknown>;
  readonly reads: Reads<unknown>;
  readonly codec: Codec;
  readonly valueMaxBytes: number;
  readonly onProblem: (problem: Error) => void;
  readonly close: () => Promise<void>;
}

/** Reasons that are remembered, for {@link ValueCache.explain}. */
const REASONS_MAX = 1_000;

const PARTS = new WeakMap<ValueCache, ValueCacheParts>();

/** What a cache is made of, for adapters that keep more than values in it. */
export function partsOf(cache: ValueCache): ValueCacheParts {
  const parts = PARTS.get(cache);
  if (!parts) throw new CacheError('ERR_CACHE_OPTIONS', 'This is no cache of `createCache`.');
  return parts;
}

export class ValueCache implements AsyncDisposable {
  /** Compatible with `pg.Pool`. Statements that run on it inside a read are what the value depends on. */
  readonly db: Pool;
  readonly feed: Feed;
  readonly #parts: ValueCacheParts;
  readonly #notKept = new LRUCache<string, { why: NotStored; statements: readonly StatementRecord[] }>({
    max: REASONS_MAX,
  });
  readonly #warned = new Set<string>();
  #isClosed = false;

  /** Use `createCache`. */
  constructor(parts: ValueCacheParts) {
    this.#parts = parts;
    PARTS.set(this, parts);
    this.db = parts.db;
    this.feed = parts.feed;
  }

  /**
   * The value of `compute`, from memory while no row has changed that it was computed from. Whoever asks meanwhile waits
   * for the same computation. All statements of it that run on {@link ValueCache.db} see one snapshot; it may run a second
   * time when a replica fails it. Every caller gets a copy of its own, in the form that the codec gives it.
   *
   * What it throws is thrown, and not kept. A value that can't be kept is given as it is. Throws {@link CacheError}.
   */
  async read<T>(key: Key, compute: () => PromiseLike<T> | T, options?: ReadOptions): Promise<T> {
    if (this.#isClosed) throw new CacheError('ERR_CACHE_CLOSED', 'The cache was closed; read before `close()`.');
    const text = `v${writeKey(key)}`;
    const { value, outcome, notStored, statements } = await this.#parts.reads.read({
      ...resolveReadOptions(options),
      key: text,
      compute: async (refuse) => this.#pack(text, await compute(), refuse),
      bytesOf: (packed) => ('bytes' in (packed as Packed) ? (packed as { bytes: Uint8Array }).bytes.length : 0),
      mayRepeat: true,
    });
    if (outcome === 'filled') {
      if (notStored) this.#notKept.set(text, { why: notStored, statements: statements ?? [] });
      else this.#notKept.delete(text);
    }
    const packed = value as Packed;
    return ('bytes' in packed ? this.#parts.codec.decode(packed.bytes) : packed.unkept) as T;
  }

  /** Drops a value by hand; a row that changes does it by itself. Returns whether there was one. */
  purge(key: Key): boolean {
    return this.#parts.cache.purge(`v${writeKey(key)}`);
  }

  /** Why a value is (not) kept, what it depends on, and what ended the one before. */
  explain(key: Key): ExplainedRead {
    const { cache } = this.#parts;
    const text = `v${writeKey(key)}`;
    const entry = cache.peek(text);
    const drop = cache.lastDrop(text);
    const notKept = this.#notKept.peek(text);
    const statements = entry && entry.statements.length > 0 ? entry.statements : (notKept?.statements ?? []);
    return {
      state: entry ? stateOf(cache, entry) : drop ? 'dropped' : 'unknown',
      notStored: notKept?.why,
      hits: entry?.hits ?? 0,
      sizeBytes: entry?.sizeBytes ?? 0,
      ageMs: entry ? cache.now() - entry.createdAtMs : 0,
      fillMs: entry?.fillMs ?? 0,
      statements: statements.map(explainStatement),
      lastDrop: drop && explainDrop(drop),
    };
  }

  figures(): CacheFigures {
    return this.#parts.cache.figures();
  }

  /** Ends the feed and the pool; reads that are under way fail as the pool ends. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#parts.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #pack(text: string, value: unknown, refuse: Refuse): Packed {
    const { codec, valueMaxBytes } = this.#parts;
    let bytes: Uint8Array;
    try {
      bytes = codec.encode(value);
    } catch (cause) {
      const detail = `The value can't be kept: ${(cause as Error).message}. Return plain data from \`read\`, or give \`createCache\` a codec.`;
      refuse('value', detail);
      this.#warnOnce(text, new CacheError('ERR_CACHE_VALUE', detail, { cause }));
      return { unkept: value };
    }
    if (bytes.length > valueMaxBytes) refuse('too-large', `The value is larger than ${valueMaxBytes} bytes.`);
    return { bytes };
  }

  /** Once for each key, and for no more than are remembered. */
  #warnOnce(text: string, problem: CacheError): void {
    if (this.#warned.has(text) || this.#warned.size >= REASONS_MAX) return;
    this.#warned.add(text);
    this.#parts.onProblem(problem);
  }
}

function stateOf(
  cache: ReadsCache<unknown>,
  entry: NonNullable<ReturnType<ReadsCache<unknown>['peek']>>,
): ExplainedRead['state'] {
  const { kind } = entry.value as Kept<unknown>;
  if (kind === 'bypass') return cache.isGood(entry) ? 'bypass' : 'unknown';
  if (entry.staleSinceMs !== Number.POSITIVE_INFINITY) return 'stale';
  if (!cache.isGood(entry)) return 'expired';
  return cache.isFresh() ? 'fresh' : 'unsure';
}
