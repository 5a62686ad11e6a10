import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { Cache, Fill } from '../cache/index.ts';
import { createFeed, type Feed } from '../feed/index.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { untilUnsuspected } from '../testing/unsuspected.ts';
import { runInContext } from './context.ts';
import type { FillSession } from './fill-session.ts';
import { Pool } from './pool.ts';

const START = { atMs: 0, epoch: 1, generation: 0, neededAfter: 0, suspects: new Set<bigint>(), isUntold: false };

/** Sends itself, as pg-cursor and pg-query-stream do, through pg's own query. */
class Submitted extends EventEmitter {
  readonly done: Promise<unknown>;
  readonly #query: pg.Query;

  constructor(text: string) {
    super();
    this.#query = new pg.Query(text);
    this.done = new Promise((resolve, reject) => {
      Object.assign(this.#query, {
        callback: (error: Error | null, result: unknown) => (error ? reject(error) : resolve(result)),
      });
    });
    // pg talks to whatever it was given: each of its messages goes on.
    for (const name of [
      'submit',
      'handleRowDescription',
      'handleDataRow',
      'handleCommandComplete',
      'handleReadyForQuery',
      'handleError',
    ]) {
      Object.assign(this, {
        [name]: (...args: unknown[]) =>
          (this.#query as unknown as Record<string, (...args: unknown[]) => unknown>)[name]?.(...args),
      });
    }
  }
}

describe('a pool', () => {
  let database: TestDatabase;
  let feed: Feed;
  let db: Pool;

  before(async () => {
    database = await createTestDatabase();
    await database.pool.query('create table t (id int primary key); insert into t values (1)');
    feed = createFeed({ connection: database.url });
    db = new Pool({ connectionString: database.url, max: 2, feed, cache: new Cache<unknown>({ feed }) });
    await feed.start();
    await untilUnsuspected(feed);
    await db.prepare();
  });

  after(async () => {
    await db.end();
    await feed.close();
    await database[Symbol.asyncDispose]();
  });

  const inFill = async (work: (session: FillSession) => Promise<void>): Promise<Fill<unknown>> => {
    const fill = new Fill<unknown>('/', START);
    const session = db.openSession(fill);
    await runInContext({ fill: session, position: 0n }, () => work(session));
    session.close();
    return fill;
  };

  /** What somebody who checks out a client can tell: on pg's pool, on ours, and on ours inside a fill. */
  const observe = async (pool: pg.Pool): Promise<unknown[]> => {
    const seen: unknown[] = [];
    const client = await pool.connect();
    seen.push(
      (await client.query('select id from t')).rows,
      client.escapeLiteral("o'x"),
      client.escapeIdentifier('a"b'),
    );
    client.release();
    try {
      client.release();
    } catch (error) {
      seen.push((error as Error).message);
    }
    let isCalled = false;
    const byCallback = new Promise((resolve) => {
      pool.connect((error, client, release) => {
        isCalled = true;
        client?.query('select 2 as n', (queryError, result) => {
          release();
          resolve([error ?? undefined, queryError ?? undefined, result.rows]);
        });
      });
    });
    seen.push(isCalled, await byCallback);
    seen.push(await pool.query({ text: 'select 1', rowMode: 'array' }).then(({ rows }) => rows));
    // Last, for a failure ends the care of a fill.
    seen.push(await pool.query('select nothing').catch((error) => [error.code, error.message, error.position]));
    return seen;
  };

  test('behaves as pg’s own to whoever checks out a client, also inside a fill', async () => {
    const expected = await observe(database.pool);
    assert.deepEqual(await observe(db), expected);
    let seen: unknown;
    await inFill(async () => {
      seen = await observe(db);
    });
    assert.deepEqual(seen, expected);
    assert.ok(db instanceof pg.Pool);
  });

  test('a connection that breaks while it is held is told by the next statement, and ends no process', async () => {
    const client = await db.connect();
    const { rows } = await client.query('select pg_backend_pid() as pid');
    const ended = new Promise((resolve) => client.once('end', resolve));
    await database.pool.query('select pg_terminate_backend($1)', [rows[0].pid]);
    await ended;
    await assert.rejects(client.query('select 1'), /not queryable|closed/);
    client.release();
    const { rows: others } = await db.query('select 1 as one');
    assert.equal(others[0].one, 1);
  });

  test('what submits itself runs on a connection of its own and ends the care', async () => {
    const fill = await inFill(async () => {
      const client = await db.connect();
      const submitted = new Submitted('select id from t');
      assert.equal(client.query(submitted as never), submitted);
      assert.equal(((await submitted.done) as pg.QueryResult).rowCount, 1);
      client.release();
      assert.throws(() => client.query('select 1'), /released to the pool/);
    });
    assert.equal(fill.notStored?.code, 'cursor');
  });

  test('a client that left the fill is one connection, with its transaction and its events', async () => {
    const fill = await inFill(async () => {
      const client = await db.connect();
      const notices: unknown[] = [];
      client.on('notice', (notice) => notices.push(notice.message));
      await client.query('begin');
      await client.query('create temporary table mine (n int) on commit drop');
      await client.query('insert into mine values (1)');
      await client.query("do $$ begin raise notice 'hello'; end $$");
      assert.equal((await client.query('select * from mine')).rowCount, 1);
      await client.query('rollback');
      client.release();
      assert.deepEqual(notices, ['hello']);
    });
    assert.equal(fill.notStored?.code, 'command');
  });

  test('statements read in portions go elsewhere', async () => {
    const fill = await inFill(async () => {
      const { rows } = await db.query({ text: 'select n from generate_series(1, 5) n', rows: 2 } as pg.QueryConfig);
      assert.equal(rows.length, 5);
    });
    assert.equal(fill.notStored?.code, 'cursor');
  });

  test('many fills on few connections all end, and give them back', async () => {
    const fills = Array.from({ length: 50 }, (_, n) =>
      inFill(async () => {
        await db.query('select id from t where id = $1', [n]);
        if (n % 3 === 0) await db.query('update t set id = id where id = 0');
        if (n % 5 === 0) await db.query('select 1 / 0').catch(() => {});
      }),
    );
    await Promise.all(fills);
    while (db.idleCount < db.totalCount) await new Promise(setImmediate);
    assert.ok(db.totalCount <= 2);
    assert.equal(db.waitingCount, 0);
  });

  test('ends when its last fill does', async () => {
    const pool = new Pool({ connectionString: database.url, max: 1, feed, cache: new Cache<unknown>({ feed }) });
    await pool.prepare();
    const session = pool.openSession(new Fill<unknown>('/', START));
    await runInContext({ fill: session, position: 0n }, () => pool.query('select id from t'));
    const ended = pool.end();
    session.close();
    await ended;
    assert.equal(pool.totalCount, 0);
  });

  test('the catalog is read again after each change of the schema, also while it is being read', async () => {
    const pool = new Pool({ connectionString: database.url, max: 2, feed, cache: new Cache<unknown>({ feed }) });
    const prepared = pool.prepare();
    for (let n = 0; n < 5; n++) await database.pool.query(`create table late_${n} (id int primary key)`);
    await prepared;
    const until = performance.now() + 60_000;
    while (pool.analyzer?.template('select * from late_4').terms.length !== 1) {
      assert.ok(performance.now() < until, 'the last table is known');
      await new Promise(setImmediate);
    }
    await pool.end();
  });
});
