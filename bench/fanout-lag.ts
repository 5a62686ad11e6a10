/**
 * What the way from the supervisor's feed to a worker adds to the life of an outdated entry: the same update, seen by a
 * cache in the process of the feed and by a cache in a worker. From the moment the writer is told that its commit is done
 * to the moment the entry is gone; a negative time means that the entry was gone before the writer was told.
 *
 * All times are by the clock that the processes of a host share. Rounds alternate between the worker alone and both, so
 * that the cost of serving two caches with one commit shows.
 *
 *   node bench/fanout-lag.ts [updates] [workers]
 */
import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { Cache } from '../packages/vazao/src/cache/index.ts';
import { Pool, runInContext } from '../packages/vazao/src/db/index.ts';
import {
  createFeed,
  createIpcChannel,
  createRelayedFeed,
  FanOut,
  type Feed,
} from '../packages/vazao/src/feed/index.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { quantile } from './load.ts';

const ROWS = 250;
const PAUSE_MS = 1;

async function measure(updates: number, workerCount: number): Promise<void> {
  const server = await startTestServer();
  const owner = new pg.Client(server.url);
  await owner.connect();
  await owner.query('create table contador (id int primary key, n int); alter table contador replica identity full');
  await owner.query(`insert into contador select i, 0 from generate_series(0, ${ROWS - 1}) i`);
  await owner.end();
  const feed = createFeed({ connection: server.url });
  const fanOut = new FanOut({ source: feed });
  await feed.start();
  const here = await Site.create(feed, server.url);
  const start = (role: string): ChildProcess =>
    fork(import.meta.filename, [role, server.url], { serialization: 'advanced' });
  const writer = start('writer');
  const workers = Array.from({ length: workerCount }, () => start('worker'));
  for (const worker of workers) fanOut.add(createIpcChannel(worker));
  await Promise.all(workers.map((worker) => answerOf(worker, 'started')));

  const inProcess: number[] = [];
  const inWorker: number[] = [];
  const inWorkerAlone: number[] = [];
  for (let done = 0, round = 0; done < updates; done += ROWS, round++) {
    const both = round % 2 === 0;
    if (both) await here.fillAll();
    await Promise.all(workers.map((worker) => ask(worker, 'fill')));
    const told = (await ask(writer, 'go')) as readonly number[];
    await delay(50);
    const gone = (await Promise.all(workers.map((worker) => ask(worker, 'gone')))) as (readonly number[])[];
    for (const [id, toldAt] of told.entries()) {
      if (both) inProcess.push((here.gone[id] as number) - toldAt);
      for (const times of gone) (both ? inWorker : inWorkerAlone).push((times[id] as number) - toldAt);
    }
  }
  for (const [what, times] of [
    ['in the process of the feed', inProcess],
    [`in each of ${workerCount} workers, beside it`, inWorker],
    [`in each of ${workerCount} workers, alone`, inWorkerAlone],
  ] as const) {
    const sorted = times.toSorted((a, b) => a - b);
    const text = [0.5, 0.99, 1].map((q) => quantile(sorted, q).toFixed(3));
    console.log(
      `writer told → entry gone, ${what}: median ${text[0]} ms, p99 ${text[1]} ms, max ${text[2]} ms (${sorted.length})`,
    );
  }
  writer.kill();
  for (const worker of workers) worker.kill();
  await here.close();
  fanOut.close();
  await feed.close();
  await server.stop();
}

/** A cache on a feed, with an entry for each row. */
class Site {
  readonly gone: number[] = [];
  readonly #feed: Feed;
  readonly #cache: Cache<unknown>;
  readonly #db: Pool;

  constructor(feed: Feed, url: string) {
    this.#feed = feed;
    this.#cache = new Cache<unknown>({ feed });
    this.#db = new Pool({ connectionString: url, cache: this.#cache, feed, max: 4 });
    // Added after the cache's own listener, so by now the entry is gone.
    feed.on('commit', ({ changes }) => {
      for (const change of changes) {
        if (change.kind !== 'update') continue;
        const id = Number(change.new[0]);
        if (this.#cache.get(`/${id}`)) throw new Error(`the entry of row ${id} is still there`);
        this.gone[id] = nowMs();
      }
    });
  }

  static async create(feed: Feed, url: string): Promise<Site> {
    const site = new Site(feed, url);
    await site.#db.prepare();
    return site;
  }

  async fillAll(): Promise<void> {
    for (let id = 0; id < ROWS; id++) {
      const joined = this.#cache.join(`/${id}`);
      if (joined.role !== 'leader') throw new Error('nobody else fills');
      const session = this.#db.openSession(joined.fill);
      const { rows } = await runInContext({ fill: session, position: 0n }, () =>
        this.#db.query('select n from contador where id = $1', [id]),
      );
      session.close();
      await this.#feed.waitFor(joined.fill.position, 1_000);
      const completed = this.#cache.complete(joined.fill, { key: `/${id}`, value: rows, valueBytes: 100 });
      if (!completed.stored) throw new Error(completed.why.detail);
    }
  }

  close(): Promise<void> {
    return this.#db.end();
  }
}

async function serve(url: string): Promise<void> {
  const feed = createRelayedFeed({ channel: createIpcChannel(process) });
  const starting = feed.start();
  await starting;
  const site = await Site.create(feed, url);
  answer('fill', () => site.fillAll());
  answer('gone', async () => site.gone);
  process.send?.({ answer: 'started' });
}

async function write(url: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  answer('go', async () => {
    const told: number[] = [];
    for (let id = 0; id < ROWS; id++) {
      await client.query('update contador set n = n + 1 where id = $1', [id]);
      told.push(nowMs());
      await delay(PAUSE_MS);
    }
    return told;
  });
}

function answer(question: string, work: () => Promise<unknown>): void {
  process.on('message', async (message: { question?: string }) => {
    if (message.question === question) process.send?.({ answer: question, value: await work() });
  });
}

function answerOf(child: ChildProcess, question: string): Promise<unknown> {
  return new Promise((resolve) => {
    const listener = (message: object): void => {
      if (!('answer' in message) || message.answer !== question) return;
      child.off('message', listener);
      resolve((message as { value?: unknown }).value);
    };
    child.on('message', listener);
  });
}

function ask(child: ChildProcess, question: string): Promise<unknown> {
  const answered = answerOf(child, question);
  child.send({ question });
  return answered;
}

function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

// Last, when the class above exists.
const [first, second] = process.argv.slice(2);
if (first === 'worker') await serve(second ?? '');
else if (first === 'writer') await write(second ?? '');
else await measure(Number(first ?? 4_000), Number(second ?? 2));
