/** Hosts as they run in production: two with a feed of their own, and one that takes it from the stream of whichever leads. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type CommandRun, runCommand, writeApplication } from '../testing/cli.ts';
import { createTestDatabase } from '../testing/database.ts';
import { ask, listSlots, until } from '../testing/running-host.ts';
import { startRedisServer } from '../torture/parts/redis-server.ts';

const base = mkdtempSync(join(tmpdir(), 'vazao-stream-'));
after(() => rmSync(base, { recursive: true, force: true }));

interface Feed {
  readonly source: string;
  readonly fresh: boolean;
}

test('a host on the stream drops answers at a write, survives the leader and Redis, and has no slot', {
  timeout: 400_000,
}, async () => {
  await using redis = await startRedisServer();
  await using database = await createTestDatabase();
  const migration = 'create table a (n int); alter table a replica identity full;';
  const file = writeApplication(join(base, 'little'), '', migration);
  const env = {
    PORT: '0',
    WORKERS: '2',
    VAZAO_DATA: join(base, 'data'),
    VAZAO_SECRET: 'x'.repeat(40),
    LOG_LEVEL: 'silent',
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
  };
  const runs: CommandRun[] = [];
  const start = async (more: Record<string, string> = {}): Promise<string> => {
    const run = runCommand(['start', file], { ...env, ...more }, base);
    runs.push(run);
    return run.url;
  };
  try {
    await start();
    const url = await start({ VAZAO_FEED: 'stream' });
    assert.equal((await listSlots(database)).length, 1);
    const feed = async (): Promise<Feed> => JSON.parse((await ask(`${url}/health`)).body).feed;
    const count = async (): Promise<number> => JSON.parse((await ask(`${url}/count`)).body).n;
    const insert = async (): Promise<unknown> => database.pool.query('insert into a values (1)');
    const untilHit = (): Promise<void> =>
      until(async () => /hit/.test(String((await ask(`${url}/count`)).headers['cache-status'])), 'a hit');
    assert.equal((await feed()).source, 'stream');
    assert.match((await ask(`${url}/metrics`)).body, /^vazao_feed_info\{.*source="stream".*\} 1$/m);
    await untilHit();
    await insert();
    await until(async () => (await count()) === 1, 'the write is seen');
    await start();
    assert.equal((await listSlots(database)).length, 2);

    // The first has led, since it was alone.
    await untilHit();
    runs[0]?.child.kill('SIGKILL');
    await runs[0]?.ended;
    await insert();
    await until(async () => (await count()) === 2, 'the write is seen');
    await until(async () => (await feed()).fresh, 'the other leads');
    await untilHit();

    await redis.kill();
    await until(async () => !(await feed()).fresh, 'it is not fresh');
    await insert();
    // Each is computed: right at once.
    assert.deepEqual([await count(), await count(), await count()], [3, 3, 3]);
    await redis.restart({ empty: true });
    await until(async () => (await feed()).fresh, 'it is fresh again');
    await untilHit();
    await insert();
    await until(async () => (await count()) === 4, 'the write is seen');
  } finally {
    for (const { child } of runs) child.kill('SIGTERM');
    for (const { ended, output } of runs.slice(1)) assert.equal(await ended, 0, output.stderr);
  }
});
