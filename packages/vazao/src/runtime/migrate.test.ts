import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import type pg from 'pg';
import { createTestDatabase } from '../testing/database.ts';
import type { Application } from './application.ts';
import { migrate } from './migrate.ts';
import { seedOnce } from './seed.ts';

const never = new AbortController().signal;

suite('migrations and seed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-migrations-'));
  after(() => rmSync(folder, { recursive: true }));
  const url = pathToFileURL(`${folder}/`);
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  const run = (client: pg.Client) => migrate({ client, folder: url, onProgress() {}, signal: never });

  test('apply what is pending, once, in the order of the names', async () => {
    write('0001_tables.sql', 'create table a (n int);');
    write(
      '0002_more.sql',
      '-- a comment before the marker\n\n-- Up Migration\nalter table a add m text;\n-- Down Migration\nalter table a drop m;',
    );
    write('readme.md', 'not SQL');
    await using database = await createTestDatabase();
    const client = await database.client();
    assert.deepEqual(await run(client), ['0001_tables', '0002_more']);
    assert.deepEqual(await run(client), []);
    const { rows } = await client.query('select name from vazao.migrations order by id');
    assert.deepEqual(
      rows.map(({ name }) => name),
      ['0001_tables', '0002_more'],
    );
    await client.query('select n, m from a');
  });

  test('of two runs at once one migrates and the other waits', async () => {
    await using database = await createTestDatabase();
    const [first, second] = [await database.client(), await database.client()];
    const applied = await Promise.all([run(first), run(second)]);
    assert.deepEqual(applied.map(({ length }) => length).sort(), [0, 2]);
  });

  test('a file that fails is rolled back whole, and its line is named', async () => {
    await using database = await createTestDatabase();
    const client = await database.client();
    await run(client);
    write('0003_broken.sql', '-- why\n\n-- Up Migration\ncreate table b (n int);\n\nalter table nowhere add m text;\n');
    await assert.rejects(run(client), {
      code: 'ERR_RUNTIME_MIGRATION',
      message:
        /0003_broken\.sql, line 6 failed: relation "nowhere" does not exist \[42P01\]\. All of it was rolled back; correct the file and start again\.$/,
    });
    const { rows } = await client.query(
      "select to_regclass('b') as b, (select count(*)::int from vazao.migrations) as count",
    );
    assert.deepEqual(rows, [{ b: null, count: 2 }]);

    write('0003_broken.sql', 'create table b (n int);\ncreat table c (n int);\n');
    await assert.rejects(run(client), /0003_broken\.sql, line 2 failed: syntax error at or near "creat"/);
    write('0003_broken.sql', 'create table b (n int);');
    assert.deepEqual(await run(client), ['0003_broken']);
  });

  test('a new file with an early name is refused', async () => {
    await using database = await createTestDatabase();
    const client = await database.client();
    await run(client);
    write('0000_late.sql', 'select 1');
    await assert.rejects(
      run(client),
      /0000_late has not run, but 0001_tables, which comes after it by name, has\. Give the new one a later name/,
    );
    rmSync(join(folder, '0000_late.sql'));
  });

  const application = (seed: Application['seed']): Application => ({ name: 'x', migrations: url, register() {}, seed });
  const insert = async (client: pg.ClientBase): Promise<void> => void (await client.query('insert into a values (1)'));

  test('a seed runs once, and never over rows that are there', async () => {
    await using database = await createTestDatabase();
    const client = await database.client();
    await run(client);
    const options = { client, onProgress() {}, signal: never };
    assert.equal(await seedOnce({ ...options, application: application(insert) }), true);
    assert.equal(await seedOnce({ ...options, application: application(insert) }), false);
    await client.query('delete from vazao.seeds');
    assert.equal(await seedOnce({ ...options, application: application(insert) }), false, 'somebody else’s rows');
  });

  test('a seed that fails or is interrupted leaves nothing', async () => {
    await using database = await createTestDatabase();
    const client = await database.client();
    await run(client);
    const broken = application(async (inner) => {
      await insert(inner);
      await inner.query('insert into nowhere values (1)');
    });
    await assert.rejects(seedOnce({ client, application: broken, onProgress() {}, signal: never }), {
      code: 'ERR_RUNTIME_SEED',
      message: /^The seed of x failed, and nothing of it was kept: relation "nowhere" does not exist\./,
    });
    const ending = new AbortController();
    const endless = application(async (inner) => {
      await insert(inner);
      setTimeout(() => ending.abort(), 20);
      await inner.query('select pg_sleep(60)');
    });
    const other = await database.client();
    await assert.rejects(seedOnce({ client: other, application: endless, onProgress() {}, signal: ending.signal }), {
      name: 'AbortError',
    });
    const { rows } = await client.query(
      'select (select count(*)::int from a) as a, (select count(*)::int from vazao.seeds) as seeds',
    );
    assert.deepEqual(rows, [{ a: 0, seeds: 0 }]);
  });
});
