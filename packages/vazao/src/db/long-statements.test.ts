import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cache } from '../cache/index.ts';
import { createFeed, type Feed, setReplicaIdentityFull } from '../feed/index.ts';
import { EXAMPLE_CATALOG } from '../readset/example-catalog.ts';
import type { LongReading } from '../readset/index.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { createRandom } from '../testing/random.ts';
import { type Filled, runFill } from '../testing/run-fill.ts';
import { until } from '../testing/running-host.ts';
import { untilUnsuspected } from '../testing/unsuspected.ts';
import { trackWrites } from './context.ts';
import { LongStatements } from './long-statements.ts';
import { Pool } from './pool.ts';

/** Of some 700 KB. */
const IDS = Array.from({ length: 100_000 }, (_, n) => n + 1).join(', ');

describe('a statement of more than 512 KiB', () => {
  let database: TestDatabase;
  let feed: Feed;
  let cache: Cache<unknown>;
  let pool: Pool;

  before(async () => {
    database = await createTestDatabase();
    await database.pool.query(`create table t (id int primary key, v int not null);
      create table other (id int primary key);
      insert into t values (1, 10)`);
    const client = await database.client();
    await setReplicaIdentityFull(client, ['t', 'other']);
    await client.end();
    feed = createFeed({ connection: database.url });
    cache = new Cache<unknown>({ feed });
    pool = new Pool({ connectionString: database.url, cache, feed, max: 2 });
    await feed.start();
    await untilUnsuspected(feed);
    await pool.prepare();
  });

  after(async () => {
    await pool.end();
    await feed.close();
    await database[Symbol.asyncDispose]();
  });

  const fill = (key: string, text: string): Promise<Filled> =>
    runFill({ pool, cache, feed }, key, async () => (await pool.query(text)).rows);

  const write = async (text: string): Promise<void> => {
    const { position } = await trackWrites(() => pool.query(text));
    assert.ok(await feed.waitFor(position, 5_000));
  };

  test('is kept once a thread has found its tables, until one of them changes', async () => {
    const text = `select v from t where id in (${IDS})`;
    const { value, outcome } = await fill('/', text);
    assert.deepEqual([value, outcome], [[{ v: 10 }], 'too-complex']);
    await until(async () => (await fill('/', text)).outcome === 'stored', 'its answer is kept');
    await write('insert into other values (1)');
    assert.ok(cache.get('/'));
    await write('update t set v = 11');
    assert.equal(cache.get('/'), undefined);
    assert.deepEqual(await fill('/', text), { value: [{ v: 11 }], outcome: 'stored', position: 0n });
  });

  test('is read anew when the schema has changed', async () => {
    const text = `select count(*)::int from later where id in (${IDS})`;
    await write('create view later as select id from t');
    await until(async () => (await fill('/later', text)).outcome === 'stored', 'the answer of the first view is kept');
    await write('create or replace view later as select id from other');
    assert.equal(cache.get('/later'), undefined);
    await until(async () => (await fill('/later', text)).outcome === 'stored', 'the answer of the second view is kept');
    await write('update t set v = 12');
    assert.ok(cache.get('/later'));
    await write('insert into other values (2)');
    assert.equal(cache.get('/later'), undefined);
  });

  test('is refused for the reason that the thread found', async () => {
    const text = `select random(), v from t where id in (${IDS})`;
    await until(async () => (await fill('/random', text)).outcome === 'volatile-function', 'the reason is known');
  });
});

test('what a thread could not say is refused, and costs the next one nothing', async (context) => {
  const random = createRandom(context);
  // Nothing repeats in it.
  const forms = ['1', '(1)', '1+1', '((1))', '1*1', '(1+1)', '1-(1)', '(1*1)'];
  const values = Array.from({ length: 400_000 }, () => random.pick(forms)).join(',');
  const statements = new LongStatements();
  const find = statements.forCatalog(EXAMPLE_CATALOG, []);
  const read = async (text: string): Promise<LongReading | undefined> => {
    await until(() => find(text, ['public']) !== undefined, `${text.slice(0, 40)} is read`);
    return find(text, ['public']);
  };
  try {
    const wide = await read(`select 1 from a where id in (${values})`);
    assert.match(wide?.finding?.detail ?? '', /longer than 1024 KiB, also without what repeats in it/);
    const long = await read(`select 1 from a where id in (${IDS})`);
    assert.equal(long?.finding, undefined);
    assert.deepEqual(long?.tables, [EXAMPLE_CATALOG.tables.find(({ name }) => name === 'a')?.oid]);
  } finally {
    statements.close();
  }
});

test('of two that come at once one is read first, and the other when it is asked for again', async () => {
  const statements = new LongStatements();
  const find = statements.forCatalog(EXAMPLE_CATALOG, []);
  const [one, two] = ['a', 'b'].map((table) => `select 1 from ${table} where id in (${IDS})`) as [string, string];
  try {
    assert.equal(find(one, ['public']), undefined);
    assert.equal(find(two, ['public']), undefined);
    await until(() => find(one, ['public']) !== undefined, 'the first is read');
    assert.equal(find(two, ['public']), undefined);
    await until(() => find(two, ['public']) !== undefined, 'the second is read');
  } finally {
    statements.close();
  }
});
