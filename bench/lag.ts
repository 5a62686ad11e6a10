/**
 * How long an entry outlives the commit that outdates it, on one host: from the moment the writer is told that its
 * commit is done to the moment the entry is gone. The writer is a thread of its own; a negative time means that the
 * entry was gone before the writer was told.
 *
 * Once with a writer that pauses a millisecond between its updates, and once with one that does not: it keeps a server
 * process, a WAL sender, itself and us busy at the same time, which is more than two cores can do at once.
 *
 *   node bench/lag.ts [updates]
 */

import { setTimeout as delay } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import pg from 'pg';
import { Cache } from '../packages/vazao/src/cache/index.ts';
import { Pool, runInContext } from '../packages/vazao/src/db/index.ts';
import { createFeed } from '../packages/vazao/src/feed/index.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { quantile } from './load.ts';

const ROWS = 500;

if (isMainThread) {
  for (const pauseMs of [1, 0]) await measure(Number(process.argv[2] ?? 5_000), pauseMs);
} else await write(workerData as { url: string; pauseMs: number });

async function measure(updates: number, pauseMs: number): Promise<void> {
  const server = await startTestServer();
  const owner = new pg.Client(server.url);
  await owner.connect();
  await owner.query('create table contador (id int primary key, n int); alter table contador replica identity full');
  await owner.query(`insert into contador select i, 0 from generate_series(0, ${ROWS - 1}) i`);
  await owner.end();
  const feed = createFeed({ connection: server.url });
  const cache = new Cache<unknown>({ feed });
  const db = new Pool({ connectionString: server.url, cache, feed, max: 4 });
  await feed.start();
  await db.prepare();

  const fill = async (id: number): Promise<void> => {
    const joined = cache.join(`/${id}`);
    if (joined.role !== 'leader') throw new Error('nobody else fills');
    const session = db.openSession(joined.fill);
    const { rows } = await runInContext({ fill: session, position: 0n }, () =>
      db.query('select n from contador where id = $1', [id]),
    );
    session.close();
    await feed.waitFor(joined.fill.position, 1_000);
    const completed = cache.complete(joined.fill, { key: `/${id}`, value: rows, valueBytes: 100 });
    if (!completed.stored) throw new Error(completed.why.detail);
  };

  const worker = new Worker(new URL(import.meta.url), { workerData: { url: server.url, pauseMs } });
  const afterTold: number[] = [];
  const afterCommit: number[] = [];
  for (let done = 0; done < updates; done += ROWS) {
    for (let id = 0; id < ROWS; id++) await fill(id);
    const told = await new Promise<number[]>((resolve) => {
      worker.once('message', resolve);
      worker.postMessage('go');
    });
    await feed.waitFor(feed.position + 1n, 500);
    for (const [id, toldAt] of told.entries()) {
      const drop = cache.lastDrop(`/${id}`);
      if (!drop || cache.get(`/${id}`)) throw new Error(`the entry of row ${id} is still there`);
      afterTold.push(drop.at - toldAt);
      afterCommit.push(drop.msAfterCommit ?? Number.NaN);
    }
  }
  console.log(pauseMs > 0 ? `a pause of ${pauseMs} ms between updates` : 'updates without pause');
  for (const [what, times] of [
    ['writer told → entry gone', afterTold],
    ['commit record, by the server’s clock → entry gone', afterCommit],
  ] as const) {
    const sorted = times.toSorted((a, b) => a - b);
    console.log(
      `  ${what}: median ${quantile(sorted, 0.5).toFixed(3)} ms, p99 ${quantile(sorted, 0.99).toFixed(3)} ms, max ${quantile(sorted, 1).toFixed(3)} ms (${sorted.length} single-row updates)`,
    );
  }
  await worker.terminate();
  await db.end();
  await feed.close();
  await server.stop();
}

async function write({ url, pauseMs }: { url: string; pauseMs: number }): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  parentPort?.on('message', async () => {
    const told: number[] = [];
    for (let id = 0; id < ROWS; id++) {
      await client.query('update contador set n = n + 1 where id = $1', [id]);
      told.push(performance.timeOrigin + performance.now());
      if (pauseMs > 0) await delay(pauseMs);
    }
    parentPort?.postMessage(told);
  });
}
