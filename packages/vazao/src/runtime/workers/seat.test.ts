import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeat, drawBounds, findReached, judgeDeath } from './seat.ts';
import type { WorkerProcess } from './worker-process.ts';

const MB = 1024 ** 2;

test('a worker is replaced when it has reached a bound, and its memory counts when it is no longer starting', () => {
  const bounds = { requestsMax: 100, rssMaxBytes: 200 * MB };
  const reached = (requests: number, rss: number, ageMs = 60_000) =>
    findReached(bounds, { requests, rssBytes: rss * MB }, ageMs);
  assert.deepEqual([reached(99, 200), reached(100, 0), reached(0, 201)], [undefined, 'requests', 'memory']);
  assert.equal(reached(0, 201, 29_000), undefined);
  const none = findReached({ requestsMax: 0, rssMaxBytes: 0 }, { requests: 1e9, rssBytes: 1e12 }, 60_000);
  assert.equal(none, undefined, '0 is no bound');
});

test('workers reach their bounds apart from each other, and none later than was said', () => {
  const all = { requestsMax: 1_000, rssMaxBytes: 200 * MB };
  assert.deepEqual(
    drawBounds(all, () => 0),
    all,
  );
  assert.deepEqual(
    drawBounds(all, () => 1),
    { requestsMax: 800, rssMaxBytes: 190 * MB },
  );
  const draws = [0.2, 0.3, 0.7, 0.9];
  const [one, other] = [drawBounds(all, () => draws.shift() ?? 0), drawBounds(all, () => draws.shift() ?? 0)];
  assert.notEqual(one.rssMaxBytes, other.rssMaxBytes);
  assert.notEqual(one.requestsMax, other.requestsMax);
});

test('quick deaths in a row are a crash loop, with pauses that grow; a long life, a kill and the database break the row', () => {
  const die = (seat: ReturnType<typeof createSeat>, how = 'code 1', { livedMs = 1_000, away = false } = {}) => {
    const startedAtMs = performance.now() - livedMs;
    const worker = { startedAtMs, hasServed: true, failure: away ? { isDatabaseAway: true } : undefined };
    const staleAtMs = Number.NEGATIVE_INFINITY;
    return judgeDeath(seat, { worker: worker as WorkerProcess, how, staleAtMs, random: () => 1 });
  };
  const seat = createSeat();
  assert.deepEqual([die(seat), die(seat), die(seat), die(seat)], [100, 200, 400, 800]);
  assert.equal(die(seat, 'SIGKILL'), 800, 'somebody’s hand is no defect');
  assert.equal(die(seat, 'code 1', { away: true }), 100, 'nor is the database');
  assert.equal(die(seat), 'crash loop');
  for (let death = 0; death < 4; death++) die(seat);
  assert.equal(die(seat, 'code 1', { livedMs: 60_000 }), 100);
  assert.notEqual(die(seat), 'crash loop', 'it counts from the beginning');
});

test('a worker that could not reach the database, however often, is followed within a second, and is no crash loop', () => {
  const seat = createSeat();
  const worker = { startedAtMs: performance.now(), failure: { isDatabaseAway: true } } as unknown as WorkerProcess;
  for (let death = 0; death < 20; death++) {
    const pauseMs = judgeDeath(seat, { worker, how: 'exit code 1', staleAtMs: 0, random: () => 1 });
    assert.ok(typeof pauseMs === 'number' && pauseMs <= 1_000, String(pauseMs));
  }
});

test('one that ends at once by itself waits longer each time, until it is a crash loop', () => {
  const seat = createSeat();
  const worker = { startedAtMs: performance.now() } as unknown as WorkerProcess;
  const death = { worker, how: 'exit code 1', staleAtMs: Number.NEGATIVE_INFINITY, random: () => 1 };
  const pauses = Array.from({ length: 5 }, () => judgeDeath(seat, death));
  assert.deepEqual(pauses, [100, 200, 400, 800, 'crash loop']);
});
