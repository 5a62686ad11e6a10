/** What the generator says of servers whose latency is known. No time is asserted more narrowly than a busy machine allows. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { startLabServer, writeScenario } from '../../testing/lab-server.ts';
import { runPlan } from '../plans/run-plan.ts';
import type { RunResult } from '../run-result.ts';

const ONE_STEP = `export default { name: 'one', steps: [{ name: 'get', request: { path: '/' } }] };`;
const told = (run: RunResult): string => JSON.stringify({ latency: run.total.latency, generator: run.generator });

/** A server that stands still for a while in each period, and what percentiles that gives. */
const STALLS = [
  // As it was asked for: one request in fifty meets it.
  { periodMs: 10_000, stallMs: 200, quantiles: [0.99, 0.999], undisturbed: 0.95 },
  // So much that it shows on any machine.
  { periodMs: 3_000, stallMs: 600, quantiles: [0.95, 0.99], undisturbed: 0.75 },
] as const;

for (const { periodMs, stallMs, quantiles, undisturbed } of STALLS) {
  suite(`a server that stands still for ${stallMs} ms every ${periodMs / 1_000} s`, { concurrency: true }, () => {
    /** Of arrivals at any time, whose wait is from 0 to the stall when they come in it. */
    const analytic = (quantile: number): number => Math.max(0, stallMs - (1 - quantile) * periodMs);

    const measure = async (load: { rate: number } | { users: number; thinkMs: number }): Promise<RunResult> => {
      const startedAt = performance.now();
      await using server = await startLabServer((_request, response) => {
        const into = (performance.now() - startedAt) % periodMs;
        // The stall is in the middle, so that a whole number of periods has a whole number of stalls.
        const left = into >= periodMs / 2 && into < periodMs / 2 + stallMs ? periodMs / 2 + stallMs - into : 0;
        if (left > 0) setTimeout(() => response.end('late'), left);
        else response.end('at once');
      });
      using scenario = writeScenario(ONE_STEP);
      return await runPlan({
        module: scenario.path,
        target: server.origin,
        plan: 'load',
        timing: 'even',
        durationS: periodMs / 1_000,
        warmUpS: 0,
        ...load,
      });
    };
    const measuredAt = ({ total: { latency } }: RunResult, quantile: number): number =>
      quantile === 0.95 ? latency.p95Ms : quantile === 0.99 ? latency.p99Ms : latency.p999Ms;

    test('the open model shows it as long as it was', async () => {
      const run = await measure({ rate: 200 });
      // Other load on the machine only adds to a latency; how much, those show that did not come in the stall.
      const sorted = run.samples.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
      const noiseMs = sorted[Math.floor(sorted.length * undisturbed)] as number;
      for (const quantile of quantiles) {
        const measured = measuredAt(run, quantile);
        assert.ok(measured > 0.85 * analytic(quantile), `${quantile}: ${told(run)}`);
        const most = 1.05 * analytic(quantile) + 20 + 3 * noiseMs;
        assert.ok(measured < most, `${quantile}: at most ${most.toFixed(0)} ms, ${told(run)}`);
      }
      assert.ok(run.total.latency.p50Ms < analytic(quantiles[0]), told(run));
      assert.equal(run.total.offered, periodMs / 5);
      assert.equal(run.total.succeeded, periodMs / 5);
    });

    test('a closed generator does not', async () => {
      const run = await measure({ users: 1, thinkMs: 0 });
      const { p99Ms, p50Ms, maxMs } = run.total.latency;
      assert.ok(p99Ms < analytic(quantiles[0]) / 2 + 3 * p50Ms, told(run));
      assert.ok(maxMs > stallMs / 2, 'it has seen the stall, as one request');
    });
  });
}

