/** Transactions of a handler within a fill, and the settings of tenants in them. The oracle is PostgreSQL without us. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sql as drizzleSql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
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
  const runAll = async (client: Client, steps: readonly Step[]): Promise<unknown[]> => {
    const told: unknown[] = [];
    for (const step of steps) {
      try {
        const { command, rowCount, rows } = await client.query(step as pg.QueryConfig);
        told.push({ command, rowCount, rows });
      } catch (error) {
        told.push((error as { code?: string }).code);
      }
    }
    client.release();
    return told;
  };

  /** On a client within a fill, and on one of pg's own. */
  const assertAsPg = async (steps: readonly Step[], why: string | undefined): Promise<void> => {
    const plain = new pg.Client(asPool);
    await plain.connect();
    const release = (): void => {};
    const bare = await runAll(Object.assign(plain, { release }) as unknown as Client, steps);
    await plain.end();
    let told: unknown[] = [];
    const path = `/passos/${++runs}`;
    const { app, db } = await createApp();
    app.get(path, { config: { cache: true } }, async () => {
      told = await runAll(await db.connect(), steps);
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
    await assertAsPg(wide, 'session-setting');
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
