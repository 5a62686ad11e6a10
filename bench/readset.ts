/**
 * `npm run bench:readset`: what a read set costs. The statements are those of the corpora (as Kysely and Drizzle generate
 * them), over the catalog of a real PostgreSQL with their schema.
 */
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { TermIndex } from '../packages/vazao/src/cache/term-index.ts';
import { loadCatalog } from '../packages/vazao/src/db/load-catalog.ts';
import {
  type Analyzer,
  type Catalog,
  type Change,
  createAnalyzer,
  loadParser,
  type Term,
  touches,
} from '../packages/vazao/src/readset/index.ts';
import { splitSql } from '../packages/vazao/src/readset/oracle/split-sql.fuzz.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';

const ENTRIES = 100_000;
const ROUNDS = 40;
const CHANGES = 20_000;

const memoryBefore = process.memoryUsage().rss;
const parserStartedAt = performance.now();
await loadParser();
const parserMs = performance.now() - parserStartedAt;
const catalog = await loadShop();
const memoryBeforeParsing = process.memoryUsage().rss;
const texts = ['kysely', 'drizzle'].flatMap((name) =>
  splitSql(readFileSync(new URL(`corpora/${name}.sql`, import.meta.url), 'utf8')),
);
console.log(`Node ${process.versions.node}; microseconds, median (p99)`);
console.log(`parser: loaded in ${parserMs.toFixed(0)} ms`);

const templateTimes: number[] = [];
/** As long as a template takes, without allocating: how late this machine makes anything at all. */
const idleTimes: number[] = [];
const IDLE_MS = 0.1;
const bindTimes: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const analyzer = createAnalyzer(catalog);
  for (const text of texts) {
    const startedAt = performance.now();
    const template = analyzer.template(text);
    templateTimes.push((performance.now() - startedAt) * 1_000);
    const idleAt = performance.now();
    while (performance.now() - idleAt < IDLE_MS);
    idleTimes.push((performance.now() - idleAt) * 1_000);
    if (template.refusal) continue;
    const parameters = Array.from({ length: 8 }, (_, at) => String(at + round));
    const boundAt = performance.now();
    for (let n = 0; n < 20; n++) template.bind(parameters);
    bindTimes.push(((performance.now() - boundAt) * 1_000) / 20);
  }
}
print(`template for a new text (${texts.length} texts)`, templateTimes.slice(templateTimes.length / 4));
print('  a loop of 100 that does nothing, in between', idleTimes);
print('binding', bindTimes.slice(bindTimes.length / 4));
console.log(
  `resident memory: ${mib(memoryBefore)} before the parser, ${mib(process.memoryUsage().rss - memoryBeforeParsing)} more after ${templateTimes.length} texts`,
);

const analyzer = createAnalyzer(catalog);
const orders = catalog.tables.find(({ name }) => name === 'orders') as Catalog['tables'][number];
const relation = {
  oid: orders.oid,
  schema: orders.schema,
  name: orders.name,
  columns: orders.columns.map(({ name }) => name),
};
measureTouches(analyzer);
measureMatch('equalities', (n) =>
  n % 2 === 0
    ? bind('select * from orders where id = $1', [String(n)])
    : bind('select sum(total) from orders where user_id = $1', [String(n)]),
);
measureMatch('ranges of numbers', (n) =>
  bind('select * from orders where id >= $1 and id < $2', [String(n * 10), String(n * 10 + 10)]),
);
measureMatch('ranges of dates', (n) => {
  const from = new Date(Date.UTC(1900, 0, 1 + n)).toISOString().slice(0, 10);
  const to = new Date(Date.UTC(1900, 0, 2 + n)).toISOString().slice(0, 10);
  return bind('select * from orders where placed_on >= $1 and placed_on < $2', [from, to]);
});
measureMatch('equalities and ranges', (n) =>
  n % 2 === 0
    ? bind('select * from orders where user_id = $1', [String(n)])
    : bind('select * from orders where id between $1 and $2', [String(n * 10), String(n * 10 + 9)]),
);

function bind(text: string, parameters: readonly string[]): readonly Term[] {
  return analyzer.template(text).bind(parameters).terms;
}

function changeOf(id: number): Change {
  const row = (total: string): (string | null)[] => [String(id), String(id + 1), 'paid', '2030-01-01', total];
  return { kind: 'update', relation, old: row('1.00'), new: row('2.00') };
}

function measureTouches(analyzer: Analyzer): void {
  const [term] = analyzer
    .template('select * from orders where user_id = $1 and placed_on >= $2')
    .bind(['7', '2024-01-01']).terms;
  if (!term) throw new Error('a term is expected');
  const times: number[] = [];
  for (let round = 0; round < 2_000; round++) {
    const change = changeOf(round % 10);
    const startedAt = performance.now();
    for (let n = 0; n < 100; n++) touches(term, change);
    times.push(((performance.now() - startedAt) * 1_000) / 100);
  }
  print('touches, one term and one change', times.slice(1_000));
}

/** One change against many entries, of which it touches one or two, or none. */
function measureMatch(label: string, termsOf: (n: number) => readonly Term[]): void {
  const index = new TermIndex<number>();
  for (let n = 0; n < ENTRIES; n++) index.add({ terms: termsOf(n) } as Parameters<typeof index.add>[0]);
  const times: number[] = [];
  let touched = 0;
  for (let n = 0; n < CHANGES; n++) {
    const change = changeOf((n * 7919) % (ENTRIES * 10));
    const startedAt = performance.now();
    index.match(orders.oid, change, () => {
      touched++;
    });
    times.push((performance.now() - startedAt) * 1_000);
  }
  print(
    `one change against ${ENTRIES} entries, ${label} (${(touched / CHANGES).toFixed(1)} touched)`,
    times.slice(CHANGES / 4),
  );
}

async function loadShop(): Promise<Catalog> {
  const server = await startTestServer();
  const client = new pg.Client(server.url);
  await client.connect();
  try {
    await client.query(readFileSync(new URL('corpora/shop-schema.sql', import.meta.url), 'utf8'));
    await client.query('create publication bench for all tables');
    return await loadCatalog(client, { publication: 'bench' });
  } finally {
    await client.end();
    await server.stop();
  }
}

function print(label: string, times: readonly number[]): void {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(2);
  console.log(`${label}: ${at(0.5)} (${at(0.99)})`);
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
}
