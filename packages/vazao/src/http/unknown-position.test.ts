/** What a client carries when the database went away before it told where its log stood. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../testing/cached-app.ts';
import { createTestDatabase } from '../testing/database.ts';
import { createTestPlatform } from '../testing/platform.ts';
import { startTcpProxy } from '../testing/tcp-proxy.ts';
import { POSITION_HEADER } from './position-token.ts';

const SCHEMA = `create table itens (id int primary key, nome text not null); insert into itens values (1, 'um')`;

test('whoever saw, or wrote, something of a database that then went away carries that, and is shown nothing older after it', async () => {
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy(database.url);
  // The feed goes on: a host may lose the one connection and not the other, and another host may have lost neither.
  await using platform = await createTestPlatform(
    { ...database, url: proxy.through(database.url) },
    { schema: SCHEMA, feed: { connection: database.url } },
  );
  const { app, db, feed } = platform;
  const cutAfter = async <T>(work: Promise<T>): Promise<T> => {
    const result = await work;
    proxy.cut();
    return result;
  };
  app.get(
    '/item',
    { config: { cache: true } },
    async () => (await db.query('select nome from itens where id = 1')).rows,
  );
  const sql = 'select nome, pg_backend_pid() from itens where id = 1'; // only reads, and what it reads is not known
  app.get('/saiu', { config: { cache: true } }, async () => (await cutAfter(db.query(sql))).rows);
  app.post('/muda', async () => {
    const client = await db.connect();
    client.on('error', () => {}); // the statement itself tells
    try {
      await client.query('begin');
      await client.query(`update itens set nome = 'mudado' where id = 1`);
      // The answer to COMMIT is held up for ever; that it was committed is not known.
      const committed = client.query('commit');
      proxy.cut();
      await committed;
    } finally {
      client.release(true);
    }
    return {};
  });
  const origin = await platform.listen();

  await platform.get('/item');
  // The second time it passes by the cache.
  for (const path of ['/saiu', '/saiu', '/muda']) {
    const hit = await platform.get('/item');
    assert.match(hit.cacheStatus, /; hit;/, path);
    const before = hit.headers.get(POSITION_HEADER) ?? '';
    const saw = await fetch(`${origin}${path}`, {
      method: path === '/muda' ? 'POST' : 'GET',
      headers: { [POSITION_HEADER]: before },
    });
    await saw.text();
    const token = saw.headers.get(POSITION_HEADER) ?? '';
    assert.notEqual(token, before, `${path}: it has seen more than the token that it brought tells`);
    proxy.resume();
    await until('the feed is fresh', () => feed.isFresh());
    const next = await platform.get('/item', { [POSITION_HEADER]: token });
    assert.match(next.cacheStatus, /detail="position"/, path);
    const known = next.headers.get(POSITION_HEADER) ?? '';
    assert.notEqual(known, token);
    // Nothing is answered from memory until the primary has been asked how far the log was, and the feed has told that.
    const isHit = async (): Promise<boolean> =>
      (await platform.get('/item', { [POSITION_HEADER]: known })).cacheStatus.includes('; hit;');
    await until(`${path}: known again`, isHit);
  }
});
