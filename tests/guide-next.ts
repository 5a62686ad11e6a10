/**
 * `npm run guide:next`: the guide for Next.js, against the packed tarball: built, started twice on one database, asked, and
 * asked by many while rows change. By hand, because Next takes 350 MB and some minutes.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createTestDatabase } from '../packages/vazao/src/testing/database.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { createBooks } from './guide.ts';
import { installPackedPackage, type PackedPackage, ROOT } from './packed-package.ts';

const PACKAGES = ['next@16.4.6', 'react@19.3.1', 'react-dom@19.3.1'];
const NEXT = 'node_modules/next/dist/bin/next';
const BOOKS = 10;
const STORM_MS = 10_000;

/** Beside the guide's: what Next keeps by its other ways. */
const MORE_FILES: Readonly<Record<string, string>> = {
  'app/layout.js': `export default function Layout({ children }) {
      return <html lang="en"><body>{children}</body></html>;
    }`,
  'app/two/page.js': `import { unstable_cache } from 'next/cache';
    import { cache } from '../../cache.js';
    const readOne = async (id) => (await cache.db.query('select title, price from books where id = $1', [id])).rows[0];
    const readKept = unstable_cache(readOne, ['book']);
    export default async function Two() {
      const [kept, own] = await Promise.all([readKept(1), readOne(2)]);
      return [kept, own].map(({ title, price }) => title + ' for ' + price).join(', ');
    }`,
  'app/asked/page.js': `import { headers } from 'next/headers';
    import { unstable_cache } from 'next/cache';
    import { cache } from '../../cache.js';
    const readKept = unstable_cache(async () => {
      const { rows } = await cache.db.query('select title from books where id = 3');
      return rows[0].title + ', read at ' + performance.now();
    }, ['third']);
    export default async function Asked() {
      await headers();
      return await readKept();
    }`,
  'pages/old/[id].js': `import { cache } from '../../cache.js';
    export const getStaticPaths = () => ({ paths: [], fallback: 'blocking' });
    export async function getStaticProps({ params }) {
      const { rows } = await cache.db.query('select title, price from books where id = $1', [params.id]);
      return rows.length === 0 ? { notFound: true } : { props: rows[0] };
    }
    export default function Old({ title, price }) { return title + ' for ' + price; }`,
};

interface Got {
  readonly status: number;
  /** What Next says of its cache; null where it has none. */
  readonly how: string | null;
  readonly text: string;
}

const server = await startTestServer();
const database = await createTestDatabase({ serverUrl: server.url });
const processes: ChildProcess[] = [];
try {
  await createBooks(database);
  await database.pool.query(`insert into books select n, 'Book ' || n, n from generate_series(1, ${BOOKS}) n`);
  using packed = installPackedPackage();
  packed.install(...PACKAGES);
  writeFiles(packed);
  const environment = { DATABASE_URL: database.url, NEXT_TELEMETRY_DISABLED: '1' };
  packed.run(process.execPath, [NEXT, 'build'], environment);
  const first = await start(packed.folder, environment);
  const second = await start(packed.folder, environment);

  await keepsAndDrops(first, second);
  await keepsOtherWays(first);
  await standsStorm([first, second]);
  process.stdout.write('The guide for Next.js does what it says.\n');
} finally {
  for (const child of processes) {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await new Promise((done) => child.once('exit', done));
  }
  await database[Symbol.asyncDispose]();
  await server.stop();
}

function writeFiles(packed: PackedPackage): void {
  const guide = readFileSync(join(ROOT, 'docs/guides/next.md'), 'utf8');
  const blocks = guide.matchAll(/```jsx?\n\/\/ (\S+)\n([\s\S]*?)```/g);
  const files = [...[...blocks].map(([, name, text]) => [name, text]), ...Object.entries(MORE_FILES)];
  for (const [name, text] of files as [string, string][]) {
    mkdirSync(join(packed.folder, dirname(name)), { recursive: true });
    packed.writeFile(name, text);
  }
}

/** Its origin, once it serves. */
function start(folder: string, environment: Record<string, string>): Promise<string> {
  const child = spawn(process.execPath, [NEXT, 'start', '--port', '0', '--hostname', '127.0.0.1'], {
    cwd: folder,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  processes.push(child);
  let said = '';
  return new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error(`Next ended: ${said}`)));
    child.stdout.on('data', (data) => {
      said += data;
      const origin = /Local:\s+(http:\S+)/.exec(said)?.[1];
      if (origin && said.includes('Ready')) resolve(origin);
    });
  });
}

async function get(origin: string, path: string): Promise<Got> {
  const response = await fetch(origin + path);
  const text = await response.text();
  const body = /<body[^>]*>([\s\S]*?)<script/.exec(text)?.[1] ?? text;
  return { status: response.status, how: response.headers.get('x-nextjs-cache'), text: body.replace(/<[^>]*>/g, '') };
}

