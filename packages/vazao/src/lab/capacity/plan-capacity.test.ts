/** Servers that cost 0.4 ms of a processor for each request: what they need is arithmetic. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exampleRun } from '../../testing/example-run.ts';
import type { RunResult, ServerSample } from '../run-result.ts';
import type { Interval } from '../statistics/bootstrap.ts';
import { planCapacity } from './plan-capacity.ts';

const steps = (rates: readonly number[]) =>
  rates.map((perS, index) => exampleRun({ perS, p50Ms: 8, seed: index + 1, seconds: 20 }));
const MEASURED = steps([100, 200, 400, 600, 800, 1_000]);

test('10,000 users who think 15 s are 666 requests a second, and cost what such requests cost', () => {
  const plan = planCapacity(MEASURED, { users: 10_000, thinkS: 15 });
  assert.ok(Math.abs(plan.requestsPerS - 10_000 / 15.009) < 1, String(plan.requestsPerS));
  assert.ok(Math.abs(plan.cpuS - 0.0004) < 0.00003, String(plan.cpuS));
  assert.ok(Math.abs(plan.cores - (plan.requestsPerS * plan.cpuS) / 0.7) < 1e-9);
  assert.deepEqual([plan.workers, plan.hosts, plan.refusals], [1, 1, []]);
});

test('growth and peak multiply, and a smaller share of busy processors wants more of them', () => {
  const plain = planCapacity(MEASURED, { users: 1_000, thinkS: 15 });
  const grown = planCapacity(MEASURED, { users: 1_000, thinkS: 15, growthPerYear: 0.2, years: 2, peak: 10 });
  assert.ok(Math.abs(grown.requestsPerS / plain.requestsPerS - 14.4) < 1e-9);
  const calm = planCapacity(MEASURED, { users: 1_000, thinkS: 15, cpuShare: 0.35 });
  assert.ok(Math.abs(calm.cores / plain.cores - 2) < 1e-9);
});

test('more than twice the throughput that was measured is refused, with what to measure', () => {
  const plan = planCapacity(MEASURED, { users: 10_000, thinkS: 15, peak: 4, coresPerHost: 4 });
  assert.equal(plan.hosts, 1);
  assert.match(
    plan.refusals[0] ?? '',
    /^26\d\d requests\/s a host are more than 2 times the (99|100|101)\d that were measured: measure up to 13\d\d/,
  );
});

test('several hosts are refused where one was measured', () => {
  const plan = planCapacity(MEASURED, { users: 100_000, thinkS: 15 });
  assert.equal(plan.workers, 4);
  assert.equal(plan.hosts, 2);
  assert.ok(plan.refusals.some((why) => /^2 hosts share one database/.test(why)));
});

test('two steps do not tell the cost of a request from that of an idle server', () => {
  const plan = planCapacity(steps([300, 900]), { users: 1_000, thinkS: 15 });
  assert.ok(plan.refusals.some((why) => /^2 steps of load held, and 3 are needed/.test(why)));
});

test('a server that saturates has a ceiling below its processors', () => {
  // Latency that grows with throughput: X(n) levels off at some 1,000 requests a second.
  const saturating = [
    [200, 6],
    [400, 8],
    [600, 12],
    [800, 24],
    [900, 45],
    [950, 90],
    [970, 180],
  ].map(([perS, p50Ms], index) =>
    exampleRun({ perS: perS as number, p50Ms: p50Ms as number, seed: index + 1, seconds: 40 }),
  );
  const { ceilingPerS, ceilingInterval, hosts } = planCapacity(saturating, { users: 10_000, thinkS: 15, peak: 2 });
  assert.ok(ceilingPerS !== undefined && ceilingPerS > 900 && ceilingPerS < 1_150, String(ceilingPerS));
  assert.ok(ceilingInterval && ceilingInterval.low < ceilingPerS && ceilingPerS < ceilingInterval.high);
  assert.ok(ceilingInterval.high - ceilingInterval.low < 0.5 * ceilingPerS, JSON.stringify(ceilingInterval));
  assert.equal(hosts, 2); // 1,330 requests a second, of 70 % of the ceiling each
});

test('the pool holds the statements in progress, twice; where no stage was seen, nothing is said', () => {
  // 0.5 · 9 ms of each request are in the database: 1,000 requests a second keep 4.5 connections busy.
  const plan = planCapacity(MEASURED, { users: 15_000, thinkS: 15 });
  assert.ok(plan.pool !== undefined && plan.pool >= 8 && plan.pool <= 11, String(plan.pool));
  const blind = MEASURED.map((run) => ({ ...run, samples: [] }));
  assert.equal(planCapacity(blind, { users: 1_000, thinkS: 15 }).pool, undefined);
});

const MB = 1024 ** 2;
const seenAs = (sample: Partial<ServerSample>): RunResult[] =>
  MEASURED.map((run) => ({ ...run, server: run.server.map((one) => ({ ...one, rssBytes: 900 * MB, ...sample })) }));

test('memory grows with the workers, and not with the processes of the database', () => {
  // Two workers, a supervisor and eleven processes of PostgreSQL.
  const runs = seenAs({ processes: 14, workers: 2, workerRssBytes: 150 * MB });
  const memoryOf = (users: number) => {
    const { workers, hosts, memory } = planCapacity(runs, { users, thinkS: 15, coresPerHost: 8 });
    return { workers, hosts, memory };
  };
  const of = (workers: number) => ({
    perHostBytes: ((600 + workers * 150) * MB) / 0.75,
    workerBytes: 150 * MB,
    otherBytes: 600 * MB,
  });
  assert.deepEqual(memoryOf(10_000), { workers: 1, hosts: 1, memory: of(1) });
  assert.deepEqual(memoryOf(100_000), { workers: 4, hosts: 1, memory: of(4) });
});

test('a server of one process is a worker; of several without a word on which they are, nothing is said', () => {
  const question = { users: 100_000, thinkS: 15, coresPerHost: 8 };
  assert.equal(planCapacity(seenAs({ processes: 1 }), question).memory?.perHostBytes, (4 * 900 * MB) / 0.75);
  assert.equal(planCapacity(seenAs({ processes: 14 }), question).memory, undefined);
  assert.equal(planCapacity(seenAs({ processes: 14, workers: 2 }), question).memory, undefined);
});

test('the working set is the most that a worker kept, unless answers had to go for others', () => {
  const question = { users: 1_000, thinkS: 15 };
  const cache = { entries: 300, bytes: 12 * MB, bytesMax: 64 * MB, evicted: 0 };
  const runs = seenAs({ cache });
  const emptyAtFirst = runs.map((run) => ({
    ...run,
    server: [{ atS: 0, cache: { ...cache, entries: 0, bytes: 0 } }, ...run.server],
  }));
  const kept = { entries: 300, bytes: 12 * MB, bytesMax: 64 * MB };
  assert.deepEqual(planCapacity(emptyAtFirst, question).cache, { ...kept, fits: true });
  assert.equal(planCapacity(seenAs({ cache: { ...cache, evicted: 9 } }), question).cache?.fits, false);
  assert.equal(planCapacity(MEASURED, question).cache, undefined);
});

test('what is estimated has an interval, which holds what is true', () => {
  const { cores, coresInterval, pool, poolInterval, requestsPerS } = planCapacity(MEASURED, {
    users: 15_000,
    thinkS: 15,
  });
  const isWithin = (value: number | undefined, interval: Interval | undefined): boolean =>
    value !== undefined && interval !== undefined && interval.low <= value && value <= interval.high;
  for (const value of [cores, (requestsPerS * 0.0004) / 0.7])
    assert.ok(isWithin(value, coresInterval), JSON.stringify({ value, coresInterval }));
  // Half of a log-normal latency of 8 ms with σ = 0.5 is in the database.
  const busy = requestsPerS * 0.004 * Math.exp(0.125);
  assert.ok(
    isWithin(pool, poolInterval) && isWithin(Math.ceil(2 * busy), poolInterval),
    JSON.stringify({ busy, poolInterval }),
  );
  const few = planCapacity(steps([100, 400, 800]), { users: 1_000, thinkS: 15 });
  assert.deepEqual([few.refusals, few.coresInterval], [[], undefined]);
});

test('without a run that counts, or without the processes of the server, there is no plan', () => {
  const late = MEASURED.map((run) => ({ ...run, generator: { ...run.generator, void: ['late'] } }));
  assert.throws(() => planCapacity(late, { users: 1, thinkS: 1 }), {
    code: 'ERR_LAB_CAPACITY',
    message: /None of these runs counts/,
  });
  const unseen = MEASURED.map((run) => ({ ...run, server: [] }));
  assert.throws(() => planCapacity(unseen, { users: 1, thinkS: 1 }), {
    code: 'ERR_LAB_CAPACITY',
    message: /--serve or --pid/,
  });
});
