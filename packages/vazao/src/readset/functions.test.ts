import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestDatabase } from '../testing/database.ts';
import { CHANGES_SESSION, DEPENDS_ON_ARGUMENTS, READS_CLOCK, READS_SESSION } from './functions.ts';

test('the functions that are let through exist, and none is VOLATILE', async () => {
  await using database = await createTestDatabase();
  const { rows } = await database.pool.query<{ name: string; volatile: boolean }>(
    `select proname as name, bool_or(provolatile = 'v') as volatile from pg_proc where pronamespace = 'pg_catalog'::regnamespace group by 1`,
  );
  const isVolatile = new Map(rows.map((row) => [row.name, row.volatile]));
  for (const name of [...DEPENDS_ON_ARGUMENTS, ...READS_CLOCK, ...READS_SESSION])
    assert.equal(isVolatile.get(name), false, name);
  for (const name of CHANGES_SESSION) assert.equal(isVolatile.get(name), true, name);
});

test('no operator of pg_catalog is VOLATILE: they are let through by name', async () => {
  await using database = await createTestDatabase();
  const { rows } = await database.pool.query(
    `select oprname from pg_operator join pg_proc on pg_proc.oid = oprcode where provolatile = 'v' and oprnamespace = 'pg_catalog'::regnamespace`,
  );
  assert.deepEqual(rows, []);
});
