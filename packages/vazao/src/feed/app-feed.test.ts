import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createTestDatabase } from '../testing/database.ts';
import { createForeignPool, createTestPlatform } from '../testing/platform.ts';
import { createFeed } from './create-feed.ts';
import { until } from './recorder.ts';

suite('with the source app', { timeout: 480_000 }, () => {
  test('own writes are exact, by whatever way; those of others are seen when the time to live is over', async () => {
    await using database = await createTestDatabase();
    await using platform = await createTestPlatform(database, {
      schema: `create table notes (id int primary key, v int not null); insert into notes values (1, 0);
        create function bump() returns void language sql as 'update notes set v = v + 1'`,
      feed: { source: 'app' },
    });
    const { app, db, feed } = platform;
    app.get(
      '/notes',
      { config: { cache: { ttl: '500ms' } } },
      async () => (await db.query('select v from notes')).rows,
    );
    app.get('/kept', { config: { cache: true } }, async () => (await db.query('select v from notes')).rows);
    app.post('/bump', async () => (await db.query('select bump()')).rows);
    await platform.listen();
    const read = async (path: string): Promise<number> => JSON.parse((await platform.get(path)).text)[0].v;
    assert.equal(feed.status().source, 'app');

    let expected = 0;
    const ways: (() => Promise<unknown>)[] = [
      () => db.query('update notes set v = v + 1'),
      () => db.query('select bump()'),
      async () => {
        const client = await db.connect();
        await client.query('begin');
        await client.query('update notes set v = v + 1');
        await client.query('commit');
        client.release();
      },
      () => db.query('begin; update notes set v = v + 1; commit'),
      () => db.query(`do $$ begin update notes set v = v + 1; commit; end $$`),
      () => db.query('with u as (update notes set v = v + 1 returning v) select * from u'),
    ];
    for (let round = 0; round < 3; round++) {
      for (const write of ways) {
        for (const path of ['/notes', '/kept']) await read(path);
        await write();
        expected++;
        for (const path of ['/notes', '/kept']) assert.equal(await read(path), expected);
      }
    }
    await platform.get('/kept');
    assert.match((await platform.get('/kept')).cacheStatus, /hit/, 'it is kept, and not for ever');

    const foreign = createForeignPool(database);
    await foreign.query('update notes set v = v + 1');
    await foreign.end();
    expected++;
    await until(async () => (await read('/notes')) === expected, 'the named time to live is over');
    await until(async () => (await read('/kept')) === expected, 'the default time to live is over');
  });

  test('a start is rejected when the feed is closed meanwhile', async () => {
    await using database = await createTestDatabase();
    const feed = createFeed({ connection: database.url, source: 'app' });
    const started = assert.rejects(feed.start(), { code: 'ERR_FEED_CLOSED' });
    await feed.close();
    await started;
    assert.equal(feed.status().state, 'closed');
  });

  test('a change of the schema is an epoch', async () => {
    await using database = await createTestDatabase();
    await using platform = await createTestPlatform(database, {
      schema: 'create table notes (id int primary key)',
      feed: { source: 'app' },
    });
    const { feed } = platform;
    const schema = new Promise<void>((resolve) => feed.on('schema', () => resolve()));
    await database.pool.query('create table more (id int primary key)');
    await schema;
    assert.equal(feed.epoch, 2);
    assert.ok(feed.status().tables.includes('public.more'));
  });
});