test('a server with two known service times: each percentile is the one or the other', async () => {
  let count = 0;
  await using server = await startLabServer((_request, response) => {
    // A fifth takes long.
    setTimeout(() => response.end('hello'), count++ % 5 === 0 ? 200 : 50);
  });
  using scenario = writeScenario(ONE_STEP);
  const run = await runPlan({
    module: scenario.path,
    target: server.origin,
    plan: 'load',
    rate: 100,
    timing: 'even',
    durationS: 3,
    warmUpS: 0,
    criteria: [
      { metric: 'throughput', min: 99.9, max: 100.1 },
      { metric: 'p50', min: 49, max: 150 },
      { metric: 'p99', max: 10 },
    ],
  });
  const { latency, service, offered, sent, completed, throughput } = run.total;
  assert.deepEqual(
    { offered, sent, completed, throughput },
    { offered: 300, sent: 300, completed: 300, throughput: 100 },
  );
  // A timer of Node may be a millisecond early.
  assert.ok(latency.minMs > 48 && latency.p50Ms < 150, told(run));
  assert.ok(latency.p90Ms > 198 && latency.p99Ms > 198, told(run));
  assert.ok(service.p50Ms <= latency.p50Ms && service.maxMs <= latency.maxMs, told(run));
  assert.deepEqual(
    run.criteria.map(({ outcome }) => outcome),
    ['passed', 'passed', 'failed'],
  );
  assert.equal(run.verdict, run.generator.void ? 'void' : 'failed');
  const inSeconds = run.seconds.reduce((sum, second) => sum + second.completed, 0);
  assert.equal(inSeconds, 300, 'the seconds add up to the whole');
  assert.equal(run.samples.length, 300);
  // The histogram has three digits.
  assert.ok(Math.abs((run.slowest[0]?.latencyMs ?? 0) / latency.maxMs - 1) < 0.002);
});

test('requests that find no free connection have waited since they were due', async () => {
  await using server = await startLabServer((_request, response) => setTimeout(() => response.end(), 100));
  using scenario = writeScenario(ONE_STEP);
  // Four connections serve 40 of the 80 requests a second: the wait grows by half a second each second.
  const run = await runPlan({
    module: scenario.path,
    target: server.origin,
    plan: 'load',
    rate: 80,
    timing: 'even',
    connectionsMax: 4,
    durationS: 2,
    warmUpS: 0,
  });
  const { offered, sent, unsent, completed, latency, service } = run.total;
  assert.equal(offered, 160);
  assert.equal(sent + unsent, offered);
  assert.equal(completed, sent);
  assert.ok(unsent >= 70, `${unsent} were left when it ended`);
  assert.ok(latency.maxMs > 800, told(run));
  assert.ok(service.p50Ms < latency.p50Ms - 150, told(run));
  assert.ok(run.total.succeeded / offered < 0.6);
});

test('users, throughput, response time and time to think agree: N = X(R + Z)', async () => {
  await using server = await startLabServer((_request, response) => setTimeout(() => response.end(), 30));
  using scenario = writeScenario(ONE_STEP);
  const run = await runPlan({
    module: scenario.path,
    target: server.origin,
    plan: 'load',
    users: 40,
    thinkMs: 200,
    durationS: 2,
    warmUpS: 0.5,
  });
  const law = run.phases.at(-1)?.littlesLaw;
  assert.ok(law && law.ratio > 0.9 && law.ratio < 1.1, JSON.stringify(law));
  assert.equal(law?.users, 40);
  assert.ok((law?.responseMs ?? 0) >= 29 && (law?.thinkMs ?? 0) > 150, JSON.stringify(law));
  assert.ok(run.generator.connections <= 40);
});

test('a generator that is late says that its run is void, and why', async () => {
  await using server = await startLabServer((_request, response) => response.end());
  using scenario = writeScenario(`export default { name: 'slow', steps: [{ name: 'get', request: () => {
    const until = performance.now() + 25;
    while (performance.now() < until);
    return { path: '/' };
  } }] };`);
  const run = await runPlan({
    module: scenario.path,
    target: server.origin,
    plan: 'load',
    rate: 100,
    timing: 'even',
    durationS: 1.1,
    warmUpS: 0,
    criteria: [{ metric: 'throughput', min: 0 }],
  });
  assert.equal(run.verdict, 'void');
  assert.equal(run.criteria[0]?.outcome, 'passed', 'whatever the criteria say');
  // 110 requests were due in 1.1 s and took 2.75 s: whose fault it was, the wait is in the latency, and not in the service time.
  assert.ok(run.total.latency.p50Ms > 300 && run.total.latency.p50Ms > run.total.service.p50Ms + 200, told(run));
  assert.match(run.generator.void?.join('\n') ?? '', /The generator was late: \d+\.\d % of the requests/);
  assert.match(run.generator.void?.join('\n') ?? '', /The generator stood still/);
});
