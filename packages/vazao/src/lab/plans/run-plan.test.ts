/** Plans by HTTP: which load comes when, what is judged by itself, what is passed on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startLabServer, writeScenario } from '../../testing/lab-server.ts';
import { runPlan } from './run-plan.ts';

const ONE_STEP = `export default {
  name: 'one', criteria: [{ metric: 'errorRate', max: 0 }], steps: [{ name: 'get', request: { path: '/' } }],
};`;

test('volume: each size is driven and judged by itself, after the data was made', async () => {
  let factor = 0;
  await using server = await startLabServer((_request, response) =>
    response.writeHead(factor === 100 ? 500 : 200).end(),
  );
  using scenario = writeScenario(ONE_STEP);
  const sizes: number[] = [];
  const options = {
    module: scenario.path,
    target: server.origin,
    plan: 'volume',
    rate: 100,
    timing: 'even',
    durationS: 0.5,
    warmUpS: 0.2,
  } as const;
  const run = await runPlan({
    ...options,
    resize: async (to) => {
      sizes.push(to);
      factor = to;
    },
  });
  assert.deepEqual(sizes, [1, 10, 100]);
  const measured = run.phases.filter(({ warmUp }) => !warmUp);
  assert.deepEqual(
    measured.map(({ name, offered, succeeded }) => [name, offered, succeeded]),
    [
      ['data ×1', 50, 50],
      ['data ×10', 50, 50],
      ['data ×100', 50, 0],
    ],
  );
  assert.deepEqual(
    run.criteria.map(({ phase, outcome }) => [phase, outcome]),
    [
      ['data ×1', 'passed'],
      ['data ×10', 'passed'],
      ['data ×100', 'failed'],
    ],
  );
  assert.equal(run.total.offered, 150, 'without warm-ups');
  await assert.rejects(runPlan(options), { code: 'ERR_LAB_OPTION', message: /--volume-command/ });
});

test('spike: ten times the load, and as before', async () => {
  await using server = await startLabServer((_request, response) => response.end());
  using scenario = writeScenario(ONE_STEP);
  const run = await runPlan({
    module: scenario.path,
    target: server.origin,
    plan: 'spike',
    rate: 30,
    timing: 'even',
    durationS: 3,
    warmUpS: 0,
    seed: 11,
  });
  assert.deepEqual(
    run.phases.map(({ name, offered, offeredRate, fromS, toS }) => [name, offered, offeredRate, fromS, toS]),
    [
      ['before', 30, 30, 0, 1],
      ['spike', 150, 300, 1, 1.5],
      ['after', 45, 30, 1.5, 3],
    ],
  );
  assert.ok(run.findings.recovery);
  assert.deepEqual([run.seed, run.ended, run.plan], [11, 'complete', { kind: 'spike', model: 'open' }]);
});

test('the same seed asks for the same, another one for something else', async () => {
  let urls: string[] = [];
  await using server = await startLabServer((request, response) => {
    urls.push(request.url ?? '');
    response.end();
  });
  using scenario = writeScenario(`export default { name: 'random', users: 3, steps: [
    { name: 'a', request: ({ random }) => ({ path: '/a/' + random.integer(1000) }) },
    { name: 'b', weight: 2, request: ({ random }) => ({ path: '/b/' + random.integer(1000) }) },
  ] };`);
  const asked = async (seed: number): Promise<string[]> => {
    urls = [];
    await runPlan({
      module: scenario.path,
      target: server.origin,
      plan: 'load',
      rate: 100,
      durationS: 0.5,
      warmUpS: 0,
      seed,
    });
    return urls.sort();
  };
  const first = await asked(1);
  assert.ok(first.length > 20);
  assert.deepEqual(await asked(1), first);
  assert.notDeepEqual(await asked(2), first);
});
