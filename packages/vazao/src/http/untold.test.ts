/** What left while the feed was silent, and a feed that then proves less than that. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../testing/cached-app.ts';
import { createTestDatabase } from '../testing/database.ts';
import { createLateFeed, type LateFeed } from '../testing/late-feed.ts';
import { createTestPlatform, type TestPlatform } from '../testing/platform.ts';

const SCHEMA = `create table itens (id int primary key, nome text not null); insert into itens values (1, 'um')`;

async function withPlatform(
  work: (platform: TestPlatform, late: LateFeed, write: () => Promise<void>) => Promise<void>,
) {
  await using database = await createTestDatabase();
  const late = createLateFeed();
  await using platform = await createTestPlatform(database, { schema: SCHEMA, wrapFeed: late.wrap });
  const { app, db } = platform;
  const read = async () => (await db.query('select nome from itens where id = 1')).rows[0].nome;
  app.get('/item', { config: { cache: true } }, read);
  app.get('/outro', { config: { cache: true } }, read);
  app.post('/item', async () => {
    await db.query(`update itens set nome = 'novo' where id = 1`);
    return 'feito';
  });
  await platform.listen();
  for (const path of ['/item', '/outro']) {
    await platform.get(path);
    assert.match((await platform.get(path)).cacheStatus, /; hit/);
  }
  const write = async (): Promise<void> =>
    void (await database.pool.query(`update itens set nome = 'novo' where id = 1`));
  await work(platform, late, write);
  late.letGo();
  await until('hits again', async () => /; hit/.test((await platform.get('/item')).cacheStatus));
  assert.equal((await platform.get('/item')).text, 'novo');
}

test('who has seen something new while the feed was silent is shown nothing older when it speaks again', () =>
  withPlatform(async (platform, late, write) => {
    late.hold();
    await write();
    assert.equal((await platform.get('/item')).text, 'novo');
    late.proveWhatWas();
    for (const path of ['/item', '/outro']) assert.equal((await platform.get(path)).text, 'novo', path);
  }));

test('who has written while the feed was silent is shown it when it speaks again', () =>
  withPlatform(async (platform, late) => {
    late.hold();
    const written = await fetch(`${platform.origin}/item`, { method: 'POST' });
    assert.equal(await written.text(), 'feito');
    late.proveWhatWas();
    for (const path of ['/item', '/outro']) assert.equal((await platform.get(path)).text, 'novo', path);
  }));

test('what was known before is answered at once when nothing newer has left', () =>
  withPlatform(async (platform, late, write) => {
    late.hold();
    await write();
    late.proveWhatWas();
    const { text, cacheStatus } = await platform.get('/item');
    assert.deepEqual([text, /; hit/.test(cacheStatus)], ['um', true]);
  }));
