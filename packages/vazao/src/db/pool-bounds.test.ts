/** Bounds on waiting and on statements, with PostgreSQL as the judge. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cache } from '../cache/index.ts';
import { createFeed, UNKNOWN_POSITION } from '../feed/index.ts';
import { until } from '../testing/cached-app.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { Pool } from './pool.ts';
import type { PoolBounds } from './pool-bounds.ts';

async function createPool(
  database: TestDatabase,
  bounds: PoolBounds,
): Promise<AsyncDisposable & { pool: Pool; cache: Cache<unknown> }> {
  await database.pool.query('create table if not exists t (id int primary key)');
  const feed = createFeed({ connection: database.url });
  const cache = new Cache<unknown>({ feed });
  const pool = new Pool({ connectionString: database.url, max: 2, bounds, cache, feed });
  pool.on('error', () => {});
  await feed.start();
  await pool.prepare();
  return {
    pool,
    cache,
    async [Symbol.asyncDispose]() {
      await pool.end();
      await feed.close();
    },
  };
}

const code = (expected: string) => (error: { code?: string }) => error.code === expected;

test('who waits too long for a connection is told so, and who finds too many waiting at once', async () => {
  await using database = await createTestDatabase();
  await using bounded = await createPool(database, { waitMs: 2_000, waitingMax: 3 });
  const { pool } = bounded;
  const held = [await pool.connect(), await pool.connect()];
  const waiting = [pool.query('select 1'), pool.query('select 1'), pool.connect()].map((one) =>
    (one as Promise<unknown>).then(
      () => 'had one',
      (error) => error,
    ),
  );
  // Both ways in, and not one more.
  await assert.rejects(pool.query('select 1'), (error: Error & { code?: string; statusCode?: number }) => {
    assert.equal(error.code, 'ERR_DB_POOL_BUSY');
    assert.equal(error.statusCode, 503);
    assert.match(error.message, /^3 wait for one of the 2 connections/);
    return true;
  });
  await assert.rejects(pool.connect(), code('ERR_DB_POOL_BUSY'));
  await assert.rejects(pool.readPosition(), code('ERR_DB_POOL_BUSY'));
  for (const one of await Promise.all(waiting)) {
    assert.equal((one as { code?: string }).code, 'ERR_DB_POOL_BUSY');
    assert.match((one as Error).message, /None of the 2 connections .* within 2000 ms/);
  }
  for (const client of held) client.release();
  assert.equal((await pool.query('select 1 as one')).rows[0].one, 1, 'and goes on');
});

test('how far the log was when something left untold is asked although the line is full', async () => {
  await using database = await createTestDatabase();
  await using bounded = await createPool(database, { waitMs: 60_000, waitingMax: 3 });
  const { pool, cache } = bounded;
  const held = [await pool.connect(), await pool.connect()];
  const waiting = Array.from({ length: 3 }, () => pool.query('select 1'));
  cache.noteUntold(UNKNOWN_POSITION);
  await until('it waits, too', () => pool.waitingCount === 4);
  assert.equal(cache.isFresh(), false);
  for (const client of held) client.release();
  await Promise.all(waiting);
  await until('it is told', () => cache.isFresh());
});

test('a statement, a transaction that idles, and one that lasts are ended by PostgreSQL', async () => {
  await using database = await createTestDatabase();
  await using bounded = await createPool(database, {
    statementMs: 2_000,
    idleInTransactionMs: 300,
    transactionMs: 900,
  });
  const { pool } = bounded;
  await assert.rejects(pool.query('select pg_sleep(20)'), (error: { code?: string }) =>
    ['57014', '25P04'].includes(error.code ?? ''),
  );
  const settings = await pool.query(
    `select name, setting from pg_settings where name in ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout') order by name`,
  );
  const { rows: known } = await pool.query("select 1 from pg_settings where name = 'transaction_timeout'");
  assert.deepEqual(settings.rows, [
    { name: 'idle_in_transaction_session_timeout', setting: '300' },
    { name: 'statement_timeout', setting: '2000' },
    // Servers before 17 have none.
    ...known.map(() => ({ name: 'transaction_timeout', setting: '900' })),
  ]);
  const client = await pool.connect();
  const ended = new Promise<Error>((resolve) => client.once('error', resolve));
  await client.query('begin');
  assert.equal(((await ended) as { code?: string }).code, '25P03');
  client.release(true);
});
