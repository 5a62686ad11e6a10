import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import pg from 'pg';
import { createTestDatabase } from '../testing/database.ts';
import { isDatabaseAway } from './database-errors.ts';

test('a connection that is cut says so to the statement under way and to the next one, and both mean that the database is away', async () => {
  await using database = await createTestDatabase();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  client.on('error', () => {}); // a reset is told of twice: as such, and as the end
  const lost = once(client, 'error');
  const { rows } = await client.query('select pg_backend_pid() as pid');
  const underWay = client.query('select pg_sleep(60)').then(
    () => assert.fail('it was to be cut'),
    (error: unknown) => error,
  );
  await database.pool.query('select pg_terminate_backend($1)', [rows[0].pid]);
  assert.ok(isDatabaseAway(await underWay), String(await underWay));
  await lost;
  const next = await client.query('select 1').then(
    () => assert.fail('it was cut'),
    (error: Error) => error,
  );
  assert.match(next.message, /not queryable/);
  assert.ok(isDatabaseAway(next));
  assert.ok(isDatabaseAway(new Error('The worker could not start.', { cause: next })));
  const own = new pg.Client({ connectionString: database.url });
  await own.connect();
  await own.end();
  const closed = await own.query('select 1').catch((error: unknown) => error);
  assert.ok(!isDatabaseAway(closed), 'a client that we have closed ourselves');
  const wrong = await database.pool.query('select nothing').catch((error: unknown) => error);
  assert.ok(!isDatabaseAway(wrong), 'what is wrong with a statement is no matter of where the database is');
});
