/** What needs a server of its own: settings that bind all databases, and its restart. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../runtime/embedded-postgres.ts';
import { describeChanges, record, until, untilPassed } from './recorder.ts';

const folder = await mkdtemp(join(tmpdir(), 'vazao-feed-'));
after(() => rm(folder, { recursive: true, force: true }));

const QUICK = { heartbeatMs: 50, leaseMs: 1_000, reconnectMinMs: 10, reconnectMaxMs: 100 };

async function withServer(
  settings: Record<string, string>,
  work: (url: string, pool: pg.Pool, server: EmbeddedPostgres) => Promise<void>,
): Promise<void> {
  const server = await startEmbeddedPostgres({ folder, settings });
  const url = server.url('postgres');
  const pool = new pg.Pool({ connectionString: url });
  pool.on('error', () => {}); // the server is stopped under it
  try {
    await work(url, pool, server);
  } finally {
    await pool.end();
    await server.stop();
  }
}

test('a server without logical WAL is refused with the setting that mends it', async () => {
  await withServer({ wal_level: 'replica' }, async (url) => {
    await using recorder = record({ connection: url });
    await assert.rejects(recorder.feed.start(), {
      code: 'ERR_FEED_WAL_LEVEL',
      message: /alter system set wal_level = logical/,
    });
  });
});

test('no free slot', async () => {
  await withServer({ max_replication_slots: '1', max_wal_senders: '5' }, async (url) => {
    await using first = record({ connection: url });
    await first.feed.start();
    await using second = record({ connection: url });
    await assert.rejects(second.feed.start(), { code: 'ERR_FEED_NO_FREE_SLOT', message: /max_replication_slots/ });
    assert.ok(first.feed.isFresh());
  });
});

test('no free WAL sender', async () => {
  await withServer({ max_replication_slots: '5', max_wal_senders: '1' }, async (url) => {
    await using first = record({ connection: url });
    await first.feed.start();
    await using second = record({ connection: url });
    await assert.rejects(second.feed.start(), { code: 'ERR_FEED_NO_FREE_SENDER', message: /max_wal_senders/ });
  });
});

test('a restart of the server is a gap, and the feed comes back by itself', async () => {
  await withServer({}, async (url, pool, server) => {
    await pool.query('create table if not exists restarted (id int primary key)');
    const recorder = record({ connection: url, ...QUICK });
    await recorder.feed.start();
    const { port } = server;
    await server.stop();
    await until(() => !recorder.feed.isFresh(), 'not fresh');
    await until(() => recorder.problems.some((problem) => problem.code === 'ERR_FEED_CONNECTION'), 'attempts');
    const again = await startEmbeddedPostgres({ folder, port });
    const other = new pg.Pool({ connectionString: again.url('postgres') });
    try {
      await until(() => recorder.feed.isFresh(), 'fresh again');
      assert.ok(recorder.feed.epoch >= 2, 'a server that is slow to come up may break the stream once more');
      await other.query('insert into restarted values (1)');
      await untilPassed(recorder.feed, other);
      assert.deepEqual(describeChanges(recorder.commits.slice(-1)), ['insert public.restarted 1']);
    } finally {
      await recorder.feed.close();
      await other.end();
      await again.stop();
    }
  });
});

test('a schema change that is delivered before it is visible is followed when it is', async () => {
  await withServer({ synchronous_standby_names: 'ghost', synchronous_commit: 'local' }, async (url, pool) => {
    await using recorder = record({ connection: url, ...QUICK });
    await recorder.feed.start();
    const writer = new pg.Client(url);
    await writer.connect();
    await writer.query('set synchronous_commit = on');
    const { rows } = await writer.query<{ pid: number }>('select pg_backend_pid() as pid');
    const written = writer.query('create table slow (id int primary key)');
    await until(() => recorder.commits.some((commit) => commit.schemaChanged), 'delivered');
    const xid = recorder.commits.find((commit) => commit.schemaChanged)?.xid ?? 0n;
    const { rows: seen } = await pool.query<{ running: boolean }>(
      'select not pg_visible_in_snapshot($1::text::xid8, pg_current_snapshot()) as running',
      [String(xid)],
    );
    assert.equal(seen[0]?.running, true, 'the window is open: delivered, and visible to nobody');
    assert.equal(recorder.feed.status().schemaInStep, false);
    assert.ok(!recorder.log.includes('schema'));
    await until(() => recorder.feed.isFresh(), 'heartbeats do not wait for the standby');
    await pool.query('select pg_cancel_backend($1)', [rows[0]?.pid]); // ends the wait for the standby; the commit stands
    await written;
    await until(() => recorder.log.includes('schema'), 'in step');
    assert.ok(recorder.feed.status().tables.includes('public.slow'));
    await writer.end();
  });
});
