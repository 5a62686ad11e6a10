/** Cached routes when the feed or the database is away, slow, or back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../testing/cached-app.ts';
import { createTestDatabase } from '../testing/database.ts';
import { createTestPlatform, type TestPlatform } from '../testing/platform.ts';
import { startTcpProxy } from '../testing/tcp-proxy.ts';

const SCHEMA = `create table itens (id int primary key, nome text not null);
  insert into itens select n, 'item ' || n from generate_series(1, 20) n;`;

function route(
  platform: TestPlatform,
  path: string,
  cache: object | true,
  work: () => Promise<void> = async () => {},
): void {
  platform.app.get<{ Params: { id: string } }>(`${path}/:id`, { config: { cache } }, async ({ params }) => {
    await work();
    return (await platform.db.query('select nome from itens where id = $1', [params.id])).rows[0];
  });
}

test('while the feed is away nothing is answered from the cache; when it is back everything is computed anew', async () => {
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy(database.url);
  await using platform = await createTestPlatform(database, {
    schema: SCHEMA,
    feed: { connection: proxy.through(database.url) },
  });
  route(platform, '/itens', true);
  const opened = Promise.withResolvers<void>();
  let hasRead = false;
  platform.app.get('/devagar', { config: { cache: true } }, async () => {
    const { rows } = await platform.db.query('select nome from itens where id = 2');
    hasRead = true;
    await opened.promise;
    return rows;
  });
  await platform.listen();
  const isHit = async (): Promise<boolean> => (await platform.get('/itens/1')).cacheStatus.includes('; hit;');
  await until('it is kept', isHit);

  proxy.cut();
  await until('the feed is not fresh', () => !platform.feed.isFresh());
  await database.pool.query(`update itens set nome = 'sem feed' where id = 1`);
  const away = await platform.get('/itens/1');
  assert.match(away.text, /sem feed/);
  assert.equal(away.cacheStatus, 'vazao; fwd=uri-miss; detail="not stored: not-fresh"');
  // Many at once cost one computation and, for those who asked after its snapshot was taken, one more.
  const before = platform.cache.figures().notStored;
  const first = platform.get('/devagar');
  await until('the first has read', () => hasRead);
  const others = Array.from({ length: 40 }, () => platform.get('/devagar'));
  await until('all have arrived', () => platform.cache.waiting('/devagar') === 40);
  opened.resolve();
  for (const { status } of await Promise.all([first, ...others])) assert.equal(status, 200);
  assert.equal(platform.cache.figures().notStored - before, 2);

  proxy.resume();
  await until('caching is back', isHit);
  assert.match((await platform.get('/itens/1')).text, /sem feed/);
});

test('a feed that hangs lets its lease run out', async () => {
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy(database.url);
  await using platform = await createTestPlatform(database, {
    schema: SCHEMA,
    feed: { connection: proxy.through(database.url), heartbeatMs: 50, leaseMs: 300 },
  });
  route(platform, '/itens', true);
  await platform.listen();
  await platform.get('/itens/1');
  proxy.pause();
  await database.pool.query(`update itens set nome = 'parado' where id = 1`);
  await until('the lease runs out', () => !platform.feed.isFresh());
  assert.match((await platform.get('/itens/1')).text, /parado/);
  proxy.resume();
  await until('caching is back', async () => (await platform.get('/itens/1')).cacheStatus.includes('; hit;'));
});

test('staleFor: while one recomputes, the others get the old answer, and then the new one', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA });
  let gate = Promise.resolve();
  route(platform, '/itens', { staleFor: '10s' }, () => gate);
  await platform.listen();
  await platform.get('/itens/1');
  const opened = Promise.withResolvers<void>();
  gate = opened.promise;
  await database.pool.query(`update itens set nome = 'novo' where id = 1`);
  await platform.settled();
  const leader = platform.get('/itens/1');
  await until('one recomputes', () => platform.cache.isFilling('/itens/1'));
  const stale = await platform.get('/itens/1');
  assert.match(stale.text, /item 1/);
  assert.match(stale.cacheStatus, /^vazao; hit; ttl=-\d+; detail="stale, refreshing"$/);
  opened.resolve();
  assert.match((await leader).text, /novo/);
  assert.match((await platform.get('/itens/1')).text, /novo/);
});

test('without staleFor the others wait for the new answer', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA });
  let gate = Promise.resolve();
  route(platform, '/itens', true, () => gate);
  await platform.listen();
  await platform.get('/itens/1');
  const opened = Promise.withResolvers<void>();
  gate = opened.promise;
  await database.pool.query(`update itens set nome = 'novo' where id = 1`);
  await platform.settled();
  const both = [platform.get('/itens/1'), platform.get('/itens/1')];
  await until('one recomputes', () => platform.cache.isFilling('/itens/1'));
  opened.resolve();
  for (const { text } of await Promise.all(both)) assert.match(text, /novo/);
});

test('staleIfError: a failing recomputation is answered with the old answer, for as long as the route allows', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA });
  let fails = false;
  const work = async (): Promise<void> => {
    if (fails) throw new Error('away');
  };
  route(platform, '/itens', { staleIfError: '1h' }, work);
  route(platform, '/sem', true, work);
  await platform.listen();
  await platform.get('/itens/1');
  await platform.get('/sem/1');
  fails = true;
  await database.pool.query(`update itens set nome = 'novo' where id = 1`);
  await platform.settled();
  const old = await platform.get('/itens/1');
  assert.equal(old.status, 200);
  assert.match(old.text, /item 1/);
  assert.match(old.cacheStatus, /^vazao; hit; fwd=stale; ttl=-\d+; detail="stale-if-error"$/);
  assert.equal((await platform.get('/sem/1')).status, 500);
  const carried = { 'vazao-position': old.headers.get('vazao-position') as string };
  assert.equal((await platform.get('/itens/1', carried)).status, 500, 'who carries a token is told nothing older');
  fails = false;
  assert.match((await platform.get('/itens/1')).text, /novo/);
});

test('a write whose wait runs out is answered all the same, with a token that makes the next read current', async () => {
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy(database.url);
  await using platform = await createTestPlatform(database, {
    schema: SCHEMA,
    feed: { connection: proxy.through(database.url), leaseMs: 60_000, silenceMs: 60_000 },
    plugin: { writeWaitMaxMs: 50, readWaitMaxMs: 20 },
  });
  route(platform, '/itens', true);
  platform.app.post('/itens/1', async () => {
    await platform.db.query(`update itens set nome = 'escrito' where id = 1`);
    return { ok: true };
  });
  const origin = await platform.listen();
  await platform.get('/itens/1');
  proxy.pause();
  const response = await fetch(`${origin}/itens/1`, { method: 'POST' });
  assert.equal(response.status, 200);
  const cookie = (response.headers.get('set-cookie') ?? '').split(';')[0] as string;
  const position = response.headers.get('vazao-position') as string;
  assert.match(cookie, /^vazao-position=/);
  assert.match((await platform.get('/itens/1')).text, /item 1/, 'without the token: as old as the feed');
  for (const headers of [{ cookie }, { 'vazao-position': position }] as Record<string, string>[]) {
    const read = await platform.get('/itens/1', headers);
    assert.match(read.text, /escrito/);
    assert.equal(read.cacheStatus, 'vazao; fwd=bypass; detail="position"');
  }
  proxy.resume();
  await until('the feed catches up', async () => (await platform.get('/itens/1')).text.includes('escrito'));
  await platform.get('/itens/1', { cookie });
  assert.match((await platform.get('/itens/1', { cookie })).cacheStatus, /; hit;/);
});

test('requests that wait for a computation that fails share its failure, and no later one does', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA });
  let calls = 0;
  const opened = Promise.withResolvers<void>();
  platform.app.get('/quebra', { config: { cache: true } }, async () => {
    calls++;
    await platform.db.query('select 1 from itens where id = 1');
    await opened.promise;
    throw new Error('quebrou');
  });
  await platform.listen();
  const answers = Array.from({ length: 10 }, () => platform.get('/quebra'));
  await until('all wait', () => platform.cache.figures().fillsRunning === 1 && calls === 1);
  await until('all have arrived', () => platform.cache.waiting('/quebra') === 9);
  opened.resolve();
  for (const { status } of await Promise.all(answers)) assert.equal(status, 500);
  assert.equal(calls, 1);
  assert.equal((await platform.get('/quebra')).status, 500);
  assert.equal(calls, 2);
});

test('an answer that outgrows the limit passes through whole, and is not stored', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA, plugin: { bodyMaxBytes: 1_000 } });
  platform.app.get('/grande', { config: { cache: true } }, async () => {
    await platform.db.query('select 1 from itens where id = 1');
    return 'x'.repeat(5_000);
  });
  platform.app.get('/fluxo', { config: { cache: true } }, async (_request, reply) => {
    await platform.db.query('select 1 from itens where id = 1');
    const { Readable } = await import('node:stream');
    return reply.type('text/plain').send(Readable.from(Array.from({ length: 20 }, (_, n) => `${n}`.padEnd(100, '.'))));
  });
  platform.app.get('/fluxo-pequeno', { config: { cache: true } }, async (_request, reply) => {
    await platform.db.query('select 1 from itens where id = 1');
    const { Readable } = await import('node:stream');
    return reply.type('text/plain').send(Readable.from(['a', 'b', 'ç']));
  });
  await platform.listen();
  for (let n = 0; n < 2; n++) {
    const big = await platform.get('/grande');
    assert.equal(big.text, 'x'.repeat(5_000));
    assert.match(big.cacheStatus, /too-large/);
    const stream = await platform.get('/fluxo');
    assert.equal(stream.text, Array.from({ length: 20 }, (_, k) => `${k}`.padEnd(100, '.')).join(''));
  }
  assert.equal((await platform.get('/fluxo-pequeno')).text, 'abç');
  const again = await platform.get('/fluxo-pequeno');
  assert.equal(again.text, 'abç');
  assert.match(again.cacheStatus, /; hit;/);
});

test('the answer of a client that went away is still there for those who wait', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA });
  const opened = Promise.withResolvers<void>();
  let calls = 0;
  route(platform, '/itens', true, async () => {
    calls++;
    await opened.promise;
  });
  const origin = await platform.listen();
  const leaving = new AbortController();
  const first = fetch(`${origin}/itens/3`, { signal: leaving.signal }).catch(() => 'gone');
  await until('the first computes', () => calls === 1);
  const second = platform.get('/itens/3');
  await until('the second waits', () => platform.cache.waiting('/itens/3') === 1);
  leaving.abort();
  assert.equal(await first, 'gone');
  opened.resolve();
  assert.match((await second).text, /item 3/);
  assert.equal(calls, 1);
});

test('who carries a token never goes back: a hit, a renewed cookie, and what is served past the cache', async () => {
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy(database.url);
  const plugin = { secret: 'both hosts', readWaitMaxMs: 20 };
  const lease = { leaseMs: 60_000, silenceMs: 60_000 };
  await using near = await createTestPlatform(database, { schema: SCHEMA, plugin });
  await using far = await createTestPlatform(database, {
    schema: 'select 1',
    feed: { connection: proxy.through(database.url), ...lease },
    plugin,
  });
  far.app.post('/itens/2', async () => (await far.db.query(`update itens set nome = 'escrito' where id = 2`)).rowCount);
  for (const platform of [near, far]) {
    route(platform, '/itens', true);
    await platform.listen();
    await platform.get('/itens/1');
  }
  const origin = far.app.listeningOrigin;
  const before = (await near.get('/itens/1')).headers.get('vazao-position');
  proxy.pause();
  await database.pool.query(`update itens set nome = 'novo' where id = 1`);
  await near.settled();
  await near.get('/itens/1');
  const hit = await near.get('/itens/1');
  assert.match(hit.cacheStatus, /; hit;/);
  const token = hit.headers.get('vazao-position') as string;
  assert.match((await far.get('/itens/1')).text, /item 1/, 'without a token: as old as its feed');

  const alone = await far.get('/itens/1', { 'vazao-position': token });
  assert.match(alone.text, /novo/);
  assert.equal(alone.cacheStatus, 'vazao; fwd=bypass; detail="position"');
  // What it showed past the cache counts as seen, too.
  assert.ok(alone.headers.get('vazao-position'));
  assert.equal(alone.headers.get('set-cookie'), null);
  const older = { cookie: `vazao-position=${before}` };
  assert.match((await near.get('/itens/1', older)).headers.get('set-cookie') ?? '', /^vazao-position=.{54}; Max-Age=/);
  const current = { cookie: `vazao-position=${token}` };
  assert.equal((await near.get('/itens/1', current)).headers.get('set-cookie'), null);
  proxy.resume();
  await until('the far feed catches up', async () => /novo/.test((await far.get('/itens/1')).text));
  assert.match((await far.get('/itens/1', { 'vazao-position': token })).cacheStatus, /; hit;/);
  // What was seen elsewhere is not forgotten for an older answer: the last token is the one that the client sends.
  const wrote = await fetch(`${origin}/itens/2`, { method: 'POST' });
  const later = wrote.headers.get('vazao-position') as string;
  const hitLater = await far.get('/itens/1', { 'vazao-position': later });
  assert.match(hitLater.cacheStatus, /; hit;/);
  assert.equal(hitLater.headers.get('vazao-position'), later);
  const forged = await far.get('/itens/1', { 'vazao-position': `A${token.slice(1)}` });
  assert.match(forged.cacheStatus, /; hit;/);
});

test('what ran outside the snapshot of its fill counts as seen, and so does what is not cached', async () => {
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy(database.url);
  await using platform = await createTestPlatform(database, {
    schema: SCHEMA,
    feed: { connection: proxy.through(database.url), leaseMs: 60_000, silenceMs: 60_000 },
    plugin: { answerWaitMaxMs: 300, readWaitMaxMs: 20 },
  });
  route(platform, '/itens', true);
  const { app, db } = platform;
  const name = async (): Promise<string> => (await db.query('select nome from itens where id = 1')).rows[0].nome;
  let between = async (): Promise<unknown> => undefined;
  app.get('/left', { config: { cache: true } }, async () => {
    await db.query('select 1 from itens where id = 2');
    await between();
    await db.query('select pg_backend_pid()'); // not proven to read: the fill is left
    return name();
  });
  await platform.listen();
  await platform.get('/itens/1');
  between = async () => {
    proxy.pause();
    await database.pool.query(`update itens set nome = 'novo' where id = 1`);
  };
  const startedAt = performance.now();
  const left = await platform.get('/left');
  assert.equal(left.text, 'novo');
  assert.match(left.cacheStatus, /not stored/);
  assert.ok(performance.now() - startedAt >= 290, 'it waits for the feed to tell what it shows');
  const token = left.headers.get('vazao-position') as string;
  assert.match(
    (await platform.get('/itens/1', { 'vazao-position': token })).text,
    /novo/,
    'its token says what it showed',
  );

  between = async () => undefined;
  const old = (await platform.get('/itens/2')).headers.get('vazao-position') as string;
  await database.pool.query(`update itens set nome = 'mais novo' where id = 1`);
  const passed = await platform.get('/left', { 'vazao-position': old });
  assert.match(passed.cacheStatus, /fwd=bypass/);
  assert.equal(passed.text, 'mais novo');
  const seen = passed.headers.get('vazao-position') as string;
  assert.match((await platform.get('/itens/1', { 'vazao-position': seen })).text, /mais novo/);
  proxy.resume();
});

test('staleIfError: who waited for the computation that failed gets the old answer, too', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA });
  let work = async (): Promise<void> => {};
  route(platform, '/itens', { staleIfError: '1h' }, () => work());
  await platform.listen();
  await platform.get('/itens/1');
  const opened = Promise.withResolvers<void>();
  work = () => opened.promise;
  await database.pool.query(`update itens set nome = 'novo' where id = 1`);
  await platform.settled();
  const both = [platform.get('/itens/1'), platform.get('/itens/1')];
  await until('one waits for the other', () => platform.cache.waiting('/itens/1') === 1);
  opened.reject(new Error('away'));
  for (const { status, cacheStatus } of await Promise.all(both)) {
    assert.equal(status, 200);
    assert.match(cacheStatus, /stale-if-error/);
  }
});
