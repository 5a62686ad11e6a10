import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeat, judgeDeath } from './seat.ts';
import type { WorkerProcess } from './worker-process.ts';

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
