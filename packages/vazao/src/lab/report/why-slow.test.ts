import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createSetting, until } from '../../testing/cached-app.ts';
import { exampleRun } from '../../testing/example-run.ts';
import { planCapacity } from '../capacity/plan-capacity.ts';
import { readServerTiming } from '../engine/fields.ts';
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
    sample({ stages: { handler: 6, queries: 13 } }),
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

test('statements are in the handler, and are counted once', () => {
  const parts = partsOf(sample({ stages: { handler: 10, queries: 9 } }));
  assert.deepEqual(
    parts.map(({ name, durationMs }) => [name, durationMs]),
    [
      ['handler', 1],
      ['queries', 9],
    ],
  );
});

test('what our server writes is read as what it means: statements in the handler, waits beside it, connections for a pool', async () => {
  await using setting = await createSetting({ plugin: { timing: { visibleTo: 'everybody' } } });
  const { app, platform } = setting;
  app.get('/slow', async () => {
    await platform.db.query({ name: 'the slow one', text: 'select pg_sleep(0.05)' });
    await platform.db.query('select nome from itens');
    return {};
  });
  await platform.listen();
  const taken = await Promise.all(Array.from({ length: platform.db.options.max }, () => platform.db.connect()));
  const answer = platform.get('/slow');
  await until('it waits', () => platform.db.waitingCount > 0);
  await delay(50);
  for (const client of taken) client.release();
  const { headers } = await answer;
  const field = headers.get('server-timing') ?? '';
  const timing = readServerTiming(field, true);
  const msOf = (name: string): number => Number(new RegExp(`\\b${name};dur=([\\d.]+)`).exec(field)?.[1]);
  const latencyMs = msOf('total') + 1;
  const { stages, statements } = timing ?? assert.fail(field);
  const request = sample({ latencyMs, serviceMs: latencyMs, stages, statements });
  const parts = Object.fromEntries(partsOf(request).map(({ name, durationMs }) => [name, durationMs]));
  assert.ok((parts.pool ?? 0) >= 49, field);
  assert.ok((parts.queries ?? 0) >= 49, field);
  // Each number has three digits.
  const near = (a: number, b: number): void =>
    assert.ok(Math.abs(a - b) <= 0.02 * latencyMs, `${a} and ${b}: ${field}`);
  near(parts.queries ?? 0, msOf('q1') + msOf('q2'));
  near((parts.queries ?? 0) + (parts.handler ?? 0), msOf('handler'));
  assert.deepEqual(Object.keys(statements ?? {}), ['the slow one', 'select itens']);
  const [band] = explainLatency(Array.from({ length: 20 }, () => request)).slice(-1);
  assert.match(band?.sentence ?? '', /\d\d % waiting for a connection from the pool/);
  assert.match(band?.sentence ?? '', /\d\d % in the database \(\d\d % in the slow one\)/);

  const runs = [100, 200, 400].map((perS) => ({ ...exampleRun({ perS }), samples: [request] }));
  const { pool, requestsPerS } = planCapacity(runs, { users: 3_000, thinkS: 10 });
  const busy = (requestsPerS * (msOf('q1') + msOf('q2'))) / 1_000;
  assert.ok(busy > 10 && pool !== undefined && Math.abs(pool - 2 * busy) <= 2 + 0.04 * busy, `${pool} for ${busy}`);
});

test('each band says what it spends its time on', () => {
  const fast = Array.from({ length: 990 }, (_, index) =>
    sample({ latencyMs: 2 + index / 1_000, serviceMs: 2 + index / 1_000, stages: { handler: 1.8 } }),
  );
  const slow = Array.from({ length: 10 }, () =>
    sample({
      latencyMs: 100,
      serviceMs: 100,
      stages: { pool: 84, handler: 16, queries: 10, total: 100 },
      statements: { 'update livros': 2, 'select livros': 6 },
    }),
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
    'the slowest 1 % (100 ms on average) spend 84 % waiting for a connection from the pool, 10 % in the database (7.5 % in select livros)',
  );
  assert.match(bands[0]?.sentence ?? '', /^the fastest 50 % \(2\.25 ms on average\) spend \d\d % in the handler/);
  for (const { shares } of bands) assert.ok(Math.abs(shares.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-9);
});

test('too few requests are no band', () => {
  assert.deepEqual(explainLatency([]), []);
  assert.deepEqual(explainLatency([sample({})]), []);
});
