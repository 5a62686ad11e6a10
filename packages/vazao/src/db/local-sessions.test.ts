/** A role, a search path and a time zone of each request. The oracle is PostgreSQL without us. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { type Analyzer, type Catalog, createAnalyzer, loadParser } from '../readset/index.ts';
import { until } from '../testing/cached-app.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { createTestPlatform, type TestPlatform } from '../testing/platform.ts';
import { loadCatalog } from './load-catalog.ts';
import { LocalSessions } from './local-sessions.ts';

const SET = `select set_config('role', $1, true), set_config('search_path', $2, true), set_config('timezone', $3, true)`;
const READ = `select id, valor, to_char(desde, 'HH24:MI OF') as desde, current_user::text as quem,
  current_setting('TimeZone') as zona from pedidos order by id`;

type Step = string | { readonly text: string; readonly values?: readonly unknown[]; readonly name?: string };

describe('what a transaction sets for itself', () => {
  let database: TestDatabase;
  let platform: TestPlatform;
  let asPool: string;
  let roles: { readonly app: string; readonly even: string; readonly odd: string };
  let told: unknown[] = [];
  let steps: readonly Step[] = [];

  before(async () => {
    await loadParser();
    database = await createTestDatabase();
    const { name } = database;
    roles = { app: `${name}_app`, even: `${name}_even`, odd: `${name}_odd` };
    const { app: appRole, even, odd } = roles;
    const url = new URL(database.url);
    url.username = appRole;
    url.password = 'app';
    asPool = url.href;
    const table = (
      schema: string,
      factor: number,
    ): string => `create table ${schema}.pedidos (id int primary key, valor int not null, desde timestamptz);
      insert into ${schema}.pedidos select n, n * ${factor}, '2026-07-01 12:00Z' from generate_series(1, 6) n;
      alter table ${schema}.pedidos enable row level security; alter table ${schema}.pedidos replica identity full;
      create policy pares on ${schema}.pedidos to ${even} using (id % 2 = 0);
      create policy impares on ${schema}.pedidos to ${odd} using (id % 2 = 1 and exists (select from public.abertos where n = id));
      create policy todos on ${schema}.pedidos to ${appRole} using (true);`;
    await database.pool.query(
      `create role ${appRole} login noinherit password 'app'; create role ${even}; create role ${odd}`,
    );
    await database.pool.query(`grant ${even}, ${odd} to ${appRole}`);
    platform = await createTestPlatform(database, {
      schema: `create table abertos (n int primary key); insert into abertos values (1), (3);
        create schema norte; create schema "Sul"; ${table('norte', 10)} ${table('"Sul"', 100)}
        create view norte.todos as select * from norte.pedidos;
        create function "Sul".fixo() returns int language sql immutable return 1;
        create function norte.fixo() returns int language sql volatile return 2;
        create function norte.set_config(text, text, boolean) returns text language sql as $$ select 'norte' $$;
        create function public.escreve() returns int language sql immutable as $$ select 1 $$;
        create function norte.escreve() returns int language sql volatile security definer as
          $$ insert into public.abertos values (100) on conflict do nothing; select 1 $$;
        grant usage on schema norte, "Sul" to public; grant select on all tables in schema norte, "Sul", public to public`,
      pool: { connectionString: asPool },
    });
    const { app, db } = platform;
    app.get('/', { config: { cache: true } }, async (request) => {
      const { papel, onde, zona } = request.query as Record<string, string>;
      const client = await db.connect();
      await client.query('begin');
      await client.query(SET, [papel, onde, zona]);
      const { rows } = await client.query(READ);
      await client.query('commit');
      client.release();
      return rows;
    });
    app.get('/passos', { config: { cache: true } }, async () => {
      told = await runAll(await db.connect(), steps);
      return told;
    });
    app.get('/escreve', { config: { cache: true } }, async () => {
      const client = await db.connect();
      await client.query('begin');
      await client.query('set local search_path = norte');
      await client.query('select escreve()');
      const { position } = await client.query('commit');
      client.release();
      return position === undefined ? 'untold' : 'told';
    });
    app.get('/lado-a-lado', { config: { cache: true } }, async () => {
      const read = async (role: string | undefined, path: string): Promise<unknown> => {
        const client = await db.connect();
        await client.query('begin');
        if (role) await client.query(`set local role ${role}`);
        await client.query(`set local search_path = ${path}`);
        const { rows } = await client.query(
          'select array_agg(id order by id) as ids, current_user::text as quem from pedidos',
        );
        await client.query('commit');
        client.release();
        return rows[0];
      };
      const plain = async (): Promise<unknown> =>
        (await db.query(`select current_user::text as quem, current_setting('search_path') as onde`)).rows[0];
      const atOnce = await Promise.all([
        read(even, 'norte'),
        plain(),
        read(undefined, '"Sul"'),
        plain(),
        read(odd, 'norte'),
      ]);
      return [...atOnce, await plain(), await read(even, 'norte'), await plain()];
    });
    await platform.listen();
  });
  after(async () => {
    await platform?.[Symbol.asyncDispose]();
    for (const role of Object.values(roles ?? {}))
      await database.pool.query(`drop owned by ${role} cascade; drop role ${role}`);
    await database?.[Symbol.asyncDispose]();
  });

  const runAll = async (
    client: Pick<pg.PoolClient, 'query' | 'release'>,
    steps: readonly Step[],
  ): Promise<unknown[]> => {
    const told: unknown[] = [];
    for (const step of steps) {
      await client.query(step as pg.QueryConfig).then(
        ({ command, rows }) => told.push({ command, rows }),
        (error) => told.push(error.code),
      );
    }
    client.release();
    return told;
  };

  const bare = async (steps: readonly Step[]): Promise<unknown[]> => {
    const client = new pg.Client(asPool);
    await client.connect();
    const told = await runAll(Object.assign(client, { release: () => {} }) as never, steps);
    await client.end();
    return JSON.parse(JSON.stringify(told));
  };

  const pathOf = (papel: string, onde: string, zona: string): string =>
    `/?${new URLSearchParams({ papel, onde, zona })}`;

  const expected = async (...values: string[]): Promise<unknown> => {
    const results = await bare(['begin', { text: SET, values }, READ, 'commit']);
    return (results[2] as { rows: unknown }).rows;
  };

  const assertKept = async (...values: [string, string, string]): Promise<void> => {
    const path = pathOf(...values);
    await until(`${path} is kept`, async () => (await platform.get(path)).cacheStatus.includes('; hit;'));
    assert.deepEqual(JSON.parse((await platform.get(path)).text), await expected(...values));
  };

  test('each role, search path and time zone has its own answer, which is dropped by what it reads', async () => {
    const { app: appRole, even, odd } = roles;
    const all = [even, odd, appRole].flatMap((role) =>
      ['norte', '"Sul", public', 'public,norte'].flatMap((path) =>
        ['UTC', 'america/sao_paulo', 'Asia/Kathmandu'].map((zone): [string, string, string] => [role, path, zone]),
      ),
    );
    for (const values of all) await assertKept(...values);
    const hits = async (): Promise<[string, string, string][]> => {
      const found: [string, string, string][] = [];
      for (const values of all)
        if ((await platform.get(pathOf(...values))).cacheStatus.includes('; hit;')) found.push(values);
      return found;
    };
    assert.equal((await hits()).length, all.length);

    await database.pool.query('update norte.pedidos set valor = valor + 1 where id = 2');
    await platform.settled();
    assert.deepEqual(
      await hits(),
      all.filter(([, path]) => path.startsWith('"Sul"')),
    );
    for (const values of all) await assertKept(...values);

    await database.pool.query('delete from abertos where n = 3');
    await platform.settled();
    assert.deepEqual(
      await hits(),
      all.filter(([role]) => role !== odd),
    );
    for (const values of all) await assertKept(...values);
  });

  test('a policy that changes ends what was known of its role', async () => {
    const values: [string, string, string] = [roles.even, 'norte', 'UTC'];
    await assertKept(...values);
    await database.pool.query(
      'alter policy pares on norte.pedidos using (id in (select n from public.abertos) or id = 6)',
    );
    await platform.settled();
    await assertKept(...values);
    await database.pool.query('insert into abertos values (4)');
    await platform.settled();
    await assertKept(...values);
  });

  test('clients of one fill side by side have their own, and what is in no transaction has the session’s', async () => {
    const { app: appRole, even, odd } = roles;
    await until('it is kept', async () => (await platform.get('/lado-a-lado')).cacheStatus.includes('; hit;'));
    const { text } = await platform.get('/lado-a-lado');
    const plain = { quem: appRole, onde: '"$user", public' };
    const ids = async (role: string, table: string): Promise<unknown> =>
      (
        (
          await bare(['begin', `set local role ${role}`, `select array_agg(id order by id) as ids from ${table}`])
        )[2] as {
          rows: { ids: number[] }[];
        }
      ).rows[0]?.ids;
    assert.deepEqual(JSON.parse(text), [
      { ids: await ids(even, 'norte.pedidos'), quem: even },
      plain,
      { ids: await ids(appRole, '"Sul".pedidos'), quem: appRole },
      plain,
      { ids: await ids(odd, 'norte.pedidos'), quem: odd },
      plain,
      { ids: await ids(even, 'norte.pedidos'), quem: even },
      plain,
    ]);
  });

  /** As on a connection of pg's own, both before and after it is known what the settings mean. */
  const assertAsPg = async (given: readonly Step[], kept: RegExp): Promise<void> => {
    steps = given;
    const wanted = await bare(given);
    for (const when of ['unknown', 'known']) {
      await until(`it is as wanted, ${when}: ${kept}`, async () => {
        const { text, cacheStatus } = await platform.get(`/passos?${Math.random()}`);
        assert.deepEqual(JSON.parse(text), wanted, when);
        return kept.test(cacheStatus);
      });
    }
  };

  test('statements, and what they answer, are those of PostgreSQL', async () => {
    await assertAsPg(
      [
        'begin',
        `set local time zone 'america/sao_paulo'`,
        `select set_config('TimeZone', 'asia/tokyo', true)`,
        `set local search_path = "Sul", public`,
        `select fixo(), current_setting('search_path') as path, '2026-07-01 12:00Z'::timestamptz::text as at`,
        'set local time zone -3',
        `select '2026-07-01 12:00Z'::timestamptz::text as at`,
        `set local role ${roles.odd}`,
        'select count(*)::int from pedidos',
        'commit',
      ],
      /stored$/,
    );
  });

  test('what can’t be set is refused in PostgreSQL’s words', async () => {
    for (const wrong of [
      `set local role nobody_of_that_name`,
      `select set_config('role', 'postgres', true)`,
      `set local timezone = 'Nowhere/Land'`,
      `select set_config('search_path', 'a,,b', true)`,
    ])
      await assertAsPg(['begin', wrong, 'select 1 as n', 'rollback'], /not stored: session-setting/);
  });

  test('what sets twice, sets NULL, or calls another set_config is PostgreSQL’s to answer', async () => {
    for (const own of [
      `select set_config('search_path', 'norte', true) as a, set_config('search_path', 'public', true) as b`,
      `select set_config('timezone', 'Nowhere/Land', true), set_config('timezone', 'UTC', true)`,
      { text: `select set_config('search_path', $1, true)`, values: [null] },
    ])
      await assertAsPg(['begin', own, `select current_setting('search_path') as path`, 'rollback'], /session-setting/);
    const last = 'set local search_path = norte, pg_catalog';
    const path = `select current_setting('search_path') as path`;
    await assertAsPg(['begin', last, `select set_config('search_path', 'public', true)`, path, 'commit'], /not stored/);
    await assertAsPg(['begin', last, 'select count(*)::int from pedidos', 'commit', path], /stored$/);
  });

  test('a path is shown as PostgreSQL writes it', async () => {
    const path = `select current_setting('search_path') as path`;
    await assertAsPg(['begin', 'set local search_path = "user", "abort", "row", public', path, 'commit'], /stored$/);
    await assertAsPg(['begin', `set local "SEARCH_PATH" = 'norte, public'`, path, 'commit'], /stored$/);
    await assertAsPg(['begin', 'set local search_path = 5, public', path, 'commit'], /session-setting/);
  });

  test('a write by a function that the path leads to is told of where the transaction goes on by itself', async () => {
    const read = async (): Promise<string> => {
      const { text, cacheStatus } = await platform.get(`/escreve?${Math.random()}`);
      assert.equal(text, 'told', cacheStatus);
      return cacheStatus;
    };
    await until('it is known', async () => (await read()).includes('volatile-function'));
  });

  test('a name means what it means along the path: a function that is not IMMUTABLE is not kept', async () => {
    await assertAsPg(
      ['begin', 'set local search_path = norte', 'select fixo()', 'commit'],
      /not stored: volatile-function/,
    );
  });

  test('a named statement means in each time zone what it says there, whoever has prepared it', async () => {
    // 12:00 in Greenwich lies after it in Tokyo, and before it in São Paulo.
    const named = { name: 'x', text: `select count(*)::int from "Sul".pedidos where desde > '2026-07-01 10:00'` };
    const zoned = (zone: string): Step[] => ['begin', `set local timezone = '${zone}'`, named, 'commit'];
    // While a zone is not known yet, a connection of the pool answers, and may have prepared it in another: as plain pg has it.
    for (const zone of ['Asia/Tokyo', 'America/Sao_Paulo'])
      await assertAsPg(['begin', `set local timezone = '${zone}'`, 'select 1 as n', 'commit'], /stored$/);
    for (const zone of ['Asia/Tokyo', 'America/Sao_Paulo']) await assertAsPg(zoned(zone), /stored$/);
    await runAll(await platform.db.connect(), zoned('Asia/Tokyo'));
    await assertAsPg([named], /stored$/);
    for (const zone of ['America/Sao_Paulo', 'Asia/Tokyo']) await assertAsPg(zoned(zone), /stored$/);
  });

  test('what is put together for a role and a path is what its own session would load', async () => {
    const client = new pg.Client(asPool);
    await client.connect();
    const { app: appRole, even, odd } = roles;
    const options = { publication: 'vazao' };
    const catalog = await loadCatalog(client, options);
    const created: Catalog[] = [];
    const createFor = (catalog: Catalog): Analyzer => {
      created.push(catalog);
      return createAnalyzer(catalog);
    };
    const sessions = new LocalSessions({
      connect: async () => Object.assign(client, { send: client.query.bind(client), release: () => {} }) as never,
      catalog,
      analyzer: createAnalyzer(catalog),
      createAnalyzer: createFor,
    });
    for (const [role, path] of [
      [even, 'norte'],
      [odd, '"Sul", nowhere, pg_catalog, public'],
      [appRole, '"$user", public'],
      [even, ''],
    ] as const) {
      const settings = new Map([['role', role], ['search_path', path]]); // biome-ignore format: pairs
      await until('it is known', () => sessions.find(settings) !== undefined);
      await client.query(`set role ${role}; select set_config('search_path', '${path}', false)`);
      assert.deepEqual(created.at(-1), await loadCatalog(client, options));
      await client.query('reset role; reset search_path');
    }
    assert.equal(created.length, 4);
    await client.end();
  });
});
