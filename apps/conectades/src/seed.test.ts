import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createTestDatabase } from '../../../packages/vazao/src/testing/database.ts';
import { criarPrimeiroAdmin, recusas } from './admin.ts';
import type { Client } from './database.ts';
import { type SeedSizes, seed } from './seed.ts';
import { zipf } from './seed-zipf.ts';
import { senhas } from './senhas.ts';
import { migrate } from './testing/test-app.ts';

const SIZES: SeedSizes = { organizadoras: 5, campanhas: 60, pessoas: 200, doacoes: 3_000 };
const TABLES = ['organizadoras', 'pessoas', 'usuarios', 'campanhas', 'doacoes'];

async function seedAndSum(onProgress: (fraction: number) => void = () => {}): Promise<Record<string, string>> {
  await using database = await createTestDatabase();
  await migrate(database.pool);
  const client = await database.client();
  await client.query("set timezone = 'America/Sao_Paulo'"); // no date may depend on it
  await seed(client, onProgress, SIZES);
  await client.query("set timezone = 'UTC'");
  await checkRules(client);
  const sums: Record<string, string> = {};
  for (const table of TABLES) {
    const { rows } = await client.query(
      `select count(*) || ':' || md5(string_agg(t::text, ',' order by id)) as sum from ${table} t`,
    );
    sums[table] = rows[0].sum;
  }
  return sums;
}

async function checkRules(client: Client): Promise<void> {
  const { rows } = await client.query(
    `select count(*)::int as wrong from doacoes d join campanhas c on c.id = d.campanha_id
     where c.status = 'rascunho' or d.criado_em < c.criado_em or d.criado_em > c.encerrada_em`,
  );
  assert.equal(rows[0].wrong, 0);
  for (const table of TABLES) {
    const next = await client.query(
      `select nextval(pg_get_serial_sequence('${table}', 'id'))::int as id, (select max(id) + 1 from ${table})::int as expected`,
    );
    assert.equal(next.rows[0].id, next.rows[0].expected);
  }
  const identities = await client.query(
    `select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and relreplident <> 'f'`,
  );
  assert.deepEqual(identities.rows, []);
}

describe('the seed', () => {
  it('gives the same rows every time, ids that continue, and donations only where and when they can be', async () => {
    const fractions: number[] = [];
    const first = await seedAndSum((fraction) => fractions.push(fraction));
    assert.deepEqual(await seedAndSum(), first);
    assert.deepEqual(
      fractions,
      fractions.toSorted((a, b) => a - b),
    );
    assert.equal(fractions.at(-1), 1);
  });

  it('gives few campaigns most of the donations', () => {
    const pick = zipf(1_000, 0.8);
    assert.equal(pick(0), 0);
    assert.equal(pick(0.999_999_999), 999);
    assert.ok(pick(0.5) < 150);
  });
});

describe('production', () => {
  it('does not start with a password of the seed, nor without an administrator', async () => {
    await using database = await createTestDatabase();
    const { pool } = database;
    await migrate(pool);
    await criarPrimeiroAdmin(pool, undefined);
    assert.match(String(await recusas(pool, undefined)), /ADMIN_PASSWORD/);
    assert.match(String(await recusas(pool, 'admin123')), /at least 12/);
    for (const password of ['conectades2025', '123456789012'])
      assert.match(String(await recusas(pool, password)), /guessed/);
    assert.deepEqual(await recusas(pool, 'uma senha bem longa'), []);
    await Promise.all([1, 2, 3].map(() => criarPrimeiroAdmin(pool, 'uma senha bem longa')));
    const { rows } = await pool.query("select senha_hash from usuarios where papel = 'admin'");
    assert.equal(rows.length, 1);
    assert.ok((await senhas.verify('uma senha bem longa', rows[0].senha_hash)).matches);
    assert.deepEqual(await recusas(pool, undefined), []); // later starts need no password
    await pool.query("update usuarios set senha_hash = $1 where username = 'admin'", [await senhas.hash('admin123')]);
    assert.match(String(await recusas(pool, undefined)), /development password/);
  });
});
