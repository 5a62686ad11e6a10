import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LatencySummary, SecondFigures } from '../run-result.ts';
import { measureRecovery } from './spike.ts';

const latencyOf = (p99Ms: number): LatencySummary => ({
  count: 100,
  minMs: 1,
  meanMs: 2,
  p50Ms: 2,
  p90Ms: 3,
  p95Ms: 4,
  p99Ms,
  p999Ms: p99Ms,
  maxMs: p99Ms,
});

function second(atS: number, p99Ms: number, changes: Partial<SecondFigures> = {}): SecondFigures {
  const errors = { timeout: 0, connect: 0, reset: 0, malformed: 0, status: 0, check: 0 };
  const counts = {
    offered: 100,
    sent: 100,
    unsent: 0,
    completed: 100,
    succeeded: 100,
    errors,
    bytesReceived: 0,
    cacheHits: 0,
    cacheMisses: 0,
  };
  return { ...counts, atS, phase: 'after', latency: latencyOf(p99Ms), inFlight: 0, waiting: 0, ...changes };
}

const before = { latency: latencyOf(30), offered: 1_000, succeeded: 1_000 };
const after = { fromS: 10, toS: 20 };
const recoveryOf = (p99s: readonly number[], changes: Partial<SecondFigures>[] = []): number | undefined =>
  measureRecovery(
    before,
    after,
    p99s.map((p99, index) => second(10 + index, p99, changes[index])),
  ).recoveredAfterS;

test('the last second that was worse decides', () => {
  assert.equal(recoveryOf([40, 30, 30, 30, 30, 30, 30, 30, 30, 30]), 0);
  assert.equal(recoveryOf([500, 300, 61, 60, 30, 30, 30, 30, 30, 30]), 3);
  assert.equal(recoveryOf([30, 30, 30, 30, 900, 30, 30, 30, 30, 30]), 5, 'also when it seemed to be over');
});

test('while the last second is worse, it has not recovered', () => {
  assert.equal(recoveryOf([30, 30, 30, 30, 30, 30, 30, 30, 30, 61]), undefined);
});

test('failures count, and so does a second in which nothing comes', () => {
  const failing = { succeeded: 50 };
  assert.equal(recoveryOf(Array(10).fill(30), [failing, failing]), 2);
  const silent = { completed: 0, succeeded: 0, inFlight: 100, latency: { ...latencyOf(0), count: 0 } };
  assert.equal(recoveryOf(Array(10).fill(30), [{}, silent]), 2);
  const { worstP99Ms, baselineP99Ms } = measureRecovery(before, after, [
    second(5, 800, { phase: 'spike' }),
    second(1, 9_000, { phase: 'warm-up' }),
  ]);
  assert.deepEqual([worstP99Ms, baselineP99Ms], [800, 30]);
});
