/**
 * What readers of a hot answer wait for while it keeps changing: with and without its computation ahead of them, in turns in
 * one run; and the same where the route says `staleFor`.
 *
 *   node bench/refresh.ts [--rounds 5] [--seconds 3] [--readers 8] [--every 100] [--takes 20]
 *
 * A reader asks, waits for a moment of random length (20 ms on average), and asks again; a writer changes the answer at
 * intervals; computing it takes `takes` milliseconds. Prints Markdown.
 */
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { createTestDatabase } from '../packages/vazao/src/testing/database.ts';
import { createTestPlatform } from '../packages/vazao/src/testing/platform.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { median, quantile } from './load.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    readers: { type: 'string', default: '8' },
    every: { type: 'string', default: '100' },
    takes: { type: 'string', default: '20' },
  },
});
const [ROUNDS, SECONDS, READERS, EVERY_MS, TAKES_MS] = [
  values.rounds,
  values.seconds,
  values.readers,
  values.every,
  values.takes,
].map(Number) as [number, number, number, number, number];
const THINKING_MS = 20;

interface Figures {
  readonly p50: number;
  readonly p99: number;
  /** Share of the answers that took more than a quarter of a computation. */
  readonly waited: number;
  readonly computations: number;
}

const CANDIDATES = [
  { name: 'for the next reader', refresh: false, staleFor: 0 },
  { name: 'ahead', refresh: {}, staleFor: 0 },
  { name: 'for the next reader, `staleFor`', refresh: false, staleFor: '1s' },
  { name: 'ahead, `staleFor`', refresh: {}, staleFor: '1s' },
] as const;

const server = await startTestServer();
const results = new Map<string, Figures[]>(CANDIDATES.map(({ name }) => [name, []]));
for (let round = 0; round < ROUNDS; round++) {
  const order = round % 2 === 0 ? CANDIDATES : CANDIDATES.toReversed();
  for (const candidate of order) results.get(candidate.name)?.push(await measure(candidate));
}
await server.stop();
console.log(
  `${ROUNDS} rounds of ${SECONDS} s in turns; ${READERS} readers; a change every ${EVERY_MS} ms; a computation takes ${TAKES_MS} ms. Medians of the rounds.\n`,
);
console.log('| computed | median | p99 | of all readers waited | computations a second |\n|---|---|---|---|---|');
for (const [name, rounds] of results) {
  const of = (figure: (one: Figures) => number): number => median(rounds.map(figure));
  const cells = [
    name,
    `${of((f) => f.p50).toFixed(2)} ms`,
    `**${of((f) => f.p99).toFixed(1)} ms**`,
    `${(of((f) => f.waited) * 100).toFixed(1)} %`,
    of((f) => f.computations / SECONDS).toFixed(1),
  ];
  console.log(`| ${cells.join(' | ')} |`);
}

async function measure({ refresh, staleFor }: (typeof CANDIDATES)[number]): Promise<Figures> {
  await using database = await createTestDatabase({ serverUrl: server.url });
  await using platform = await createTestPlatform(database, {
    schema: 'create table itens (id int primary key, n int not null); insert into itens values (1, 0);',
    plugin: { refresh, audit: false },
  });
  let computations = 0;
  platform.app.get('/item', { config: { cache: { staleFor } } }, async () => {
    computations++;
    const { rows } = await platform.db.query('select n from itens where id = 1');
    await delay(TAKES_MS);
    return rows[0];
  });
  const url = `${await platform.listen()}/item`;
  const agent = new Agent({ keepAlive: true, maxSockets: READERS });
  const writer = new pg.Client(database.url);
  await writer.connect();
  const endsAt = performance.now() + (SECONDS + 1) * 1_000;
  const countsFrom = performance.now() + 1_000; // it has to prove hot first
  const times: number[] = [];
  let countedFrom = 0;
  const writing = (async () => {
    while (performance.now() < endsAt) {
      await writer.query('update itens set n = n + 1 where id = 1');
      await delay(EVERY_MS);
      if (countedFrom === 0 && performance.now() >= countsFrom) countedFrom = computations;
    }
  })();
  const reading = Array.from({ length: READERS }, async () => {
    while (performance.now() < endsAt) {
      const sentAt = performance.now();
      await get(url, agent);
      if (sentAt >= countsFrom) times.push(performance.now() - sentAt);
      await delay(-Math.log(1 - Math.random()) * THINKING_MS);
    }
  });
  await Promise.all([writing, ...reading]);
  agent.destroy();
  await writer.end();
  times.sort((a, b) => a - b);
  const waited = times.filter((ms) => ms > TAKES_MS / 4).length / times.length;
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), waited, computations: computations - countedFrom };
}

function get(url: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent }, (response) => response.resume().on('end', resolve));
    sent.on('error', reject);
    sent.end();
  });
}
