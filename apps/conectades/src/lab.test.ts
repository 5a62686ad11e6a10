/** What the lab makes of the data before it measures. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestDatabase } from '../../../packages/vazao/src/testing/database.ts';
import conectades, { prepare, resize } from './lab.ts';
import { senhas } from './senhas.ts';
import { migrate } from './testing/test-app.ts';

test('data so many times as large, with donors who may log in, and nobody whose password is known', async () => {
  await using database = await createTestDatabase();
  await migrate(database.pool);
  const client = await database.client();
  const query = client.query.bind(client) as typeof client.query;
  // Smaller than the lab's ×1, so that a test of every day is quick.
  for (const factor of [0.2, 0.4]) {
    await resize(query, factor);
    await prepare(query); // a second time changes nothing
    const { rows } = await client.query(`select
      (select count(*)::int from organizadoras) as organizadoras, (select count(*)::int from campanhas) as campanhas,
      (select count(*)::int from pessoas) as pessoas, (select count(*)::int from doacoes) as doacoes,
      (select count(*)::int from usuarios where username ~ '^lab[0-9]+$' and ativo) as doadores,
      (select count(*)::int from usuarios where username !~ '^lab[0-9]+$' and ativo) as outros`);
    assert.deepEqual(rows[0], {
      organizadoras: 50 * factor,
      campanhas: 1_000 * factor,
      pessoas: 2_000 * factor,
      doacoes: 20_000 * factor,
      doadores: 200,
      outros: 0,
    });
  }
  const { rows } = await client.query("select senha_hash from usuarios where username = 'lab7'");
  assert.ok((await senhas.verify('doador do laboratório', rows[0].senha_hash)).matches);
});

test('the criteria are the strictest of what was promised', () => {
  assert.deepEqual(
    conectades.criteria?.map(({ metric, min, max }) => [metric, min ?? max]),
    [
      ['throughput', 500],
      ['mean', 50],
      ['hitRate', 0.8],
      ['successRate', 0.95],
      ['timeoutRate', 0.01],
      ['rssMax', 3 * 1024 ** 3],
    ],
  );
});
