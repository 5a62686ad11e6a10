/** What left while the feed was silent, and a feed that then proves less than that. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { until } from '../testing/cached-app.ts';
import { createTestDatabase } from '../testing/database.ts';
import { createLateFeed, type LateFeed } from '../testing/late-feed.ts';
import { createTestPlatform, type TestPlatform } from '../testing/platform.ts';

const SCHEMA = `create table itens (id int primary key, nome text not null); insert into itens values (1, 'um')`;

type Read = () => Promise<string>;
interface Steps {
  /** Of the streamed answer, before its end. */
  between: (read: Read) => Promise<string>;
  /** Of each answer, when what it shows has been looked at. */
  leaving: () => void;
}

async function withPlatform(
  work: (platform: TestPlatform, late: LateFeed, write: () => Promise<void>, steps: Steps) => Promise<void>,
): Promise<void> {
  const steps: Steps = { between: (read) => read(), leaving: () => {} };
  await using database = await createTestDatabase();
  const late = createLateFeed();
  await using platform = await createTestPlatform(database, {
    schema: SCHEMA,
    wrapFeed: late.wrap,
    plugin: { answerWaitMaxMs: 300 },
  });
  const { app, db } = platform;
  const read: Read = async () => (await db.query('select nome from itens where id = 1')).rows[0].nome;
  app.get('/item', { config: { cache: true } }, read);
  app.get('/outro', { config: { cache: true } }, read);
  app.addHook('onSend', async () => steps.leaving());
  app.get('/uncached', read);
  app.get('/stamped', { config: { cache: true } }, async () => {
    const { rows } = await db.query('select nome, clock_timestamp() as agora from itens where id = 1');
    return rows[0].nome;
  });
  app.get('/large', { config: { cache: true } }, async () => `${await read()}${' '.repeat(2_000_000)}`);
  app.get('/streamed', async (_request, reply) => {
    const parts = async function* (): AsyncGenerator<string> {
      yield 'parte ';
      yield await steps.between(read);
    };
    return reply.type('text/plain').send(Readable.from(parts()));
  });
  app.post('/item', async () => {
    await db.query(`update itens set nome = 'novo' where id = 1`);
    return 'feito';
  });
  await platform.listen();
  // Noted as what is not to be kept: from here on it is computed past the cache.
  for (const path of ['/stamped', '/large']) await platform.get(path);
  assert.match((await platform.get('/stamped')).cacheStatus, /bypass/);
  for (const path of ['/item', '/outro']) {
    await platform.get(path);
    assert.match((await platform.get(path)).cacheStatus, /; hit/);
  }
  const write = async (): Promise<void> =>
    void (await database.pool.query(`update itens set nome = 'novo' where id = 1`));
  await work(platform, late, write, steps);
  steps.leaving = () => {};
  late.letGo();
  await until('hits again, of what is new', async () => {
    const { text, cacheStatus } = await platform.get('/item');
    return /; hit/.test(cacheStatus) && text === 'novo';
  });
}

test('who has seen something new while the feed was silent is shown nothing older when it speaks again', () =>
  withPlatform(async (platform, late, write) => {
    late.hold();
    await write();
    assert.equal((await platform.get('/item')).text, 'novo');
    late.proveWhatWas();
    for (const path of ['/item', '/outro']) assert.equal((await platform.get(path)).text, 'novo', path);
  }));

for (const path of ['/uncached', '/stamped', '/large'])
  test(`who has seen it in ${path}, which is not kept, is shown nothing older either`, () =>
    withPlatform(async (platform, late, write, steps) => {
      late.hold();
      await write();
      steps.leaving = () => late.proveWhatWas();
      assert.match((await platform.get(path)).text, /novo/);
      for (const kept of ['/item', '/outro']) assert.equal((await platform.get(kept)).text, 'novo', kept);
    }));

test('nor who has seen it at the end of an answer that began while the feed spoke', () =>
  withPlatform(async (platform, late, write, steps) => {
    steps.between = async (read) => {
      late.hold();
      await write();
      return read();
    };
    assert.equal((await platform.get('/streamed')).text, 'parte novo');
    late.proveWhatWas();
    for (const kept of ['/item', '/outro']) assert.equal((await platform.get(kept)).text, 'novo', kept);
  }));

test('who has written while the feed was silent is shown it when it speaks again', () =>
  withPlatform(async (platform, late, _write, steps) => {
    late.hold();
    steps.leaving = () => late.proveWhatWas();
    const written = await fetch(`${platform.origin}/item`, { method: 'POST' });
    assert.equal(await written.text(), 'feito');
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

test('a part of the answer to a write is held back as well, though it is computed past the cache', async () => {
  await using database = await createTestDatabase();
  const late = createLateFeed();
  await using platform = await createTestPlatform(database, { schema: SCHEMA, wrapFeed: late.wrap });
  const { app, db } = platform;
  let computed = 0;
  let isHeld = true;
  let wasShownHeld: boolean | undefined;
  app.get('/part', { config: { cache: true } }, async () => {
    computed++;
    return (await db.query('select nome from itens where id = 1')).rows[0].nome;
  });
  app.get('/uncached', async () => 'x');
  app.post('/whole', async () => {
    await db.query(`update itens set nome = 'novo' where id = 1`);
    const { body } = await app.inject('/part');
    wasShownHeld = isHeld;
    return body;
  });
  await platform.listen();
  late.hold();
  late.proveWhatWas(); // it speaks, and is behind
  const posted = fetch(`${platform.origin}/whole`, { method: 'POST' });
  await until('the part is computed', () => computed === 1);
  await platform.get('/uncached');
  isHeld = false;
  late.letGo();
  assert.equal(await (await posted).text(), 'novo');
  assert.equal(wasShownHeld, false);
});
