/**
 * What it costs to measure where a request's time goes, as a ratio to a request that nobody measures. One statement that reads
 * one row, past the cache and from it, alternating: `node bench/timing.ts`
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { requestChannel } from '../packages/vazao/src/http/index.ts';
import { createSetting } from '../packages/vazao/src/testing/cached-app.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 30);
const REQUESTS = 300;
const listener = (): void => {};

await using off = await createSetting();
await using on = await createSetting({ plugin: { timing: { visibleTo: 'everybody' } } });
for (const { app, read } of [off, on]) {
  app.get('/uncached', async () => ({ nome: await read() }));
  app.get('/cached', { config: { cache: true } }, async () => ({ nome: await read() }));
}
const offUrl = await off.platform.listen();
const ways = [
  { name: 'nobody measures', url: offUrl, subscribed: false },
  { name: 'a subscriber to `vazao.request`', url: offUrl, subscribed: true },
  { name: '`Server-Timing` for the caller', url: await on.platform.listen(), subscribed: false },
];

process.stdout.write('| | uncached, µs | ratio | hit, µs | ratio |\n|---|---|---|---|---|\n');
const times = new Map<string, number[]>();
for (let round = -3; round < ROUNDS; round++) {
  for (const path of ['/uncached', '/cached']) {
    for (const { name, url, subscribed } of ways) {
      if (subscribed) subscribe(requestChannel.name, listener);
      const startedAt = performance.now();
      for (let i = 0; i < REQUESTS; i++) await (await fetch(url + path)).arrayBuffer();
      const us = ((performance.now() - startedAt) / REQUESTS) * 1_000;
      if (subscribed) unsubscribe(requestChannel.name, listener);
      if (round >= 0) times.set(name + path, [...(times.get(name + path) ?? []), us]);
    }
  }
}
const median = (key: string): number => (times.get(key) ?? []).sort((a, b) => a - b)[ROUNDS >> 1] ?? Number.NaN;
const base = ways[0]?.name ?? '';
for (const { name } of ways) {
  const cells = ['/uncached', '/cached'].map((path) => {
    const us = median(name + path);
    return `${us.toFixed(0)} | ${(us / median(base + path)).toFixed(2)}`;
  });
  process.stdout.write(`| ${name} | ${cells.join(' | ')} |\n`);
}
process.exit(0); // the database that the tests' parts started ends with this process
