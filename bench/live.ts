/**
 * Many clients follow one answer: how long a commit takes to reach each of them, how many queries it costs, and what an
 * open stream takes in memory.
 *
 *   node bench/live.ts [--streams 10000] [--changes 40] [--every 500] [--workers 1] [--clients 2]
 *
 * One server (or several, on one port) with a campaign's page, whose donations a writer adds to at intervals; clients are
 * raw sockets in processes of their own, which compare what arrives with what was written. A time counts from the moment the
 * statement was sent that commits, to the moment the client's process has read the whole event: so it is too long by a
 * fraction of a millisecond, never too short. Prints Markdown.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Fastify from 'fastify';
import pg from 'pg';
import { Cache } from '../packages/vazao/src/cache/index.ts';
import { Pool } from '../packages/vazao/src/db/index.ts';
import { createFeed } from '../packages/vazao/src/feed/index.ts';
import { type CacheValue, vazaoPlugin } from '../packages/vazao/src/http/index.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { untilUnsuspected } from '../packages/vazao/src/testing/unsuspected.ts';
import { quantile } from './load.ts';

const { values } = parseArgs({
  options: {
    streams: { type: 'string', default: '10000' },
    changes: { type: 'string', default: '40' },
    every: { type: 'string', default: '500' },
    workers: { type: 'string', default: '1' },
    clients: { type: 'string', default: '2' },
  },
});
const [STREAMS, CHANGES, EVERY_MS, WORKERS, CLIENTS] = [
  values.streams,
  values.changes,
  values.every,
  values.workers,
  values.clients,
].map(Number) as [number, number, number, number, number];

const PATH = '/campanhas/7';
/** Sockets that a client opens at a time. */
const OPENED_AT_ONCE = 100;
/** Files that a process has open beside its streams. */
const OTHER_FILES = 200;
const MIB = 1024 * 1024;

const role = process.env.BENCH_ROLE;
if (role === 'server') await serve();
else if (role === 'client') await follow();
else await measure();

