/**
 * `node --expose-gc bench/memory.ts`: what an entry takes of the heap, beside what `entrySizeBytes` counts for it, by what
 * it reads. One process for each shape: what an earlier one leaves behind would blur the next.
 */
import { spawnSync } from 'node:child_process';
import { Cache, type CacheFeed } from '../packages/vazao/src/cache/index.ts';
import { parseSnapshot } from '../packages/vazao/src/feed/index.ts';
import { type Catalog, createAnalyzer, loadParser } from '../packages/vazao/src/readset/index.ts';

const ENTRIES = 20_000;

/** Statements of an answer; each `n` of the text's parameters is another for each entry. */
const SHAPES: Readonly<Record<string, readonly { text: string; values: (n: number) => string[] }[]>> = {
  'book-keeping': [],
  'one row': [{ text: 'select * from doacoes where id = $1', values: (n) => [String(n)] }],
  'a row and a list': [
    { text: 'select * from doacoes where id = $1', values: (n) => [String(n)] },
    { text: 'select * from doacoes where campanha_id = $1 limit 10', values: (n) => [String(n)] },
    { text: 'select sum(valor) from doacoes where campanha_id = $1', values: (n) => [String(n)] },
  ],
  '20 rows by IN': [
    {
      text: 'select * from doacoes where id = any ($1)',
      values: (n) => [`{${Array.from({ length: 20 }, (_, at) => n * 20 + at).join(',')}}`],
    },
  ],
  '… each read by two answers': [
    {
      text: 'select * from doacoes where id = any ($1)',
      values: (n) => [`{${Array.from({ length: 20 }, (_, at) => (n >> 1) * 20 + at).join(',')}}`],
    },
  ],
  'a whole table': [{ text: 'select count(*) from doacoes where valor > $1', values: (n) => [String(n)] }],
};

const [shape] = process.argv.slice(2);
if (shape !== undefined) console.log(JSON.stringify(await measure(shape)));
else {
  console.log(`Node ${process.versions.node}; bytes for each of ${ENTRIES} entries, without the value`);
  for (const name of Object.keys(SHAPES)) {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', import.meta.filename, name]);
    if (status !== 0) throw new Error(String(stderr));
    const { measured, counted } = JSON.parse(String(stdout));
    const ratio = (counted / measured).toFixed(2);
    console.log(
      `${name.padEnd(33)} measured ${String(measured).padStart(6)}  counted ${String(counted).padStart(6)}  ratio ${ratio}`,
    );
  }
}

async function measure(name: string): Promise<{ measured: number; counted: number }> {
  if (!globalThis.gc) throw new Error('Run it with --expose-gc.');
  await loadParser();
  const analyzer = createAnalyzer(createCatalog());
  const feed: CacheFeed = { position: 0n, epoch: 1, suspects: new Set(), isFresh: () => true, on: () => () => {} };
  const cache = new Cache<number>({ feed, sizeMaxBytes: 2 ** 40 });
  const statements = SHAPES[name];
  if (!statements) throw new Error(`The shapes are ${Object.keys(SHAPES).join(', ')}.`);
  const store = (n: number): void => {
    const key = `/api/doacoes/listar/?pagina=${n}&chave=${'x'.repeat(20)}`;
    if (statements.length === 0) {
      cache.note(key, n, 0);
      return;
    }
    const joined = cache.join(key);
    if (joined.role !== 'leader') throw new Error('nobody else fills');
    for (const { text, values } of statements) {
      const { terms } = analyzer.template(text).bind(values(n));
      joined.fill.read({ text, terms, refusal: undefined, durationMs: 0.5, rows: 1 }, false);
    }
    joined.fill.begin(parseSnapshot(`${n + 1}:${n + 1}:`), 0n);
    const completed = cache.complete(joined.fill, { key, value: n, valueBytes: 0 });
    if (!completed.stored) throw new Error(completed.why.detail);
  };
  // So that code, caches and the first growth of the maps are there before.
  for (let n = 0; n < 1_000; n++) store(n);
  const before = await used();
  const countedBefore = cache.figures().sizeBytes;
  for (let n = 0; n < ENTRIES; n++) store(1_000 + n);
  const measured = ((await used()) - before) / ENTRIES;
  const counted = (cache.figures().sizeBytes - countedBefore) / ENTRIES;
  return { measured: Math.round(measured), counted: Math.round(counted) };
}

async function used(): Promise<number> {
  for (let turn = 0; turn < 3; turn++) {
    globalThis.gc?.();
    await new Promise(setImmediate);
  }
  return process.memoryUsage().heapUsed;
}

function createCatalog(): Catalog {
  const types = { id: 'int4', campanha_id: 'int4', valor: 'numeric', criado_em: 'timestamptz' };
  const columns = Object.entries(types).map(([name, type]) => ({ name, type, deterministic: true, generated: false }));
  const aggregates = ['sum', 'count'].map((name) => ({
    schema: 'pg_catalog',
    name,
    volatility: 'immutable' as const,
    kind: 'aggregate' as const,
  }));
  return {
    searchPath: ['pg_catalog', 'public'],
    tables: [
      {
        oid: 1,
        schema: 'public',
        name: 'doacoes',
        kind: 'table',
        columns,
        definition: undefined,
        invisible: undefined,
        uniqueKeys: [['id']],
        ancestors: [],
      },
    ],
    functions: aggregates,
    operators: [],
    types: [],
  };
}
