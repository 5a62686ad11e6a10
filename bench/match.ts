/** `npm run bench:match`: how long a change takes to find its entries, by the number of entries. */
import { Cache, type CacheFeed } from '../packages/vazao/src/cache/index.ts';
import type { Commit, FeedEvents, Snapshot } from '../packages/vazao/src/feed/index.ts';
import { type Catalog, createAnalyzer, loadParser, type Relation } from '../packages/vazao/src/readset/index.ts';
import { median, quantile } from './load.ts';

const COLUMNS = ['id', 'campanha_id', 'valor', 'criado_em'];
const table = {
  oid: 1,
  schema: 'public',
  name: 'doacoes',
  kind: 'table' as const,
  columns: COLUMNS.map((name) => ({
    name,
    type: name === 'criado_em' ? 'timestamptz' : name === 'valor' ? 'numeric' : 'int4',
    deterministic: true,
    generated: false,
  })),
  definition: undefined,
  invisible: undefined,
  uniqueKeys: [['id']],
  ancestors: [],
};
const catalog: Catalog = {
  searchPath: ['pg_catalog', 'public'],
  tables: [table],
  functions: [{ schema: 'pg_catalog', name: 'sum', volatility: 'immutable', kind: 'aggregate' }],
  operators: [],
  types: [],
};
const relation: Relation = { oid: 1, schema: 'public', name: 'doacoes', columns: COLUMNS };
const STATEMENTS = ['select * from doacoes where id = $1', 'select sum(valor) from doacoes where campanha_id = $1'];

let sequence = 0;
await loadParser();
const analyzer = createAnalyzer(catalog);
console.log(
  `Node ${process.versions.node}; microseconds from the commit's arrival to its entries dropped, one changed row`,
);
for (const count of [1_000, 10_000, 100_000]) {
  const { cache, emit } = createCache();
  const snapshot: Snapshot = { xmin: 10n, xmax: 10n, running: new Set() };
  for (let n = 0; n < count; n++) {
    const joined = cache.join(`/${n}`);
    if (joined.role !== 'leader') throw new Error('nobody else fills');
    const text = STATEMENTS[n % STATEMENTS.length] as string;
    joined.fill.read(
      { text, terms: analyzer.template(text).bind([String(n)]).terms, refusal: undefined, durationMs: 0, rows: 1 },
      false,
    );
    joined.fill.begin(snapshot, 0n);
    const completed = cache.complete(joined.fill, { key: `/${n}`, value: n, valueBytes: 100 });
    if (!completed.stored) throw new Error(completed.why.detail);
  }
  const apply = (n: number): number => {
    const row = [String(n), String(n + 1), '10.00', '2026-01-01 00:00:00+00'];
    const commit: Commit = {
      sequence: ++sequence,
      position: BigInt(sequence),
      xid: BigInt(100 + sequence),
      committedAtMs: 0,
      receivedAtMs: 0,
      schemaChanged: false,
      changes: [
        { kind: 'update', relation, old: row, new: [row[0] as string, row[1] as string, '11.00', row[3] as string] },
      ],
    };
    const startedAt = performance.now();
    emit(commit);
    return (performance.now() - startedAt) * 1_000;
  };
  const misses: number[] = [];
  const hits: number[] = [];
  for (let n = 0; n < 2_000; n++) apply(count + n); // warm-up
  for (let n = 0; n < 5_000; n++) misses.push(apply(10 * count + n));
  const before = cache.figures().entries;
  for (let n = 0; n < 400; n++) hits.push(apply(2 * n));
  const dropped = before - cache.figures().entries;
  misses.sort((a, b) => a - b);
  hits.sort((a, b) => a - b);
  console.log(
    `${String(count).padStart(7)} entries: touches none ${median(misses).toFixed(2)} (p99 ${quantile(misses, 0.99).toFixed(2)}), touches two ${median(hits).toFixed(2)} (p99 ${quantile(hits, 0.99).toFixed(2)}); ${dropped} dropped by ${hits.length} changes`,
  );
}

function createCache(): { cache: Cache<number>; emit: (commit: Commit) => void } {
  sequence = 0;
  const listeners: ((commit: Commit) => void)[] = [];
  const feed: CacheFeed = {
    position: 0n,
    epoch: 1,
    suspects: new Set(),
    isFresh: () => true,
    on: (name, listener) => {
      if (name === 'commit') listeners.push(listener as (...args: FeedEvents['commit']) => void);
      return () => {};
    },
  };
  const cache = new Cache<number>({ feed, sizeMaxBytes: 2 ** 32, recentCommitsMax: 100 });
  cache.setLineage((oid) => [oid]);
  return {
    cache,
    emit: (commit) => {
      for (const listener of listeners) listener(commit);
    },
  };
}