async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 30_000; !(await isTrue()); await delay(10)) assert.ok(Date.now() < deadline, what);
}

async function change(sql: string): Promise<void> {
  await database.pool.query(sql);
}

/** Asked until it is answered from the cache: what ran before the feed must have ended. */
async function untilHit(origin: string, path: string): Promise<void> {
  await until(`${path} is kept`, async () => (await get(origin, path)).how === 'HIT');
}

async function keepsAndDrops(first: string, second: string): Promise<void> {
  for (const origin of [first, second]) {
    assert.deepEqual(await get(origin, '/books/1'), { status: 200, how: 'MISS', text: 'Book 1 for 1.00' });
    await untilHit(origin, '/books/1');
    await untilHit(origin, '/books/2');
    await untilHit(origin, '/api/prices');
    assert.equal((await get(origin, '/books/99')).status, 404);
    await untilHit(origin, '/books/99');
  }
  await change("update books set title = 'First' where id = 1; insert into books values (99, 'New', 5)");
  for (const origin of [first, second]) {
    await until('the new title', async () => (await get(origin, '/books/1')).text === 'First for 1.00');
    await until('the new book', async () => (await get(origin, '/books/99')).text === 'New for 5.00');
    assert.equal((await get(origin, '/books/2')).how, 'HIT', 'another row');
  }
  const body = JSON.stringify({ price: '7.00' });
  await fetch(`${first}/api/books/1/price`, { method: 'PUT', body });
  assert.equal((await get(first, '/books/1')).text, 'First for 7.00', 'who writes sees it next');
  await until('the other process', async () => (await get(second, '/books/1')).text === 'First for 7.00');
  const prices = JSON.parse((await get(first, '/api/prices')).text) as { id: number; price: string }[];
  assert.equal(prices.find(({ id }) => id === 1)?.price, '7.00');
}

async function keepsOtherWays(origin: string): Promise<void> {
  for (const path of ['/two', '/old/1', '/old/98']) await untilHit(origin, path);
  for (const id of [1, 2]) {
    await change(`update books set title = 'Changed ' || id where id = ${id}`);
    await until('a part that is kept', async () => (await get(origin, '/two')).text.includes(`Changed ${id}`));
  }
  await until('the Pages Router', async () => (await get(origin, '/old/1')).text === 'Changed 1 for 7.00');
  await change("insert into books values (98, 'Newer', 6)");
  await until('what was not found', async () => (await get(origin, '/old/98')).text === 'Newer for 6.00');

  let before = '';
  await until('kept data', async () => {
    const { text } = await get(origin, '/asked');
    const isSame = text === before;
    before = text;
    return isSame;
  });
  const { text, how } = await get(origin, '/asked');
  assert.equal(how, null, 'the page itself is made for each request');
  await change("update books set title = 'Third' where id = 3");
  await until('new data', async () => (await get(origin, '/asked')).text.startsWith('Third, read at'));
  assert.ok(text.startsWith('Book 3, read at'));
}

/** Many ask while rows change; then everything is what the database says. */
async function standsStorm(origins: readonly string[]): Promise<void> {
  const paths = [...Array.from({ length: BOOKS }, (_, n) => [`/books/${n + 1}`, `/old/${n + 1}`]).flat(), '/two'];
  const endsAt = Date.now() + STORM_MS;
  let asked = 0;
  let hits = 0;
  const ask = async (): Promise<void> => {
    while (Date.now() < endsAt) {
      const path = paths[asked++ % paths.length] as string;
      if ((await get(origins[asked % origins.length] as string, path)).how === 'HIT') hits++;
    }
  };
  const write = async (): Promise<void> => {
    for (let count = 0; Date.now() < endsAt; count++) {
      await change(`update books set price = price + 1 where id = ${(count % BOOKS) + 1}`);
      for (const next = asked + 20; asked < next && Date.now() < endsAt; ) await delay(5);
    }
  };
  await Promise.all([write(), ...Array.from({ length: 8 }, ask)]);
  const { rows } = await database.pool.query('select id, title, price from books order by id');
  const shown = new Map(rows.map(({ id, title, price }) => [id, `${title} for ${price}`]));
  for (const origin of origins) {
    for (const path of paths) {
      const wanted = path === '/two' ? `${shown.get(1)}, ${shown.get(2)}` : shown.get(Number(path.split('/')[2]));
      await until(`${path} is ${wanted}`, async () => (await get(origin, path)).text === wanted);
      // What has been shown once is not taken back.
      assert.equal((await get(origin, path)).text, wanted);
    }
  }
  process.stdout.write(`${asked} requests, ${hits} of them hits, while rows changed.\n`);
}
