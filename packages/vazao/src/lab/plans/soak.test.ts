/**
 * Leaks and slow-downs: planted ones are found, clean servers pass. The series are simulated as servers behave (a heap that is
 * collected, an RSS that settles, noise in the tail); `npm run bench:lab -- --soak` plants them in a server.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createRandom, type Random } from '../engine/random.ts';
import type { SecondFigures, ServerSample, Trend } from '../run-result.ts';
import { findTrends } from './soak.ts';

const SEED = Number(process.env.LAB_SEED ?? 20_261_122);
const MB = 2 ** 20;
const SECONDS = 600;
const RATE = 100;

interface Planted {
  readonly leakBytesPerRequest?: number;
  readonly leakedConnections?: number;
  readonly slowerMsPerHour?: number;
}

function simulate(random: Random, planted: Planted): { seconds: SecondFigures[]; server: ServerSample[] } {
  const { leakBytesPerRequest = 0, leakedConnections = 0, slowerMsPerHour = 0 } = planted;
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const seconds: SecondFigures[] = [];
  const server: ServerSample[] = [];
  let requests = 0;
  for (let atS = 0; atS < SECONDS; atS++) {
    const completed = Math.round(RATE + Math.sqrt(RATE) * normal());
    requests += completed;
    // One second in fifty has a slow request of the machine's own.
    const p99Ms = Math.max(
      1,
      12 + 1.5 * normal() + (random.next() < 0.02 ? 40 * random.next() : 0) + (slowerMsPerHour * atS) / 3_600,
    );
    const latency = {
      count: completed,
      minMs: 1,
      meanMs: 4,
      p50Ms: 3,
      p90Ms: 6,
      p95Ms: 8,
      p99Ms,
      p999Ms: p99Ms,
      maxMs: p99Ms,
    };
    const errors = { timeout: 0, connect: 0, reset: 0, malformed: 0, status: 0, check: 0 };
    seconds.push({
      atS,
      phase: 'soak',
      offered: completed,
      sent: completed,
      unsent: 0,
      completed,
      succeeded: completed,
      errors,
      bytesReceived: 0,
      cacheHits: 0,
      cacheMisses: 0,
      latency,
      inFlight: 0,
      waiting: 0,
    });
    const leaked = leakBytesPerRequest * requests;
    const settling = 8 * MB * (1 - Math.exp(-atS / 30));
    server.push({
      atS: atS + 0.3 * random.next(),
      heapAfterGcBytes: 40 * MB + settling / 4 + leaked + 0.3 * MB * normal(),
      // Garbage that is still there, up to 20 MB.
      rssBytes: 120 * MB + settling + leaked + 20 * MB * random.next(),
      handles: 40 + Math.round(2 * normal()) + Math.floor(leakedConnections * requests),
      connections: 20 + Math.round(2 * normal()) + Math.floor(leakedConnections * requests),
    });
  }
  return { seconds, server };
}

function rising(planted: Planted, seed: number): Trend['series'][] {
  const { seconds, server } = simulate(createRandom(seed), planted);
  const trends = findTrends(seconds, server);
  assert.deepEqual(
    trends.map(({ series }) => series),
    ['heap', 'rss', 'handles', 'connections', 'p99'],
  );
  return trends.filter(({ outcome }) => outcome === 'rising').map(({ series }) => series);
}

test('a clean server passes 20 times out of 20', () => {
  for (let run = 0; run < 20; run++) assert.deepEqual(rising({}, SEED + run), [], `seed ${SEED + run}`);
});

suite('what was planted is found, and nothing else', () => {
  for (let run = 0; run < 5; run++) {
    const seed = SEED + 1_000 + run;
    test(`1 KB a request, seed ${seed}`, () =>
      assert.deepEqual(rising({ leakBytesPerRequest: 1_024 }, seed), ['heap', 'rss']));
    test(`a connection in 200 requests, seed ${seed}`, () =>
      assert.deepEqual(rising({ leakedConnections: 1 / 200 }, seed), ['handles', 'connections']));
    test(`30 ms slower in an hour, seed ${seed}`, () =>
      assert.deepEqual(rising({ slowerMsPerHour: 30 }, seed), ['p99']));
  }
});

test('40 bytes a request are nothing, however sure they are', () => {
  for (let run = 0; run < 5; run++)
    assert.deepEqual(rising({ leakBytesPerRequest: 40 }, SEED + run), [], `seed ${SEED + run}`);
});

test('a leak is told in bytes per hour, with its interval', () => {
  const { seconds, server } = simulate(createRandom(SEED), { leakBytesPerRequest: 1_024 });
  const heap = findTrends(seconds, server).find(({ series }) => series === 'heap');
  const planted = 1_024 * RATE * 3_600;
  assert.ok(heap && heap.low <= heap.slopePerHour && heap.slopePerHour <= heap.high);
  assert.ok(Math.abs(heap.slopePerHour / planted - 1) < 0.1, `${heap.slopePerHour} of ${planted}`);
});

test('a run that is too short says so, and nothing is asked of what was not measured', () => {
  const { seconds, server } = simulate(createRandom(SEED), {});
  const short = findTrends(
    seconds.slice(0, 5),
    server.slice(0, 5).map(({ atS, rssBytes }) => ({ atS, rssBytes })),
  );
  assert.deepEqual(
    short.map(({ series, outcome }) => [series, outcome]),
    [
      ['rss', 'unknown'],
      ['p99', 'unknown'],
    ],
  );
});
