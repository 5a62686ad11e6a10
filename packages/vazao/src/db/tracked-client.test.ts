import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { Cache } from '../cache/index.ts';
import { createFeed, type Feed, positionAt } from '../feed/index.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { startTestServer } from '../testing/server.ts';
import { currentContext, runInContext, trackWrites, type WorkContext } from './context.ts';
import { Pool } from './pool.ts';
import type { TrackedClient } from './tracked-client.ts';

/** What a piece of work tells of its writes, against what the feed delivers. */
describe('the position of a write', () => {
  let database: TestDatabase;
  let feed: Feed;
  let db: Pool;
  /** Position of each delivered commit that touches `t`, by the inserted ids. */
  const delivered = new Map<string, bigint>();
  let nextId = 1;

  before(async () => {
    database = await createTestDatabase();
    await database.pool.query(`
      create table t (id int primary key, v int unique deferrable initially deferred);
      create function writes(n int) returns int language sql volatile as 'insert into t values (n) returning id';
      create procedure commits(n int) language plpgsql as $$ begin insert into t values (n); commit; raise 'late'; end $$;`);
    feed = createFeed({ connection: database.url });
    feed.on('commit', (commit) => {
      for (const change of commit.changes) {
        if (change.kind === 'insert' && change.relation.name === 't')
          delivered.set(String(change.new[0]), commit.position);
      }
    });
    db = new Pool({ connectionString: database.url, max: 2, feed, cache: new Cache<unknown>({ feed }) });
    await feed.start();
    await db.prepare();
  });

  after(async () => {
    await db.end();
    await feed.close();
    await database[Symbol.asyncDispose]();
  });

  const onClient =
    (texts: (n: number) => string[]) =>
    async (n: number): Promise<void> => {
      const client = await db.connect();
      try {
        for (const text of texts(n)) await client.query(text).catch(() => {});
      } finally {
        client.release();
      }
    };
  const byCallback = (n: number): Promise<void> =>
    new Promise((resolve, reject) => {
      db.query('insert into t values ($1)', [n], (error: Error | undefined) => (error ? reject(error) : resolve()));
    });

  const writes: Record<string, (n: number) => Promise<unknown>> = {
    'one statement': (n) => db.query('insert into t values ($1)', [n]),
    'a callback': byCallback,
    'a function that writes': (n) => db.query('select writes($1)', [n]),
    'a WITH that writes': (n) => db.query('with w as (insert into t values ($1) returning id) select id from w', [n]),
    'several statements in one text': (n) => db.query(`select 1; insert into t values (${n}); select 2`),
    'several, of which the last fails after a COMMIT': onClient((n) => [
      `insert into t values (${n}); commit; select 1/0`,
    ]),
    'a procedure that commits and fails': onClient((n) => [`call commits(${n})`]),
    'a transaction': onClient((n) => ['begin', `insert into t values (${n})`, 'commit']),
    END: onClient((n) => ['start transaction', `insert into t values (${n})`, 'end']),
    'a transaction in one text': (n) => db.query(`begin; insert into t values (${n}); commit`),
    'a transaction with a savepoint undone': onClient((n) => [
      'begin',
      `insert into t values (${n})`,
      'savepoint s',
      'delete from t',
      'rollback to s',
      'commit',
    ]),
    'COMMIT AND CHAIN, then ROLLBACK': onClient((n) => [
      'begin',
      `insert into t values (${n})`,
      'commit and chain',
      'rollback',
    ]),
    'one text that commits and begins, then ROLLBACK': onClient((n) => [
      `insert into t values (${n}); commit; begin`,
      'rollback',
    ]),
    'a failed statement before': onClient((n) => ['insert into t values (null)', `insert into t values (${n})`]),
    'asynchronous commit': onClient((n) => [
      'begin',
      'set local synchronous_commit = off',
      `insert into t values (${n})`,
      'commit',
    ]),
    DO: (n) => db.query(`do $$ begin insert into t values (${n}); end $$`),
  };
  for (const [name, write] of Object.entries(writes)) {
    test(`${name}: is told, and lies behind the commit`, async () => {
      const n = nextId++;
      const { position } = await trackWrites(() => write(n));
      assert.ok(position > 0n, 'a position is told');
      assert.ok(await feed.waitFor(position, 5_000));
      const commit = delivered.get(String(n));
      assert.ok(commit !== undefined, 'the feed has delivered the write when it has passed the position');
      assert.ok(commit <= position);
    });
  }

  const nothing: Record<string, (n: number) => Promise<unknown>> = {
    'a read': () => db.query('select * from t'),
    'a read in a transaction': onClient(() => ['begin', 'select * from t', 'commit']),
    'what is rolled back': onClient((n) => ['begin', `insert into t values (${n})`, 'rollback']),
    'what fails': onClient(() => ['insert into t values (null)']),
    'COMMIT of a failed transaction': onClient(() => ['begin', 'insert into t values (null)', 'commit']),
    'COMMIT that fails': onClient((n) => ['begin', `insert into t values (${n}, 1), (-${n}, 1)`, 'commit']),
  };
  for (const [name, work] of Object.entries(nothing)) {
    test(`${name}: none is told, nor left for the next user of the connection`, async () => {
      assert.equal((await trackWrites(() => work(nextId++))).position, 0n);
      for (const _ of [1, 2]) assert.equal((await trackWrites(() => db.query('select 1'))).position, 0n);
    });
  }

  test('a result carries it, a read’s does not', async () => {
    await trackWrites(async () => {
      const { position } = await db.query('insert into t values ($1)', [nextId++]);
      assert.ok(position !== undefined && position <= positionAt(1, 0xffff_ffff_ffff_ffffn));
      assert.equal((await db.query('select 1')).position, undefined);
    });
  });

  test('counts for the work around it', async () => {
    const outer = await trackWrites(() => trackWrites(() => db.query('insert into t values ($1)', [nextId++])));
    assert.equal(outer.position, outer.result.position);
    assert.ok(outer.position > 0n);
  });

  const breakAfterNext = (client: pg.PoolClient, how: 'keep answer' | 'lose answer'): void => {
    client.on('error', () => {});
    const query = (client as unknown as { send(text: unknown): Promise<unknown> }).send.bind(client);
    Object.assign(client, {
      send: async (config: unknown) => {
        const result = await query(config);
        (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
        if (how === 'lose answer') throw new Error('Connection terminated unexpectedly');
        return result;
      },
    });
  };

  test('a connection that breaks before it can be asked does not make the write a failure, nor its position unknown', async () => {
    const client = await db.connect();
    const n = nextId++;
    breakAfterNext(client, 'keep answer');
    const { result, position } = await trackWrites(() => client.query('insert into t values ($1)', [n]));
    assert.equal(result.rowCount, 1);
    assert.ok(await feed.waitFor(position, 5_000));
    assert.ok((delivered.get(String(n)) as bigint) <= position);
    client.release(true);
  });

  test('a connection that breaks before the answer: the write may be committed, and its position is told', async () => {
    const client = await db.connect();
    const n = nextId++;
    breakAfterNext(client, 'lose answer');
    const { position } = await trackWrites(async () => {
      await assert.rejects(client.query('insert into t values ($1)', [n]), /terminated/);
    });
    assert.ok(await feed.waitFor(position, 5_000));
    assert.ok((delivered.get(String(n)) as bigint) <= position);
    client.release(true);
  });

  test('a transaction whose connection breaks fails, and so does what comes after it; nothing waits for its state', async () => {
    const breaks: Record<string, (client: pg.PoolClient, pid: number) => unknown> = {
      'the network': (client) => (client as unknown as TrackedClient).destroy(),
      'the server': (_, pid) => database.pool.query('select pg_terminate_backend($1)', [pid]),
    };
    for (const [name, breakIt] of Object.entries(breaks)) {
      const client = await db.connect();
      const { rows } = await client.query('select pg_backend_pid() as pid');
      await trackWrites(async () => {
        await client.query('begin');
        await client.query('insert into t values ($1)', [nextId++]);
        const waiting = client.query('select writes($1), pg_sleep(60)', [nextId++]);
        await Promise.all([assert.rejects(waiting, /terminat/, name), breakIt(client, rows[0].pid)]);
        await assert.rejects(async () => await client.query('rollback'), /connection/, name);
      });
      client.release(true);
    }
  });

  test('a callback runs in the context of its caller, whoever opened the connection', async () => {
    const contexts = [1, 2, 3, 4].map((): WorkContext => ({ fill: undefined, position: 0n }));
    const seen = contexts.map((context) =>
      runInContext(context, async () => {
        const byPool = new Promise((resolve) => db.query('select 1', () => resolve(currentContext() === context)));
        const byClient = new Promise((resolve) =>
          db.connect((_error, client, release) => {
            client?.query('select 1', () => {
              release();
              resolve(currentContext() === context);
            });
          }),
        );
        return Promise.all([byPool, byClient]);
      }),
    );
    assert.deepEqual((await Promise.all(seen)).flat(), Array(8).fill(true));
  });

  test('outside of any context the client is pg’s own', async () => {
    const { rows, position } = await db.query('insert into t values ($1) returning id', [nextId++]);
    assert.equal(rows.length, 1);
    assert.equal(position, undefined);
    const client = await db.connect();
    client.release();
    assert.ok(client instanceof pg.Client);
  });
});

test('COMMIT PREPARED tells the position of what was prepared, by whatever connection', async () => {
  const server = await startTestServer({ max_prepared_transactions: '2' });
  try {
    await using database = await createTestDatabase({ serverUrl: server.url });
    await database.pool.query('create table t (id int primary key)');
    await using feed = createFeed({ connection: database.url });
    const db = new Pool({ connectionString: database.url, max: 2, feed, cache: new Cache<unknown>({ feed }) });
    let delivered = 0n;
    feed.on('commit', (commit) => {
      delivered = commit.position;
    });
    await feed.start();
    await db.prepare();
    await database.pool.query(`begin; insert into t values (1); prepare transaction 'one'`);
    const { position } = await trackWrites(() => db.query(`commit prepared 'one'`));
    assert.ok(position > 0n, 'a position is told');
    assert.ok(await feed.waitFor(position, 5_000));
    assert.ok(delivered > 0n && delivered <= position);
    await db.end();
  } finally {
    await server.stop();
  }
});