async function measure(): Promise<void> {
  checkOpenFiles(Math.ceil(STREAMS / Math.min(WORKERS, CLIENTS)) + OTHER_FILES);
  const database = await startTestServer();
  const writer = new pg.Client(database.url);
  await writer.connect();
  await writer.query(`
    create table campanhas (id int primary key, titulo text not null, meta int not null);
    create table doacoes (id int generated always as identity primary key, campanha_id int not null, valor int not null, quem text not null);
    create index on doacoes (campanha_id, id);
    alter table campanhas replica identity full;
    alter table doacoes replica identity full;
    insert into campanhas select n, 'Campanha número ' || n, 100000 from generate_series(1, 100) n;
    insert into doacoes (campanha_id, valor, quem) select 1 + n % 100, 10, 'Pessoa número ' || n from generate_series(1, 20000) n;`);
  const servers: ChildProcess[] = [];
  let port = 0;
  for (let i = 0; i < WORKERS; i++) {
    const server = start('server', { BENCH_DATABASE: database.url, BENCH_PORT: String(port) });
    servers.push(server);
    ({ port } = await next<{ port: number }>(server));
  }
  const quiet = await askAll<ServerFigures>(servers, 'figures');
  const clients = Array.from({ length: CLIENTS }, () => start('client', {}));
  await Promise.all(clients.map((client) => next(client)));
  const emptyClients = await askAll<{ rssBytes: number }>(clients, 'rss');
  const openedAt = performance.now();
  const shares = clients.map((_, i) => Math.floor(STREAMS / CLIENTS) + (i < STREAMS % CLIENTS ? 1 : 0));
  await Promise.all(clients.map((client, i) => ask(client, { open: shares[i], port })));
  const openingS = (performance.now() - openedAt) / 1_000;
  await delay(2_000);
  const open = await askAll<ServerFigures>(servers, 'figures');

  const arrivals: number[] = [];
  const slowest: number[] = [];
  for (let change = 1; change <= CHANGES; change++) {
    const {
      rows: [row],
    } = await writer.query('select sum(valor)::int + 1 as total from doacoes where campanha_id = 7');
    const arriving = clients.map((client) => ask<number[]>(client, { expect: `"total":${row.total},` }));
    await delay(EVERY_MS / 2); // all clients know what to look for
    const sentAtMs = performance.timeOrigin + performance.now();
    await writer.query(`insert into doacoes (campanha_id, valor, quem) values (7, 1, 'Quem doou agora')`);
    const times = (await Promise.all(arriving)).flat().map((atMs) => atMs - sentAtMs);
    slowest.push(Math.max(...times));
    arrivals.push(...times);
    await delay(EVERY_MS / 2);
  }
  const done = await askAll<ServerFigures>(servers, 'figures');
  const full = await askAll<{ rssBytes: number }>(clients, 'rss');
  const sum = <T>(all: readonly T[], of: (one: T) => number): number => all.reduce((total, one) => total + of(one), 0);
  const grown = (later: readonly ServerFigures[]): number =>
    sum(later, (s) => s.rssBytes) - sum(quiet, (s) => s.rssBytes);
  arrivals.sort((a, b) => a - b);
  slowest.sort((a, b) => a - b);
  const frameBytes = done[0]?.frameBytes ?? 0;
  const queries = sum(done, (s) => s.queries) - sum(open, (s) => s.queries);
  const cells = [
    STREAMS.toLocaleString('en'),
    `${WORKERS}`,
    `${quantile(arrivals, 0.5).toFixed(0)} ms`,
    `**${quantile(arrivals, 0.99).toFixed(0)} ms**`,
    `${quantile(arrivals, 1).toFixed(0)} ms`,
    `${quantile(slowest, 0.5).toFixed(0)} ms`,
    (queries / CHANGES).toFixed(2),
    `${(sum(open, (s) => s.rssBytes) / MIB).toFixed(0)} MiB`,
    `${(sum(done, (s) => s.rssBytes) / MIB).toFixed(0)} MiB`,
    `${(grown(open) / STREAMS / 1024).toFixed(1)} KiB`,
    `${((sum(full, (c) => c.rssBytes) - sum(emptyClients, (c) => c.rssBytes)) / STREAMS / 1024).toFixed(1)} KiB`,
  ];
  console.log(
    `${CHANGES} changes, one every ${EVERY_MS} ms or when the last has reached all; events of ${frameBytes} bytes; ${STREAMS.toLocaleString('en')} streams opened in ${openingS.toFixed(1)} s by ${CLIENTS} processes; every event compared.\n`,
  );
  console.log(
    '| streams | server processes | commit → client: median | p99 | max | until all have it, median | queries a change | server RSS, streams open | after the changes | a stream in the server | in its client |',
  );
  console.log(`|${'---|'.repeat(cells.length)}`);
  console.log(`| ${cells.join(' | ')} |`);
  for (const child of [...clients, ...servers]) child.kill();
  await writer.end();
  await database.stop();
}

interface ServerFigures {
  readonly rssBytes: number;
  readonly queries: number;
  readonly frameBytes: number;
}

async function serve(): Promise<void> {
  const { BENCH_DATABASE = '', BENCH_PORT = '0' } = process.env;
  const feed = createFeed({ connection: BENCH_DATABASE });
  const cache = new Cache<CacheValue>({ feed });
  const db = new Pool({ connectionString: BENCH_DATABASE, cache: cache as Cache<unknown>, feed, max: 4 });
  await feed.start();
  await untilUnsuspected(feed);
  await db.prepare();
  const app = Fastify();
  await app.register(vazaoPlugin, { cache, feed, db, live: { streamsMax: 1e6, perAddressMax: 1e6 } });
  let queries = 0;
  let frameBytes = 0;
  app.get<{ Params: { id: string } }>('/campanhas/:id', { config: { cache: true } }, async ({ params }) => {
    queries++;
    const { rows } = await db.query(
      `select c.id, c.titulo, c.meta, (select sum(valor)::int from doacoes d where d.campanha_id = c.id) as total,
         (select json_agg(d) from (select id, valor, quem from doacoes where campanha_id = c.id order by id desc limit 10) d) as ultimas
       from campanhas c where c.id = $1`,
      [params.id],
    );
    frameBytes = JSON.stringify(rows[0]).length;
    return rows[0];
  });
  // Fastify hands it on to Node, though its types don't know it.
  const address: object = { host: '127.0.0.1', port: Number(BENCH_PORT), reusePort: WORKERS > 1, backlog: 4_096 };
  await app.listen(address);
  const { port } = app.server.address() as AddressInfo;
  const first = await fetch(`http://127.0.0.1:${port}${PATH}`);
  // With several on one port it may be another that answers, from what it has kept.
  if (!/stored|; hit/.test(first.headers.get('cache-status') ?? ''))
    throw new Error(`${first.headers.get('cache-status')}: ${await first.text()}`);
  process.on('message', () => {
    const { rss: rssBytes } = process.memoryUsage();
    process.send?.({ rssBytes, queries, frameBytes } satisfies ServerFigures);
  });
  process.send?.({ port });
}

