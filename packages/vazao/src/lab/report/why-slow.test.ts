import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestSample } from '../run-result.ts';
import { explainLatency, partsOf } from './why-slow.ts';

const sample = (more: Partial<RequestSample>): RequestSample => ({
  atS: 0,
  step: 'list',
  latencyMs: 10,
  serviceMs: 10,
  status: 200,
  ...more,
});

test('the parts of a request add up to its latency, whatever the server tells', () => {
  for (const request of [
    sample({}),
    sample({ latencyMs: 50, firstByteMs: 8, stages: { cache: 1, handler: 5, db: 3, total: 7 } }),
    sample({ stages: { handler: 400 } }),
    sample({ stages: { handler: 2, db: 9 } }),
    sample({ stages: { handler: 6, q1: 5, q2: 5, q: 3 } }),
  ]) {
    const sum = partsOf(request).reduce((total, { durationMs }) => total + durationMs, 0);
    assert.ok(Math.abs(sum - request.latencyMs) < 1e-9, JSON.stringify(partsOf(request)));
  }
});

test('a stage inside another is counted once, sums are not', () => {
  const parts = partsOf(sample({ latencyMs: 25, firstByteMs: 9, stages: { hooks: 1, handler: 6, db: 4, total: 7 } }));
  assert.deepEqual(
    parts.map(({ name, durationMs }) => [name, durationMs]),
    [
      ['not sent yet', 15],
      ['hooks', 1],
      ['handler', 2],
      ['db', 4],
      ['elsewhere', 2],
      ['receiving', 1],
    ],
  );
});

test('each band says what it spends its time on', () => {
  const fast = Array.from({ length: 990 }, (_, index) =>
    sample({ latencyMs: 2 + index / 1_000, serviceMs: 2 + index / 1_000, stages: { handler: 1.8 } }),
  );
  const slow = Array.from({ length: 10 }, () =>
    sample({ latencyMs: 100, serviceMs: 100, stages: { pool: 84, handler: 16, q1: 6, q2: 4, total: 100 } }),
  );
  const bands = explainLatency([...slow, ...fast]);
  assert.deepEqual(
    bands.map(({ from, requests }) => [from, requests]),
    [
      [0, 500],
      [0.5, 400],
      [0.9, 90],
      [0.99, 10],
    ],
  );
  assert.equal(
    bands.at(-1)?.sentence,
    'the slowest 1 % (100 ms on average) spend 84 % waiting for a connection from the pool, 10 % in the database',
  );
  assert.match(bands[0]?.sentence ?? '', /^the fastest 50 % \(2\.25 ms on average\) spend \d\d % in the handler/);
  for (const { shares } of bands) assert.ok(Math.abs(shares.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-9);
});

test('too few requests are no band', () => {
  assert.deepEqual(explainLatency([]), []);
  assert.deepEqual(explainLatency([sample({})]), []);
});
