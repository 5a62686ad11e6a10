/** What leaves past the cache, to clients that carry what they have seen and to those that carry nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestDatabase } from '../testing/database.ts';
import { createTestPlatform } from '../testing/platform.ts';
import { startTcpProxy } from '../testing/tcp-proxy.ts';

const SCHEMA = `create table itens (id int primary key, nome text not null); insert into itens values (1, 'item 1')`;

test('who is served past the cache because too many compute waits for the feed like everybody who carries nothing', async () => {
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy(database.url);
  const answerWaitMaxMs = 250;
  await using platform = await createTestPlatform(database, {
    schema: SCHEMA,
    feed: { connection: proxy.through(database.url), leaseMs: 60_000, silenceMs: 60_000 },
    plugin: { answerWaitMaxMs },
  });
  let readAt = 0;
  // Neither kept nor shared, and no reason to pass by.
  platform.app.get('/aceito', { config: { cache: true } }, async (_request, reply) => {
    const { rows } = await platform.db.query('select nome from itens where id = 1');
    readAt = performance.now();
    return reply.code(202).send(rows[0]);
  });
  await platform.listen();
  await platform.get('/aceito');
  proxy.pause();
  await database.pool.query(`update itens set nome = 'novo' where id = 1`);
  let alone = 0;
  await Promise.all(
    Array.from({ length: 6 }, async () => {
      const { cacheStatus, text } = await platform.get('/aceito');
      if (!cacheStatus.includes('contended')) return;
      alone++;
      assert.match(text, /novo/);
      assert.ok(performance.now() - readAt >= answerWaitMaxMs - 10, 'it waits');
    }),
  );
  assert.equal(alone, 1);
  proxy.resume();
});

test('a renewed cookie comes with answers that are not kept, beside those of the handler', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA });
  platform.app.get('/itens', { config: { cache: true } }, async (_request, reply) => {
    const { rows } = await platform.db.query('select nome from itens where id = 1');
    return reply.header('set-cookie', 'a=1').header('set-cookie', 'b=2').send(rows[0]);
  });
  await platform.listen();
  const before = (await platform.get('/itens')).headers.get('vazao-position') as string;
  await database.pool.query(`update itens set nome = 'novo' where id = 1`);
  await platform.settled();
  // Else the note that says "pass by" would be heeded.
  platform.cache.purge('/itens');
  const { headers } = await platform.get('/itens', { cookie: `vazao-position=${before}` });
  const cookies = headers.getSetCookie();
  assert.deepEqual(cookies.slice(0, 2), ['a=1', 'b=2']);
  assert.ok(cookies[2]?.startsWith(`vazao-position=${headers.get('vazao-position')}; `));
});
