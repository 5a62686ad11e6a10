/**
 * The delay from the moment a writer's commit returns to the commit event of the feed, in one process and on one host:
 *
 *   node bench/feed-lag.ts [updates]
 *
 * Writer and feed share the event loop here, so a negative delay means that the event came before the writer was told.
 */
import pg from 'pg';
import { createFeed } from '../packages/vazao/src/feed/index.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';

const updates = Number(process.argv[2] ?? 5_000);
const server = await startTestServer();
const writer = new pg.Client(server.url);
await writer.connect();
await writer.query('create table counter (id int primary key, n int); alter table counter replica identity full');
await writer.query('insert into counter select i, 0 from generate_series(1, 1000) i');

const feed = createFeed({ connection: server.url });
const arrivedAt: number[] = [];
let arrived = (): void => {};
feed.on('commit', () => {
  arrivedAt.push(performance.now());
  arrived();
});
await feed.start();

const delays: number[] = [];
const serverDelays: number[] = [];
feed.on('commit', (commit) => serverDelays.push(commit.receivedAtMs - commit.committedAtMs));
for (let update = 0; update < updates; update++) {
  const event = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  await writer.query('update counter set n = n + 1 where id = $1', [1 + (update % 1000)]);
  const returnedAt = performance.now();
  await event;
  delays.push((arrivedAt.at(-1) ?? 0) - returnedAt);
}

const reads = 5_000_000;
const startedAt = performance.now();
let fresh = 0;
for (let read = 0; read < reads; read++) if (feed.isFresh()) fresh++;
const freshNs = ((performance.now() - startedAt) * 1e6) / reads;

const show = (name: string, values: number[]): void => {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(3);
  console.log(
    `${name.padEnd(34)} median ${at(0.5)} ms   p99 ${at(0.99)} ms   max ${at(1)} ms   (${values.length} updates)`,
  );
};
show('commit returned → event', delays);
show('commit by the server’s clock → event', serverDelays.slice(-updates));
console.log(`isFresh(): ${freshNs.toFixed(0)} ns (${fresh === reads ? 'fresh throughout' : 'not always fresh'})`);

await feed.close();
await writer.end();
await server.stop();
