/** The fan-out with PostgreSQL and child processes: what is stopped, killed, or comes late. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Cache } from '../cache/index.ts';
import { Pool, runInContext } from '../db/index.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { createTestChannel } from '../testing/feed-channel.ts';
import type { WorkerReport } from '../testing/feed-worker.ts';
import { startTestServer } from '../testing/server.ts';
import { createFeed } from './create-feed.ts';
import { FanOut, type FanOutOptions } from './fanout.ts';
import { createIpcChannel } from './fanout-channel.ts';
import type { Feed } from './feed.ts';
import { until, untilPassed as untilFeedPassed } from './recorder.ts';
import { createRelayedFeed } from './relayed-feed.ts';

const WORKER = fileURLToPath(new URL('../testing/feed-worker.ts', import.meta.url));
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill('SIGKILL');
});

interface Setting extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly feed: Feed;
  /** The commits that the supervisor's feed has told, as the workers log them. */
  readonly told: string[];
  fork(): ChildProcess;
}

async function createSetting(options: Partial<FanOutOptions> = {}): Promise<Setting> {
  const database = await createTestDatabase();
  await database.pool.query('create table t (id int primary key, n int); insert into t values (1, 0)');
  const feed = createFeed({ connection: database.url });
  const told: string[] = [];
  feed.on('commit', ({ xid }) => told.push(`commit ${xid}`));
  const fanOut = new FanOut({ source: feed, ...options });
  await feed.start();
  const forked: ChildProcess[] = [];
  return {
    database,
    feed,
    told,
    fork() {
      const child = fork(WORKER, ['worker'], {
        serialization: 'advanced',
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      children.add(child);
      forked.push(child);
      fanOut.add(createIpcChannel(child));
      return child;
    },
    async [Symbol.asyncDispose]() {
      for (const child of forked) child.kill('SIGKILL');
      fanOut.close();
      await feed.close();
      await database[Symbol.asyncDispose]();
    },
  };
}

function report(child: ChildProcess): Promise<WorkerReport> {
  return new Promise((resolve) => {
    // Messages of the feed come between.
    const listener = (message: object): void => {
      if (!('kind' in message) || message.kind !== 'report') return;
      child.off('message', listener);
      resolve(message as WorkerReport);
    };
    child.on('message', listener);
    child.send({ kind: 'report' });
  });
}

/** Resolves with what the worker has heard when it is fresh and has passed the position. */
async function untilPassed(child: ChildProcess, position: bigint): Promise<readonly string[]> {
  let found: WorkerReport | undefined;
  await until(async () => {
    found = await report(child);
    return found.isFresh && found.position >= position;
  }, 'the worker has passed the position');
  return (found as WorkerReport).log;
}

/** So many commits, of which the feed has told when this resolves, and of all before. */
async function write({ database, feed }: Setting, commits: number): Promise<void> {
  for (let i = 0; i < commits; i++) await database.pool.query('update t set n = n + 1');
  await untilFeedPassed(feed, database.pool);
}

test('each commit arrives in each worker, once and in order', { timeout: 480_000 }, async () => {
  await using setting = await createSetting();
  const workers = [setting.fork(), setting.fork(), setting.fork()];
  for (const worker of workers) await untilPassed(worker, 0n);
  const before = setting.told.length;
  const { pool } = setting.database;
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (let i = 0; i < 100; i++)
        await pool.query('insert into t select max(id) + 1, 0 from t on conflict do nothing');
    }),
  );
  await write(setting, 1);
  for (const worker of workers) {
    const log = await untilPassed(worker, setting.feed.position);
    assert.deepEqual(
      log.filter((line) => line.startsWith('commit')),
      setting.told.slice(before),
    );
    assert.equal(log.filter((line) => line.startsWith('epoch')).length, 1);
  }
});

