/** Functions that PostgreSQL can't be asked about: what is declared of them decides whether, and until when, an answer is kept. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestDatabase } from '../testing/database.ts';
import { createTestPlatform } from '../testing/platform.ts';

const SCHEMA = `
  create table contas (id int primary key, dono text not null);
  create table lancamentos (id int primary key, conta int not null, valor int not null);
  create table outras (id int primary key);
  insert into contas values (1, 'Ana');
  insert into lancamentos values (1, 1, 10);
  create function saldo(conta_ int) returns bigint language plpgsql stable as $$
    begin return (select sum(valor) from lancamentos where conta = conta_); end $$;
  create function dobro(n int) returns int language plpgsql stable as $$ begin return n * 2; end $$;
  create function segredo() returns int language plpgsql stable as $$ begin return 1; end $$;`;

test('an answer that calls a declared PL/pgSQL function is kept until a declared table changes', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, {
    schema: SCHEMA,
    pool: {
      declaredFunctions: [
        { name: 'public.saldo', reads: ['public.lancamentos'] },
        { name: 'dobro', reads: 'arguments' },
      ],
    },
  });
  const { app, db } = platform;
  for (const [path, sql] of [
    ['/saldo', 'select saldo(id)::int as n from contas where id = 1'],
    ['/dobro', 'select dobro(21) as n from contas where id = 1'],
    ['/segredo', 'select segredo() as n from contas where id = 1'],
  ] as const) {
    app.get(path, { config: { cache: true } }, async () => (await db.query(sql)).rows[0]);
  }
  await platform.listen();
  const read = async (path: string): Promise<string> => {
    const { text, cacheStatus } = await platform.get(path);
    return `${JSON.parse(text).n} ${/; hit;/.test(cacheStatus) ? 'hit' : 'miss'}`;
  };
  const change = async (sql: string): Promise<void> => {
    await database.pool.query(sql);
    await platform.settled();
  };

  assert.deepEqual([await read('/saldo'), await read('/saldo')], ['10 miss', '10 hit']);
  assert.deepEqual([await read('/dobro'), await read('/dobro')], ['42 miss', '42 hit']);
  assert.deepEqual([await read('/segredo'), await read('/segredo')], ['1 miss', '1 miss'], 'not declared');

  await change('insert into outras values (1)');
  assert.equal(await read('/saldo'), '10 hit', 'a table that it does not read');
  await change('insert into lancamentos values (2, 1, 5)');
  assert.deepEqual([await read('/saldo'), await read('/saldo')], ['15 miss', '15 hit']);
  assert.equal(await read('/dobro'), '42 hit', 'nothing but its arguments');
  await change('update lancamentos set valor = 0');
  assert.equal(await read('/saldo'), '0 miss');
});

test('a declaration that names no function stops the start', async () => {
  await using database = await createTestDatabase();
  const start = createTestPlatform(database, {
    schema: SCHEMA,
    pool: { declaredFunctions: [{ name: 'a.b.c', reads: 'arguments' }] },
  });
  await assert.rejects(start, { name: 'TypeError', message: /"a\.b\.c" is no function/ });
});
