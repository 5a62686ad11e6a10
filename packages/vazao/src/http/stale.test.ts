/** How old an answer may be that a route allows to be stale (RFC 5861), and for whom it may not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPatientSetting, type Setting, soon, until } from '../testing/cached-app.ts';
import { createTestDatabase } from '../testing/database.ts';
import { createTestPlatform } from '../testing/platform.ts';
import { startTcpProxy } from '../testing/tcp-proxy.ts';

async function createStale(cache: object): Promise<Setting & { hold: () => () => void }> {
  const setting = await createPatientSetting({ plugin: { refresh: false } });
  const { db } = setting.platform;
  let gate = Promise.resolve();
  setting.app.get('/item', { config: { cache } }, async () => {
    const { rows } = await db.query('select nome from itens where id = 1');
    await gate;
    return rows[0];
  });
  await setting.platform.listen();
  return Object.assign(setting, {
    /** Computations wait until the function returned is called. */
    hold: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      return resolve;
    },
  });
}

test('staleFor: who carries a position waits for the new answer, while the others have the old one', async () => {
  await using setting = await createStale({ staleFor: '1m' });
  const { platform } = setting;
  const position = (await platform.get('/item')).headers.get('vazao-position') as string;
  const release = setting.hold();
  await platform.db.query(`update itens set nome = 'dois' where id = 1`);
  await platform.settled();
  const leader = platform.get('/item');
  await until('it is computed', () => platform.cache.isFilling('/item'));
  assert.match((await platform.get('/item')).text, /um/);
  const carrier = platform.get('/item', { 'vazao-position': position });
  await until('it waits', () => platform.cache.waiting('/item') === 1);
  release();
  assert.match((await soon(carrier)).text, /dois/);
  assert.match((await soon(leader)).text, /dois/);
});

test('staleFor: what is older waits', async () => {
  await using setting = await createStale({ staleFor: 1 });
  const { platform } = setting;
  await platform.get('/item');
  const release = setting.hold();
  await platform.db.query(`update itens set nome = 'dois' where id = 1`);
  await platform.settled();
  const leader = platform.get('/item');
  await until('it is computed', () => platform.cache.isFilling('/item'));
  await until('it is older', () => {
    const entry = platform.cache.peek('/item');
    return !entry || platform.cache.staleMs(entry) > 1;
  });
  const other = platform.get('/item');
  await until('it waits', () => platform.cache.waiting('/item') === 1);
  release();
  for (const answer of [leader, other]) assert.match((await soon(answer)).text, /dois/);
});

test('staleIfError: while feed and database are away the old answer is served, for as long as the route says', async () => {
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy(database.url);
  await using platform = await createTestPlatform(
    { ...database, url: proxy.through(database.url) },
    {
      schema: `create table itens (id int primary key, nome text not null); insert into itens values (1, 'um')`,
    },
  );
  const { app, db } = platform;
  const read = async (): Promise<object> => (await db.query('select nome from itens where id = 1')).rows[0];
  app.get('/hora', { config: { cache: { staleIfError: '1h' } } }, read);
  app.get('/pouco', { config: { cache: { staleIfError: 1 } } }, read);
  app.get('/nunca', { config: { cache: true } }, read);
  await platform.listen();
  for (const path of ['/hora', '/pouco', '/nunca']) await platform.get(path);
  proxy.cut();
  await until('the feed is not fresh', () => !platform.feed.isFresh());
  const old = await platform.get('/hora');
  assert.deepEqual([old.status, old.text], [200, '{"nome":"um"}']);
  assert.match(old.cacheStatus, /fwd=stale; ttl=-\d+; detail="stale-if-error"$/);
  assert.equal((await platform.get('/pouco')).status, 500);
  assert.equal((await platform.get('/nunca')).status, 500);
  proxy.resume();
  await until('it is a hit again', async () => (await platform.get('/hora')).cacheStatus.includes('detail="lag='));
});
