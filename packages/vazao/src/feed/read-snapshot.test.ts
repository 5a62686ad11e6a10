import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestDatabase } from '../testing/database.ts';
import { readSnapshot } from './read-snapshot.ts';
import { sees } from './snapshot.ts';

test('every transaction that has a number and runs is named, also those after the last one that ended', async () => {
  await using database = await createTestDatabase();
  const writers = await Promise.all(Array.from({ length: 4 }, () => database.client()));
  const xids: bigint[] = [];
  for (const writer of writers) {
    await writer.query('begin');
    const { rows } = await writer.query('select pg_current_xact_id()::text as xid');
    xids.push(BigInt(rows[0].xid));
  }
  const reader = await database.client();
  const running = await readSnapshot(reader);
  for (const xid of xids) {
    assert.ok(running.running.has(xid), `${xid} is not among those of ${running.xmin}:${running.xmax}`);
    assert.equal(sees(running, xid), false);
  }
  for (const writer of writers) await writer.query('commit');
  const ended = await readSnapshot(reader);
  for (const xid of xids) assert.equal(sees(ended, xid), true);
});