async function follow(): Promise<void> {
  const request = Buffer.from(`GET ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n`);
  let expected = Buffer.alloc(0);
  let arrived: number[] = [];
  let streams = 0;
  const check = (): void => {
    if (expected.length === 0 || arrived.length < streams) return;
    expected = Buffer.alloc(0);
    process.send?.(arrived);
  };
  const open = (port: number): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let isOpen = false;
    let head = '';
    const socket = connect({
      host: '127.0.0.1',
      port,
      // One buffer for each socket, which an event fits in whole: nothing is allocated while events arrive.
      onread: {
        buffer: Buffer.allocUnsafe(4_096),
        callback: (bytes, buffer) => {
          const text = Buffer.from(buffer.buffer, buffer.byteOffset, bytes);
          if (!isOpen) {
            head += text.toString();
            if (!'HTTP/1.1 200'.startsWith(head.slice(0, 12))) reject(new Error(head.slice(0, 1_000)));
            isOpen = head.includes('"total":');
            if (isOpen) resolve();
          } else if (expected.length > 0 && text.includes(expected)) {
            arrived.push(performance.timeOrigin + performance.now());
            check();
          }
          return true;
        },
      },
    });
    socket.on('connect', () => socket.write(request));
    socket.on('error', reject);
    socket.on('close', () => {
      if (process.connected) throw new Error('a stream has ended');
    });
    return promise;
  };
  process.on('message', async (message: { open?: number; port?: number; expect?: string } | 'rss') => {
    if (message === 'rss') process.send?.({ rssBytes: process.memoryUsage().rss });
    else if (message.expect !== undefined) {
      arrived = [];
      expected = Buffer.from(message.expect);
    } else {
      const { open: count = 0, port = 0 } = message;
      while (streams < count) {
        const wave = Math.min(OPENED_AT_ONCE, count - streams);
        await Promise.all(Array.from({ length: wave }, () => open(port)));
        streams += wave;
      }
      process.send?.('open');
    }
  });
  process.send?.('ready');
}

function start(as: 'server' | 'client', environment: Readonly<Record<string, string>>): ChildProcess {
  const child = fork(import.meta.filename, process.argv.slice(2), {
    env: { ...process.env, ...environment, BENCH_ROLE: as },
  });
  child.once('exit', (code) => {
    if (code) process.exit(code);
  });
  return child;
}

function next<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve) => child.once('message', (message) => resolve(message as T)));
}

function ask<T>(child: ChildProcess, question: object | string): Promise<T> {
  const answer = next<T>(child);
  child.send(question);
  return answer;
}

function askAll<T>(children: readonly ChildProcess[], question: string): Promise<T[]> {
  return Promise.all(children.map((child) => ask<T>(child, question)));
}

/** Node raises the limit as far as it may; beyond that only the shell, or the machine, can. */
function checkOpenFiles(needed: number): void {
  const report = process.report.getReport() as unknown as { userLimits?: { open_files?: { hard: number | string } } };
  const most = report.userLimits?.open_files?.hard;
  if (typeof most === 'number' && most < needed) {
    console.error(
      `A process may have ${most} files open, and this needs ${needed}: raise it (ulimit -Hn ${needed}, or LimitNOFILE), or give fewer streams (--streams ${most - OTHER_FILES}).`,
    );
    process.exit(1);
  }
}