test('a worker that was stopped misses commits, and knows it', { timeout: 480_000 }, async () => {
  await using setting = await createSetting({ unacknowledgedMax: 200 });
  const [stopped, other] = [setting.fork(), setting.fork()];
  await untilPassed(stopped, 0n);
  await untilPassed(other, 0n);
  const before = setting.told.length;
  stopped.kill('SIGSTOP');
  // In steps, so that a worker that is well stays below the bound however slow its machine is.
  for (let written = 0; written < 300; written += 20) {
    await write(setting, 20);
    await untilPassed(other, setting.feed.position);
  }
  assert.equal((await untilPassed(other, setting.feed.position)).length, 301, 'the other goes on');
  stopped.kill('SIGCONT');
  const afterwards = await untilPassed(stopped, setting.feed.position);
  await write(setting, 10);
  const log = await untilPassed(stopped, setting.feed.position);

  const epochs = log.flatMap((line, index) => (line.startsWith('epoch') ? [index] : []));
  assert.equal(epochs.length, 2);
  const [, second = 0] = epochs;
  const run = log.slice(1, second);
  assert.ok(run.length < 300, `${run.length} of 300 were told before`);
  assert.deepEqual(run, setting.told.slice(before, before + run.length), 'a prefix');
  assert.equal(afterwards.length, second + 1, 'and nothing of what was missed comes after');
  assert.deepEqual(log.slice(second + 1), setting.told.slice(before + 300));
});

test('workers are not fresh when their supervisor was killed, and end', { timeout: 480_000 }, async () => {
  await using database = await createTestDatabase();
  const supervisor = spawn(process.execPath, [WORKER, 'supervisor', database.url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.add(supervisor);
  let said = '';
  supervisor.stdout.on('data', (data) => {
    said += data;
  });
  await until(() => said.includes('following; fresh: true'), 'the worker follows');
  supervisor.kill('SIGKILL');
  await once(supervisor.stdout, 'close'); // it is the worker's, too
  assert.match(said, /the supervisor is gone; fresh: false\n$/);
});

test('a worker that joins late keeps nothing that a commit told before, and not yet visible, will change', {
  timeout: 480_000,
}, async () => {
  // As in tests/snapshot-rule.test.ts: a synchronous standby that does not exist holds a commit among the running.
  const server = await startTestServer({ synchronous_commit: 'local' });
  try {
    await using database = await createTestDatabase({ serverUrl: server.url });
    const { pool } = database;
    await pool.query('create table t (id int primary key, n int); insert into t values (1, 10)');
    await pool.query('alter table t replica identity full');
    await using feed = createFeed({ connection: database.url });
    const fanOut = new FanOut({ source: feed });
    await feed.start();
    await pool.query(`alter system set synchronous_standby_names = 'ghost'`);
    await pool.query('select pg_reload_conf()');
    const writer = await database.client();
    await until(async () => {
      const { rows } = await writer.query('show synchronous_standby_names');
      return rows[0].synchronous_standby_names === 'ghost';
    }, 'the setting holds');
    await writer.query('set synchronous_commit = on');
    const told = Promise.withResolvers<void>();
    feed.on('commit', () => told.resolve());
    const committed = writer.query('update t set n = 11 where id = 1');
    await told.promise;

    const channel = createTestChannel();
    fanOut.add(channel.supervisor);
    await using relayed = createRelayedFeed({ channel: channel.worker });
    const cache = new Cache<unknown>({ feed: relayed });
    const db = new Pool({ connectionString: database.url, cache, feed: relayed, max: 2 });
    db.on('error', () => {}); // the server is stopped under it when the test fails
    await relayed.start();
    await db.prepare();
    const read = async (): Promise<{ n: number; why: string | undefined }> => {
      const entry = cache.get('/1');
      if (entry && cache.isGood(entry)) return { n: (entry.value as { n: number }[])[0]?.n ?? 0, why: 'hit' };
      const joined = cache.join('/1');
      assert.ok(joined.role === 'leader');
      const session = db.openSession(joined.fill);
      const { rows } = await runInContext({ fill: session, position: 0n }, () =>
        db.query('select n from t where id = $1', [1]),
      );
      session.close();
      await relayed.waitFor(joined.fill.position, 5_000);
      const completed = cache.complete(joined.fill, { key: '/1', value: rows, valueBytes: 10 });
      return { n: rows[0].n, why: completed.stored ? 'stored' : completed.why.code };
    };
    assert.deepEqual(await read(), { n: 10, why: 'suspect' });
    await pool.query(`alter system set synchronous_standby_names = ''`);
    await pool.query('select pg_reload_conf()');
    await committed;
    assert.equal((await read()).n, 11);
    await until(() => relayed.suspects.size === 0, 'a heartbeat clears the suspects');
    assert.equal((await read()).n, 11);
    assert.deepEqual(await read(), { n: 11, why: 'hit' });
    await db.end();
    fanOut.close();
  } finally {
    await server.stop();
  }
});
