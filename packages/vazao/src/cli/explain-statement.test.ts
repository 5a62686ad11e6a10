/** `vazao explain --sql` as people run it, on a real PostgreSQL. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { runCommand } from '../testing/cli.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';

suite('vazao explain --sql', { timeout: 480_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-explain-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase();
    await database.pool.query(`
      create table pedidos (id int primary key, cliente int not null, email text, em date not null);
      create schema antigo; create table antigo.pedidos (id int, nota text);
      create unlogged table rascunhos (id int);
      create function saldo(int) returns int language plpgsql stable as $$ begin return 1; end $$;
      create publication vazao for table pedidos, antigo.pedidos`);
  });
  after(() => database[Symbol.asyncDispose]());

  const run = async (
    words: readonly string[],
    input = '',
  ): Promise<{ code: number | string; out: string; err: string }> => {
    const { child, ended, output } = runCommand(['explain', ...words], { DATABASE_URL: database.url }, folder);
    child.stdin?.end(input);
    return { code: await ended, out: output.stdout, err: output.stderr };
  };

  test('terms, what made one coarse, and how to write it finer', async () => {
    const sql = 'select id, em from pedidos where cliente = $1 and lower(email) = $2 order by em desc limit 3';
    const unknown = await run(['--sql', sql]);
    assert.equal(unknown.code, 0, unknown.err);
    assert.match(unknown.out, /search path public\n/);
    assert.match(unknown.out, /public\.pedidos: the rows where cliente in \(\$1\)\n/);
    assert.match(unknown.out, /em >= that of the last row/);
    assert.match(unknown.out, /columns id, cliente, email, em\n/);
    assert.match(
      unknown.out,
      /condition on email compares an expression.*\(expression\)\n +finer: compare the column itself/,
    );
    const known = await run(['--sql', sql, '--param', '7', '--param', '-x']);
    assert.match(known.out, /the rows where cliente in \(7\)\n/);
  });

  test('a refusal comes with its cure, and exit code 1', async () => {
    const refused = await run(['--sql', 'select * from rascunhos']);
    assert.equal(refused.code, 1);
    assert.match(
      refused.out,
      /not kept {2}rascunhos is UNLOGGED.*\(unlogged\)\n {2}cure {6}`ALTER TABLE … SET LOGGED`/,
    );
    assert.match(refused.out, /public\.rascunhos: the whole table/);
  });

  test('from the standard input, for programs, and along another search path', async () => {
    const { code, out, err } = await run(
      ['--sql', '-', '--search-path', 'antigo, public', '--json'],
      'table pedidos\n',
    );
    assert.equal(code, 0, err);
    const { searchPath, statement, terms } = JSON.parse(out);
    assert.deepEqual([searchPath, statement], [['antigo', 'public'], 'table pedidos']);
    assert.deepEqual(terms, [
      {
        table: 'antigo.pedidos',
        grain: 'table',
        alternatives: [[]],
        columns: 'all',
        obstacles: [
          {
            code: 'no-condition',
            because: 'no condition of WHERE or ON names its columns',
            cure: 'look up by a column; what depends on all rows changes with each of them',
          },
        ],
      },
    ]);
  });

  test('what would be if a function were declared', async () => {
    const sql = 'select saldo(1)';
    assert.equal((await run(['--sql', sql])).code, 1);
    assert.equal((await run(['--sql', sql, '--declare', 'saldo=arguments'])).code, 0);
    const reading = await run(['--sql', sql, '--declare', 'public.saldo=public.pedidos']);
    assert.match(reading.out, /public\.pedidos: the whole table\n.*\n +a declared function reads it \(declared\)/);
  });

  test('mistakes are told, with exit code 2', async () => {
    for (const [words, message] of [
      [['--sql', 'select $1 || $2', '--param', 'a'], /has parameters up to \$2, and 1 is given/],
      [['--sql', 'select 1', '--search-path', 'a,,b'], /--search-path a,,b: invalid value/],
    ] as const) {
      const { code, err, out } = await run(words);
      assert.deepEqual([code, out], [2, '']);
      assert.match(err, message);
    }
  });
});
