/** What a client carries after an answer that shows more than the request has written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestDatabase } from '../testing/database.ts';
import { createTestPlatform, type TestPlatform } from '../testing/platform.ts';
import { POSITION_HEADER, PositionTokens } from './position-token.ts';

const SCHEMA = `create table itens (id int primary key, nome text not null); insert into itens values (1, 'um'), (2, 'dois')`;
const SECRET = 'a secret of at least thirty-two characters';
const tokens = new PositionTokens(SECRET);

function positionOf(token: string | null | undefined): bigint {
  const position = tokens.find([POSITION_HEADER, token ?? ''])?.position;
  assert.ok(position !== undefined, `a token: ${token}`);
  return position;
}

/** Of the cookie, of which there must be one, and of the header. */
function carriedAfter({ headers }: Response): { cookie: bigint; header: bigint } {
  const cookies = headers.getSetCookie().filter((field) => tokens.isCookie(field));
  assert.equal(cookies.length, 1, `one cookie: ${headers.getSetCookie()}`);
  const [pair = ''] = (cookies[0] ?? '').split(';');
  return { cookie: positionOf(pair.split('=')[1]), header: positionOf(headers.get(POSITION_HEADER)) };
}

async function createApp(database: Awaited<ReturnType<typeof createTestDatabase>>): Promise<TestPlatform> {
  return createTestPlatform(database, { schema: SCHEMA, plugin: { secret: SECRET } });
}

test('a cached route that may have written gives one cookie, for all that its answer shows', async () => {
  await using database = await createTestDatabase();
  await using platform = await createApp(database);
  const { app, db } = platform;
  const others = async (): Promise<bigint> => {
    await database.pool.query(`update itens set nome = nome || '!' where id = 1`);
    return db.readPosition();
  };
  let committed = 0n;
  app.get('/item', { config: { cache: true } }, async (request, reply) => {
    const { stays } = request.query as { stays?: string };
    await db.query('do $$ begin end $$'); // of unknown effect: it may have written
    committed = await others();
    if (stays !== undefined) reply.header('set-cookie', 'own=1');
    return (await db.query('select nome from itens where id = 1')).rows;
  });
  const origin = await platform.listen();
  const old = tokens.cookie(tokens.format(1n)).split(';')[0] ?? '';
  // The first time it is a fill, then it passes by the cache.
  for (const headers of [{}, { cookie: old }, { cookie: old }, { [POSITION_HEADER]: tokens.format(1n) }]) {
    for (const path of ['/item', '/item?stays']) {
      const answer = await fetch(`${origin}${path}`, { headers });
      await answer.text();
      const { cookie, header } = carriedAfter(answer);
      assert.equal(cookie, header);
      assert.ok(cookie >= committed, `${cookie} is after ${committed}`);
      const isKept = answer.headers.getSetCookie().includes('own=1');
      assert.equal(isKept, path.endsWith('stays'), 'a cookie of the application stays');
    }
  }
});

test("the application's cookies stay beside ours in an answer that could not be kept this once", async () => {
  await using database = await createTestDatabase();
  await using platform = await createApp(database);
  const { app, db } = platform;
  app.get('/item', { config: { cache: true } }, async (_request, reply) => {
    await db.query('select 1 / 0').catch(() => {});
    reply.header('set-cookie', ['own=1', 'other=2']);
    return (await db.query('select nome from itens where id = 1')).rows;
  });
  await platform.listen();
  const cookie = tokens.cookie(tokens.format(1n));
  const { headers, cacheStatus } = await platform.get('/item', { cookie });
  assert.match(cacheStatus, /statement-failed/);
  const cookies = headers.getSetCookie();
  assert.deepEqual(
    cookies.filter((field) => !tokens.isCookie(field)),
    ['own=1', 'other=2'],
  );
  assert.equal(cookies.length, 3);
});

test('a write whose answer shows what others have committed since is carried with that', async () => {
  await using database = await createTestDatabase();
  await using platform = await createApp(database);
  const { app, db } = platform;
  let committed = 0n;
  const others = async (): Promise<void> => {
    await database.pool.query(`update itens set nome = nome || '!' where id = 2`);
    committed = await db.readPosition();
  };
  const write = `update itens set nome = 'a' where id = 1`;
  const read = 'select nome from itens where id = 2';
  const lock = await database.client();
  app.post('/depois', async () => {
    await db.query(write);
    await others();
    return (await db.query(read)).rows;
  });
  app.post('/outra-conexao', async () => {
    await db.query(write);
    const client = await db.connect();
    try {
      await others();
      return (await client.query(read)).rows;
    } finally {
      client.release();
    }
  });
  app.post('/ao-mesmo-tempo', async () => {
    await lock.query('select pg_advisory_lock(1)');
    const reading = db.query('select nome, pg_advisory_xact_lock(1)::text from itens where id = 2');
    await db.query(write);
    await others();
    await lock.query('select pg_advisory_unlock(1)');
    return (await reading).rows;
  });
  const origin = await platform.listen();
  for (const path of ['/depois', '/outra-conexao', '/ao-mesmo-tempo']) {
    const answer = await fetch(`${origin}${path}`, { method: 'POST' });
    await answer.text();
    const { cookie, header } = carriedAfter(answer);
    assert.equal(cookie, header);
    assert.ok(cookie >= committed, `${path}: ${cookie} is after ${committed}`);
  }
});
