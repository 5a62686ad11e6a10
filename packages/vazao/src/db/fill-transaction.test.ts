/** Transactions of a handler within a fill, and the settings of tenants in them. The oracle is PostgreSQL without us. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sql as drizzleSql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { until } from '../testing/cached-app.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { createTestPlatform, type TestPlatform } from '../testing/platform.ts';

const SCHEMA = `
  create table pedidos (id int primary key, inquilino text not null, valor int not null);
  insert into pedidos select n, case when n % 2 = 0 then 'par' else 'impar' end, n * 10 from generate_series(1, 6) n;
  create function inquilino() returns text language sql stable as $$ select current_setting('app.inquilino', true) $$;
  alter table pedidos enable row level security;
  create policy do_inquilino on pedidos using (inquilino = inquilino());`;
const SET = `select set_config('app.inquilino', $1, true)`;
const READ = 'select id, valor from pedidos order by id';

type Client = Pick<pg.PoolClient, 'query' | 'release'>;

describe('a transaction within a fill', () => {
  let database: TestDatabase;
  let platform: TestPlatform;
  let asPool: string;
  let other: TestPlatform | undefined;
  let runs = 0;

  before(async () => {
    database = await createTestDatabase();
    const role = `${database.name}_app`;
    await database.pool.query(`create role ${role} login password 'app'`);
    const url = new URL(database.url);
    url.username = role;
    url.password = 'app';
    asPool = url.href;
    // The row-level security is for who is neither superuser nor owner.
    await database.pool.query(`alter default privileges grant select, insert, update on tables to ${role}`);
    platform = await createTestPlatform(database, { schema: SCHEMA, pool: { connectionString: asPool } });
    const { app, db } = platform;
    const tenant = (request: { headers: Record<string, unknown> }): string => String(request.headers['x-inquilino']);
    const kysely = new Kysely({ dialect: new PostgresDialect({ pool: db }) });
    const orm = drizzle(db);
    const cached = { config: { cache: true } } as const;
    app.get('/pg', cached, async (request) => {
      const client = await db.connect();
      try {
        await client.query('begin');
        await client.query(SET, [tenant(request)]);
        const { rows } = await client.query(READ);
        await client.query('commit');
        return rows;
      } finally {
        client.release();
      }
    });
    app.get('/kysely', cached, (request) =>
      kysely.transaction().execute(async (trx) => {
        await sql`select set_config('app.inquilino', ${tenant(request)}, true)`.execute(trx);
        return (await sql`select id, valor from pedidos order by id`.execute(trx)).rows;
      }),
    );
    app.get('/drizzle', cached, (request) =>
      orm.transaction(async (trx) => {
        await trx.execute(drizzleSql`select set_config('app.inquilino', ${tenant(request)}, true)`);
        return (await trx.execute(drizzleSql`select id, valor from pedidos order by id`)).rows;
      }),
    );
    app.get('/ninguem', cached, async () => (await db.query(READ)).rows);
    app.get('/dois', cached, async () => {
      const read = async (name: string): Promise<unknown[]> => {
        const client = await db.connect();
        await client.query('begin');
        await client.query(SET, [name]);
        const { rows } = await client.query(READ);
        await client.query('commit');
        client.release();
        return rows;
      };
      return Promise.all(['par', 'impar', 'par'].map(read));
    });
    await platform.listen();
  });
  after(async () => {
    const role = `${database.name}_app`;
    await other?.[Symbol.asyncDispose]();
    await platform?.[Symbol.asyncDispose]();
    await database.pool.query(`drop owned by ${role}; drop role ${role}`);
    await database?.[Symbol.asyncDispose]();
  });

  /** As PostgreSQL answers the tenant. */
  const expected = async (name: string): Promise<unknown[]> => {
    const client = new pg.Client(asPool);
    await client.connect();
    try {
      await client.query(`select set_config('app.inquilino', $1, false)`, [name]);
      return (await client.query(READ)).rows;
    } finally {
      await client.end();
    }
  };

  for (const path of ['/pg', '/kysely', '/drizzle']) {
    test(`${path}: each tenant has its own answer, kept until a row changes`, async () => {
      for (const name of ['par', 'impar']) {
        const first = await platform.get(path, { 'x-inquilino': name });
        assert.deepEqual(JSON.parse(first.text), await expected(name));
        assert.match(first.cacheStatus, /stored/);
      }
      await database.pool.query('update pedidos set valor = valor + 1 where id = 2');
      await platform.settled();
      for (const name of ['par', 'impar', 'outro']) {
        const changed = await platform.get(path, { 'x-inquilino': name });
        assert.deepEqual(JSON.parse(changed.text), await expected(name));
        const hit = await platform.get(path, { 'x-inquilino': name });
        assert.match(hit.cacheStatus, /; hit;/, name);
        assert.equal(hit.text, changed.text);
      }
    });
  }

  test('clients of one fill side by side have their own settings', async () => {
    const [even, odd] = [await expected('par'), await expected('impar')];
    const { text, cacheStatus } = await platform.get('/dois');
    assert.deepEqual(JSON.parse(text), [even, odd, even]);
    assert.match(cacheStatus, /stored/);
  });

  test('a setting that nothing has set in the transaction is not relied on', async () => {
    const { text, cacheStatus } = await platform.get('/ninguem');
    assert.equal(text, '[]');
    assert.match(cacheStatus, /not stored: session-function/);
  });

  interface Step {
    readonly text: string;
    readonly values?: readonly string[];
    readonly rowMode?: 'array';
  }

  /** What each statement brought: its result, or the code of its error. */
  const runAll = async (client: Client, steps: readonly Step[], isAwaited = true): Promise<unknown[]> => {
    const told: unknown[] = [];
    const running = steps.map(() => undefined as Promise<void> | undefined);
    for (const [at, step] of steps.entries()) {
      const result = client.query(step as pg.QueryConfig);
      running[at] = result.then(
        ({ command, rowCount, rows, fields }) => {
          const columns = fields.map(({ name, dataTypeID }) => [name, dataTypeID]);
          told.push({ command, rowCount, rows, columns });
        },
        (error) => void told.push(error.code),
      );
      if (isAwaited) await running[at];
    }
    await Promise.all(running);
    client.release();
    return told;
  };

  /** On a client within a fill, and on one of pg's own. */
  const assertAsPg = async (steps: readonly Step[], why: string | undefined): Promise<void> => {
    for (const isAwaited of [true, false]) await assertSame(steps, why, isAwaited);
  };
  const assertSame = async (steps: readonly Step[], why: string | undefined, isAwaited: boolean): Promise<void> => {
    const plain = new pg.Client(asPool);
    await plain.connect();
    const release = (): void => {};
    const bare = await runAll(Object.assign(plain, { release }) as unknown as Client, steps, isAwaited);
    await plain.end();
    let told: unknown[] = [];
    const path = `/passos/${++runs}`;
    const { app, db } = await createApp();
    app.get(path, { config: { cache: true } }, async () => {
      told = await runAll(await db.connect(), steps, isAwaited);
      return told.length;
    });
    await other?.listen();
    const { cacheStatus } = await (other as TestPlatform).get(path);
    assert.deepEqual(told, bare);
    if (why === undefined) assert.match(cacheStatus, /stored$/);
    else assert.match(cacheStatus, new RegExp(`not stored: ${why}`));
  };
  const createApp = async (): Promise<TestPlatform> => {
    await other?.[Symbol.asyncDispose]();
    other = await createTestPlatform(database, { schema: 'select 1', pool: { connectionString: asPool } });
    return other;
  };

  const tenantIs = (name: string): Step => ({ text: SET, values: [name] });
  const READ_ALL: Step = { text: READ };

  test('results are as PostgreSQL gives them, in each form', async () => {
    await assertAsPg(
      [
        { text: 'BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;' },
        {
          text: `select set_config('app.inquilino', $1::text, true) as agora, set_config('app.outro', 'x', true)`,
          values: ['par'],
        },
        READ_ALL,
        { text: `set local app.inquilino = 'impar'` },
        READ_ALL,
        { text: `SELECT pg_catalog.set_config('APP.Inquilino', 'par', true)`, rowMode: 'array' },
        READ_ALL,
        { text: 'begin' },
        READ_ALL,
        { text: 'end' },
        { text: 'start transaction' },
        tenantIs('impar'),
        READ_ALL,
        { text: 'rollback' },
      ],
      undefined,
    );
  });

  test('what a fill can’t do goes on on a connection of its own, with what was set', async () => {
    const insert = (id: number): Step => ({ text: `insert into pedidos values (${id}, 'par', 1)` });
    const undone = [{ text: 'begin' }, tenantIs('par'), READ_ALL, insert(100), READ_ALL, { text: 'rollback' }];
    await assertAsPg(undone, 'write');
    const wrong = [{ text: 'begin' }, tenantIs('impar'), insert(101), READ_ALL, { text: 'rollback' }];
    await assertAsPg(wrong, 'write');
    const saved = [{ text: 'begin' }, tenantIs('par'), { text: 'savepoint a' }, READ_ALL, { text: 'commit' }];
    await assertAsPg(saved, 'transaction');
    const wide = [{ text: 'begin' }, { text: 'set local search_path = pg_catalog' }, READ_ALL, { text: 'rollback' }];
    await assertAsPg(wide, 'catalog');
    const higher = [{ text: 'begin isolation level serializable' }, tenantIs('par'), READ_ALL, { text: 'commit' }];
    await assertAsPg(higher, 'transaction');
    const lasting = [{ text: `select set_config('app.inquilino', 'par', false)` }, READ_ALL];
    await assertAsPg(lasting, 'session-setting');
    const ended = [{ text: 'begin' }, tenantIs('par'), { text: 'commit' }, READ_ALL];
    await assertAsPg(ended, 'session-function');
    const chained = [{ text: 'begin' }, { text: 'commit and chain' }, READ_ALL, { text: 'commit' }];
    await assertAsPg(chained, 'transaction');
  });

  test('after a statement that fails there is only the end, as PostgreSQL has it', async () => {
    const failing: Step = { text: 'select 1 / (valor - valor) from pedidos' };
    const steps = [{ text: 'begin' }, tenantIs('par'), failing, READ_ALL, tenantIs('par'), { text: 'commit' }];
    await assertAsPg(steps, 'statement-failed');
    const rolledBack = [{ text: 'begin' }, tenantIs('par'), failing, { text: 'rollback' }, { text: 'select 7 as n' }];
    await assertAsPg(rolledBack, 'statement-failed');
  });

  test('an aborted transaction is ended by all that PostgreSQL takes for its end', async () => {
    const failing: Step = { text: 'select 1 / (valor - valor) from pedidos' };
    for (const end of ['/* of a tracer */ -- and more\n rollback', 'abort', 'rollback and chain', 'rollback to x']) {
      const steps = [{ text: 'begin' }, tenantIs('par'), failing, { text: end }, { text: 'select 7 as n' }];
      await assertAsPg([...steps, { text: 'rollback' }], 'statement-failed');
    }
    const insert: Step = { text: `insert into pedidos values (100, 'par', 1)` };
    await assertAsPg([{ text: 'begin' }, tenantIs('par'), failing, insert, { text: 'commit' }], 'statement-failed');
    assert.equal((await database.pool.query('select from pedidos where id = 100')).rowCount, 0);
  });

  test('settings have the forms, and the errors, that PostgreSQL has', async () => {
    const after = [READ_ALL, { text: 'rollback' }];
    const set = (text: string, ...values: string[]): Step[] => [{ text: 'begin' }, tenantIs('par'), { text, values }];
    const several = `select set_config('app.a', 'x', true), set_config('app.b', 'y', true)`;
    await assertAsPg([...set(several), { text: several, rowMode: 'array' }, ...after], undefined);
    const named = `select set_config('app.a', 'x', true) as b, set_config('app.b', 'y', true) as "1"`;
    await assertAsPg([...set(named), { text: named, rowMode: 'array' }, ...after], undefined);
    for (const [text, ...values] of [
      [`select set_config('app.1 x', 'y', true)`],
      [`select set_config('app.x', 5, true)`],
      [`select set_config('app.x', $1, true)`, 'y', 'z'],
      [`select set_config('app.x', $1, true)`, 'a\0b'],
    ] as const)
      await assertAsPg([...set(text, ...values), ...after], 'session-setting');
    const quoted = `it's a \\ "quoted" one`;
    const shown = { text: `select current_setting('app.x') as x, valor from pedidos where id = 2` };
    await assertAsPg([...set(`select set_config('app.x', $1, true)`, quoted), shown, ...after], undefined);
    const higher = [{ text: 'begin' }, { text: `set local app.inquilino = 'par'` }];
    const level = { text: 'set transaction isolation level repeatable read' };
    await assertAsPg([...higher, level, READ_ALL, { text: 'commit' }], 'session-setting');
  });

  test('what one client has set, no statement of another sees, not even where a function is declared', async () => {
    await database.pool.query(`create function declarada() returns text language plpgsql stable as
      $$ begin return current_setting('app.inquilino', true); end $$`);
    const declaredFunctions = [{ name: 'public.declarada', reads: 'arguments' as const }];
    await using platform = await createTestPlatform(database, {
      schema: 'select 1',
      pool: { connectionString: asPool, declaredFunctions },
    });
    const { app, db } = platform;
    app.get('/', { config: { cache: true } }, async () => {
      const client = await db.connect();
      const sql = 'select declarada() as inquilino';
      await client.query('begin');
      await client.query(SET, ['par']);
      const own = (await client.query(sql)).rows[0];
      const others = (await db.query(sql)).rows[0];
      await client.query('commit');
      client.release();
      return { own, others };
    });
    await platform.listen();
    const { text } = await platform.get('/');
    // As in a session in which it was set before: empty, not NULL.
    assert.deepEqual(JSON.parse(text), { own: { inquilino: 'par' }, others: { inquilino: '' } });
  });

  test('where BEGIN means more than READ COMMITTED, it is not stood for', async () => {
    const url = new URL(asPool);
    url.searchParams.set('options', '-c default_transaction_isolation=repeatable\\ read');
    await using platform = await createTestPlatform(database, {
      schema: 'select 1',
      pool: { connectionString: url.href },
    });
    platform.app.get('/', { config: { cache: true } }, async () =>
      runAll(await platform.db.connect(), [{ text: 'begin' }, { text: 'commit' }]),
    );
    await platform.listen();
    assert.match((await platform.get('/')).cacheStatus, /not stored: transaction/);
  });

  test('who leaves the fill in the turn of a read gives all connections back', async () => {
    await using platform = await createTestPlatform(database, {
      schema: 'select 1',
      pool: { connectionString: asPool },
    });
    const { app, db } = platform;
    app.get('/:n', { config: { cache: true } }, async () => {
      const results = await Promise.all([db.query('select 1 as n'), db.query('select random() as n')]);
      return results.length;
    });
    await platform.listen();
    for (let n = 0; n < 2 * db.options.max; n++) assert.equal((await platform.get(`/${n}`)).text, '2');
    const idle = `select count(*)::int as n from pg_stat_activity where datname = current_database() and state like 'idle in%'`;
    await until('no transaction is left', async () => (await database.pool.query(idle)).rows[0].n === 0);
  });

  test('a setting that means the current day makes the answer depend on the time', async () => {
    const since = (text: string): Step[] => [
      { text: 'begin' },
      tenantIs('par'),
      { text: `select set_config('app.desde', $1, true)`, values: [text] },
      {
        text: `select count(*)::int as n from pedidos where current_setting('app.desde')::date > 'epoch'`,
      },
      { text: 'commit' },
    ];
    await assertAsPg(since('2026-01-01'), undefined);
    await assertAsPg(since('today'), 'time');
  });
});
