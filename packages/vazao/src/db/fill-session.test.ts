import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { eq } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { integer, pgTable } from 'drizzle-orm/pg-core';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { Cache } from '../cache/index.ts';
import { createFeed, type Feed, FLUSHED_POSITION_SQL, parsePosition, setReplicaIdentityFull } from '../feed/index.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { type Filled, runFill } from '../testing/run-fill.ts';
import { untilUnsuspected } from '../testing/unsuspected.ts';
import { currentContext, trackWrites } from './context.ts';
import { Pool } from './pool.ts';

describe('a fill', () => {
  let database: TestDatabase;
  let feed: Feed;
  let cache: Cache<unknown>;
  let db: Pool;
  let single: Pool;

  before(async () => {
    database = await createTestDatabase();
    await database.pool.query('create table t (id int primary key, v int not null)');
    const client = await database.client();
    await setReplicaIdentityFull(client, ['t']);
    feed = createFeed({ connection: database.url });
    cache = new Cache<unknown>({ feed });
    const options = { connectionString: database.url, cache, feed };
    db = new Pool({ ...options, max: 3 });
    single = new Pool({ ...options, max: 1 });
    await feed.start();
    await untilUnsuspected(feed);
    await Promise.all([db.prepare(), single.prepare()]);
  });

  beforeEach(async () => {
    await database.pool.query('truncate t; insert into t select n, n * 10 from generate_series(1, 9) n');
    await settled();
    cache.dropAll('epoch');
  });

  after(async () => {
    await Promise.all([db.end(), single.end()]);
    await feed.close();
    await database[Symbol.asyncDispose]();
  });

  /** The feed has told what others have committed. */
  const told = async (): Promise<void> => {
    const { rows } = await database.pool.query(`select ${FLUSHED_POSITION_SQL} as position`);
    assert.ok(await feed.waitFor(parsePosition(rows[0].position), 5_000));
  };

  const settled = async (): Promise<void> => {
    const { position } = await trackWrites(() => db.query("select pg_logical_emit_message(false, 'x', 'x')"));
    assert.ok(await feed.waitFor(position, 5_000));
  };

  const fill = (key: string, work: () => PromiseLike<unknown>, pool: Pool = db): Promise<Filled> =>
    runFill({ pool, cache, feed }, key, work);

  /** All connections are back, and none is left pipelined or in a transaction. */
  const assertClean = async (pool: Pool): Promise<void> => {
    const until = performance.now() + 60_000;
    while (pool.idleCount < pool.totalCount && performance.now() < until) await new Promise(setImmediate);
    assert.equal(pool.idleCount, pool.totalCount, 'every connection is back');
    const clients = await Promise.all(Array.from({ length: pool.totalCount }, () => pool.connect()));
    for (const client of clients) {
      assert.equal((client as unknown as { pipeline: boolean }).pipeline, false);
      assert.equal((client as unknown as { getTransactionStatus(): string }).getTransactionStatus(), 'I');
      assert.equal(client.listenerCount('error'), 1, 'no listener is left behind but its own');
      client.release();
    }
  };

  const readOne = async (pool: Pick<Pool, 'query'>, id: number): Promise<number> =>
    (await pool.query('select v from t where id = $1', [id])).rows[0]?.v;

  test('is kept until exactly its row changes', async () => {
    assert.deepEqual(await fill('/1', () => readOne(db, 1)), { value: 10, outcome: 'stored', position: 0n });
    await database.pool.query('update t set v = 0 where id = 2');
    await settled();
    assert.ok(cache.get('/1'));
    await database.pool.query('update t set v = 0 where id = 1');
    await settled();
    assert.equal(cache.get('/1'), undefined);
    await assertClean(db);
  });

  test('sees one moment, also with Promise.all', async () => {
    const { value, outcome } = await fill('/all', async () => {
      const first = await readOne(db, 1);
      await database.pool.query('update t set v = v + 1 where id in (1, 2, 3)');
      await told();
      return [first, ...(await Promise.all([1, 2, 3].map((id) => readOne(db, id))))];
    });
    assert.deepEqual(value, [10, 10, 20, 30]);
    assert.equal(outcome, 'changed');
    await assertClean(db);
  });

  for (const [name, connection] of [
    ['pool', () => db],
    ['pool of one connection', () => single],
  ] as const) {
    test(`a failing statement costs the others nothing but the fill (${name})`, async () => {
      const pool = connection();
      const { value, outcome } = await fill(
        '/fails',
        () => Promise.allSettled([readOne(pool, 1), pool.query('select 1 / (id - id) from t'), readOne(pool, 2)]),
        pool,
      );
      const [one, failed, two] = value as PromiseSettledResult<number>[];
      assert.equal(one?.status === 'fulfilled' && one.value, 10);
      assert.equal(two?.status === 'fulfilled' && two.value, 20);
      assert.equal(failed?.status === 'rejected' && failed.reason.code, '22012');
      assert.equal(outcome, 'statement-failed');
      await assertClean(pool);
    });

    test(`a write leaves the fill, and is seen by what follows (${name})`, async () => {
      const pool = connection();
      const filled = await fill(
        '/writes',
        async () => {
          await readOne(pool, 1);
          await pool.query('update t set v = 11 where id = 1');
          return readOne(pool, 1);
        },
        pool,
      );
      assert.equal(filled.value, 11);
      assert.equal(filled.outcome, 'write');
      assert.ok(filled.position > 0n);
      await assertClean(pool);
    });
  }

  test('a connection that is killed between two statements costs the fill, not the request', async () => {
    const { value, outcome } = await fill(
      '/killed',
      async () => {
        const first = await readOne(single, 1);
        await database.pool.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle in transaction' and datname = current_database()",
        );
        // A statement that is sent before the news is in meets the kill itself, as it may on any pool.
        const until = performance.now() + 60_000;
        while (currentContext()?.fill?.isOpen && performance.now() < until) await new Promise(setImmediate);
        return [first, await readOne(single, 2), await readOne(single, 3)];
      },
      single,
    );
    assert.deepEqual(value, [10, 20, 30]);
    assert.equal(outcome, 'connection-lost');
    await assertClean(single);
  });

  test('a connection that is killed under a statement gives pg’s error, and is replaced', async () => {
    const slow = 'select pg_sleep(30)';
    const plain = new pg.Client(database.url);
    plain.on('error', () => {});
    await plain.connect();
    const [expected] = await Promise.allSettled([plain.query(slow), kill(slow)]);
    // Long enough to be met while it runs, and proven to be a read.
    const long = 'select count(*) from generate_series(1, 1000000000) n, t';
    const [{ value, outcome }] = await Promise.all([
      fill('/killed-under', () => single.query(long), single),
      kill(long),
    ]);
    assert.equal(expected?.status, 'rejected');
    assert.equal((value as { code: string }).code, expected.reason.code);
    assert.equal((value as Error).message, expected.reason.message);
    assert.equal(outcome, 'statement-failed');
    assert.equal(await readOne(single, 1), 10);
    await assertClean(single);
  });

  const kill = async (text: string): Promise<void> => {
    for (let tries = 0; tries < 2_000; tries++) {
      const { rowCount } = await database.pool.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where state = 'active' and query = $1 and wait_event is distinct from 'ClientRead'",
        [text],
      );
      if (rowCount) return;
    }
    assert.fail('the statement was never seen');
  };

  test('what can’t be connected, and was never prepared, fails with pg’s error', async () => {
    const dead = new Pool({ host: '127.0.0.1', port: 1, cache, feed });
    const { value, outcome } = await fill('/dead', () => dead.query('select 1'), dead);
    assert.equal((value as { code: string }).code, 'ECONNREFUSED');
    assert.equal(outcome, 'catalog');
    await dead.end();
  });

  test('a session with other settings is served and not stored', async () => {
    await single.query("set timezone = 'Asia/Tokyo'");
    assert.equal((await fill('/zone', () => readOne(single, 1), single)).outcome, 'session-state');
    await single.query('reset timezone');
    assert.equal((await fill('/zone', () => readOne(single, 1), single)).outcome, 'stored');
    await single.query('set bytea_output = escape');
    assert.equal((await fill('/bytea', () => readOne(single, 1), single)).outcome, 'session-state');
    await single.query('reset bytea_output');
  });

  test('a session that came after a change of how values look is told from those before', async () => {
    for (const change of ["intervalstyle = 'sql_standard'", "lc_time = 'C'", 'transform_null_equals = on']) {
      const [name = '', value = ''] = change.split(' = ');
      const { rows } = await database.pool.query('select current_setting($1) as setting', [name]);
      if (`'${rows[0].setting}'` === value) continue; // as it was initialised
      const later = new Pool({ connectionString: database.url, max: 1, cache, feed });
      await later.prepare();
      assert.equal((await fill(`/${name}`, () => readOne(later, 1), later)).outcome, 'stored', name);
      await database.pool.query(`alter database ${database.name} set ${change}`);
      const client = await later.connect();
      client.release(true); // the next one is connected under the new setting
      assert.equal((await fill(`/${name}`, () => readOne(later, 1), later)).outcome, 'session-state', name);
      await database.pool.query(`alter database ${database.name} reset ${name}`);
      await later.end();
    }
  });

  test('a setting of the server that changes does not end the caching', async () => {
    await database.pool.query(`alter database ${database.name} set work_mem = '7MB'`);
    const later = new Pool({ connectionString: database.url, max: 1, cache, feed });
    await later.prepare();
    await database.pool.query(`alter database ${database.name} set work_mem = '8MB'`);
    const client = await later.connect();
    client.release(true); // the next one is connected under the new setting
    assert.equal((await fill('/work-mem', () => readOne(later, 1), later)).outcome, 'stored');
    await later.end();
  });

  test('statements in the care of trackWrites are read for the fill, and its writes count for the request', async () => {
    const read = await fill('/tracked', async () => (await trackWrites(() => readOne(db, 1))).result);
    assert.equal(read.outcome, 'stored');
    await database.pool.query('update t set v = 0 where id = 1');
    await settled();
    assert.equal(cache.get('/tracked'), undefined, 'the row was read for the fill');
    const write = await fill('/tracked', () => trackWrites(() => db.query('delete from t where id = 1')));
    assert.equal(write.outcome, 'write');
    assert.ok(write.position > 0n);
  });

  test('statements after the answer go to the pool', async () => {
    let late: Promise<number> | undefined;
    let go: (() => void) | undefined;
    const signal = new Promise<void>((resolve) => {
      go = resolve;
    });
    const { outcome } = await fill('/late', async () => {
      const value = await readOne(db, 1);
      late = signal.then(() => readOne(db, 2));
      return value;
    });
    assert.equal(outcome, 'stored');
    go?.();
    assert.equal(await late, 20);
    assert.equal(cache.get('/late')?.statements.length, 1);
    await assertClean(db);
  });

  test('named statements, arrays of rows, template objects and callbacks are cached too', async () => {
    class Template {
      readonly #id = 3;
      get text(): string {
        return 'select v from t where id = $1';
      }
      get values(): unknown[] {
        return [this.#id];
      }
    }
    for (let turn = 0; turn < 2; turn++) {
      const { value, outcome } = await fill(`/forms${turn}`, async () => [
        (await db.query({ name: 'named', text: 'select v from t where id = $1', values: [1] })).rows,
        (await db.query({ rowMode: 'array', text: 'select v from t where id = 2' })).rows,
        (await db.query(new Template() as unknown as pg.QueryConfig)).rows,
        await new Promise((resolve, reject) => {
          db.query('select v from t where id = 4', (error: Error | undefined, result: pg.QueryResult) =>
            error ? reject(error) : resolve(result.rows),
          );
        }),
      ]);
      assert.deepEqual(value, [[{ v: 10 }], [[20]], [{ v: 30 }], [{ v: 40 }]]);
      assert.equal(outcome, 'stored');
      assert.equal(cache.get(`/forms${turn}`)?.statements.length, 4);
    }
  });

  test('what pg refuses is refused in its words', async () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    const wrong: unknown[][] = [
      ['select 1', 'x'],
      ['select v from t where id = $1', [circular]],
      [undefined],
      [{ values: [1] }],
      ['select nothing from nowhere'],
      ['select v from t where id = $1', ['x']],
      ['selec'],
    ];
    for (const args of wrong) {
      const attempt = (pool: pg.Pool): Promise<Error> =>
        (pool.query as unknown as (...args: unknown[]) => Promise<never>).call(pool, ...args).then(
          () => assert.fail(`${JSON.stringify(args[0])} went through`),
          (error) => error,
        );
      const expected = await attempt(database.pool);
      assert.equal((await attempt(db)).message, expected.message);
      const { value } = await fill('/wrong', () => attempt(db));
      assert.equal((value as Error).message, expected.message);
    }
    await assertClean(db);
  });

  test('Kysely: cached and dropped exactly; a transaction that writes is not stored', async () => {
    const kysely = new Kysely<{ t: { id: number; v: number } }>({ dialect: new PostgresDialect({ pool: db }) });
    const read = (id: number): Promise<{ v: number }> =>
      kysely.selectFrom('t').select('v').where('id', '=', id).executeTakeFirstOrThrow();
    assert.deepEqual(await read(1), { v: 10 });
    await assertCachedExactly(() => read(1));
    const { value, outcome } = await fill('/kysely-trx', () =>
      kysely.transaction().execute(async (trx) => {
        await trx.updateTable('t').set({ v: 77 }).where('id', '=', 5).execute();
        return trx.selectFrom('t').select('v').where('id', '=', 5).executeTakeFirst();
      }),
    );
    assert.deepEqual([value, outcome], [{ v: 77 }, 'write']);
    const failed = await fill('/kysely-rollback', () =>
      kysely.transaction().execute(async (trx) => {
        await trx.deleteFrom('t').execute();
        throw new Error('back');
      }),
    );
    assert.equal((failed.value as Error).message, 'back');
    assert.equal(await readOne(db, 5), 77);
    await assertClean(db);
  });

  test('Drizzle: cached and dropped exactly; a transaction that writes is not stored', async () => {
    const t = pgTable('t', { id: integer().primaryKey(), v: integer().notNull() });
    const orm = drizzle(db);
    const read = (id: number): PromiseLike<unknown> => orm.select({ v: t.v }).from(t).where(eq(t.id, id));
    assert.deepEqual(await read(1), [{ v: 10 }]);
    await assertCachedExactly(() => read(1));
    const { value, outcome, position } = await fill('/drizzle-trx', () =>
      orm.transaction(async (trx) => {
        await trx.update(t).set({ v: 78 }).where(eq(t.id, 6));
        return trx.select().from(t).where(eq(t.id, 6));
      }),
    );
    assert.deepEqual([value, outcome], [[{ id: 6, v: 78 }], 'write']);
    assert.ok(position > 0n);
    await assertClean(db);
  });

  const assertCachedExactly = async (read: () => PromiseLike<unknown>): Promise<void> => {
    assert.equal((await fill('/exact', read)).outcome, 'stored');
    await database.pool.query('update t set v = v + 1 where id = 2');
    await settled();
    assert.ok(cache.get('/exact'), 'another row does not concern it');
    await database.pool.query('update t set v = v + 1 where id = 1');
    await settled();
    assert.equal(cache.get('/exact'), undefined);
  };
});
