/** The knee of servers whose capacity is known: by queueing theory for many, by HTTP for one. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { startLabServer, writeScenario } from '../../testing/lab-server.ts';
import { runPlan } from './run-plan.ts';
import { type StepShown, searchKnee } from './stress.ts';

suite('the search', () => {
  /** M/D/1 (Pollaczek and Khinchine): the mean wait is ρ / (2 (1 − ρ)) service times; the criterion is a mean of 20 of them. */
  const capacityFor =
    (serviceS: number) =>
    (level: number): Promise<StepShown> => {
      const load = level * serviceS;
      const responses = load < 1 ? 1 + load / (2 * (1 - load)) : Number.POSITIVE_INFINITY;
      const throughput = Math.min(level, 1 / serviceS);
      return Promise.resolve({
        level,
        throughput,
        broke: responses > 20 ? 'mean broke' : undefined,
        saturated: throughput < 0.95 * level,
      });
    };
  // 1 + ρ / (2 (1 − ρ)) = 20
  const KNEE = 38 / 39;

  for (const capacity of [3, 17, 100, 1_234, 50_000]) {
    for (const first of [1, 50, 20_000]) {
      test(`${capacity}/s, from ${first}/s on`, async () => {
        const { held, broke, ended } = await searchKnee({ first, show: capacityFor(1 / capacity) });
        assert.ok(ended && held && broke);
        assert.ok(held.level <= capacity * KNEE && broke.level > capacity * KNEE, 'the knee lies between the two');
        assert.ok(Math.abs(held.throughput / (capacity * KNEE) - 1) < 0.1, `${held.throughput}`);
      });
    }
  }

  test('a server that does not hold anything ends it', async () => {
    const broken = (level: number): Promise<StepShown> =>
      Promise.resolve({ level, throughput: 0, broke: 'errorRate broke', saturated: false });
    const { held, ended } = await searchKnee({ first: 100, show: broken });
    assert.deepEqual([held, ended], [undefined, true]);
  });

  test('an interruption ends it with what it has', async () => {
    let steps = 0;
    const { held, broke, ended } = await searchKnee({
      first: 10,
      show: async (level) => {
        steps += 1;
        return steps > 3 ? undefined : { level, throughput: level, broke: undefined, saturated: false };
      },
    });
    assert.deepEqual([held?.level, broke, ended], [22.5, undefined, false]);
  });
});

suite('the search with users', () => {
  /** Asymptotic bounds of a closed system: N users give N / (Z + R) until the capacity, and then no more. */
  const closedFor =
    (capacity: number, cycleS: number, shown: number[] = []) =>
    (level: number): Promise<StepShown> => {
      shown.push(level);
      // Half a percent of noise, in both directions in turn.
      const throughput = Math.min(capacity, level / cycleS) * (1 + (shown.length % 2 === 0 ? 0.005 : -0.005));
      return Promise.resolve({ level, throughput, broke: undefined, saturated: false });
    };

  for (const [capacity, cycleS, first] of [
    [500, 1.02, 50],
    [500, 1.02, 1_000],
    [40, 5.1, 10_000],
    [2_000, 0.0105, 1],
    [3_000, 5, 1_000],
  ] as const) {
    test(`${capacity}/s with ${cycleS} s from request to request, from ${first} users on`, async () => {
      const shown: number[] = [];
      const { held, broke, ended } = await searchKnee({
        first,
        closed: true,
        show: closedFor(capacity, cycleS, shown),
      });
      const knee = capacity * cycleS;
      assert.ok(ended && held && broke?.saturated, JSON.stringify({ held, broke }));
      assert.ok(Math.abs(held.throughput / capacity - 1) < 0.12, `${held.throughput}`);
      assert.ok(held.level <= knee && held.level > knee * 0.85, `${held.level} of ${knee}`);
      assert.ok(shown.length < 25 && shown.every(Number.isInteger), String(shown));
    });
  }

  test('it ends where the generator has no more connections, and names nothing that broke', async () => {
    const shown: number[] = [];
    const { held, broke } = await searchKnee({
      first: 800,
      levelMax: 2_000,
      closed: true,
      show: closedFor(1e6, 1, shown),
    });
    assert.deepEqual([shown, held?.level, broke], [[800, 1_200, 1_800, 2_000], 2_000, undefined]);
  });

  test('one user, who is too many', async () => {
    const shown: number[] = [];
    const show = async (level: number): Promise<StepShown> => {
      shown.push(level);
      return { level, throughput: 1, broke: 'p99 broke', saturated: false };
    };
    const { held, broke } = await searchKnee({ first: 3, closed: true, show });
    assert.deepEqual([shown, held, broke?.level], [[3, 2, 1], undefined, 1]);
  });
});

test('users of a server with a known capacity: the knee is found without a criterion', async () => {
  const SERVICE_MS = 12.5;
  let freeAt = 0;
  await using server = await startLabServer((_request, response) => {
    freeAt = Math.max(performance.now(), freeAt) + SERVICE_MS;
    setTimeout(() => response.end(), freeAt - performance.now());
  });
  using scenario = writeScenario(`export default { name: 'one', steps: [{ name: 'get', request: { path: '/' } }] };`);
  const run = await runPlan({
    module: scenario.path,
    target: server.origin,
    plan: 'stress',
    users: 10,
    thinkMs: 250,
    timing: 'even',
    durationS: 1.5,
    warmUpS: 0.5,
  });
  const { knee } = run.findings;
  // Where the machine was so busy that the generator was late, the end is the generator's.
  if (run.generator.void === undefined) assert.equal(run.ended, 'saturated');
  // Most of what is allowed is for a busy machine.
  assert.ok(knee && Math.abs(knee.throughput / 80 - 1) < 0.15, JSON.stringify(knee));
  // 80/s × (250 ms + 12.5 ms) = 21 users.
  assert.ok(knee.heldRate >= 15 && knee.heldRate <= 26, JSON.stringify(knee));
  assert.match(knee.why, /^\d+ users held; at \d+ more users gave no more throughput\./);
});

test('more users than 1,000: each of them has a connection', { timeout: 60_000 }, async () => {
  await using server = await startLabServer((_request, response) => {
    setTimeout(() => response.end(), 300);
  });
  using scenario = writeScenario(`export default { name: 'one', steps: [{ name: 'get', request: { path: '/' } }] };`);
  const stopping = new AbortController();
  const run = await runPlan({
    module: scenario.path,
    target: server.origin,
    plan: 'stress',
    users: 900,
    thinkMs: 1_500,
    durationS: 2,
    warmUpS: 1,
    signal: stopping.signal,
    onProgress: ({ second }) => {
      if (second.phase === 'warm-up of 2025 users') stopping.abort();
    },
  });
  assert.ok(run.generator.connections > 1_000, `${run.generator.connections}`);
  assert.equal(run.total.unsent, 0);
});

test('a server that serves 80 requests a second, one after the other', async () => {
  const SERVICE_MS = 12.5;
  let freeAt = 0;
  await using server = await startLabServer((_request, response) => {
    // By a clock of its own, so that the capacity does not depend on how punctual timers are.
    freeAt = Math.max(performance.now(), freeAt) + SERVICE_MS;
    setTimeout(() => response.end(), freeAt - performance.now());
  });
  using scenario = writeScenario(`export default { name: 'one', steps: [{ name: 'get', request: { path: '/' } }] };`);
  const run = await runPlan({
    module: scenario.path,
    target: server.origin,
    plan: 'stress',
    rate: 60,
    timing: 'even',
    durationS: 1.2,
    warmUpS: 0.3,
    criteria: [
      { metric: 'p50', max: 80 },
      { metric: 'throughput', min: 1_000 },
    ],
  });
  const { knee } = run.findings;
  // At 12 % too much the median waits 112 ms; most of what is allowed is for a busy machine.
  assert.ok(knee && Math.abs(knee.throughput / 80 - 1) < 0.1, JSON.stringify(knee));
  assert.ok(knee.brokeRate !== undefined && knee.brokeRate / knee.heldRate <= 1.06, JSON.stringify(knee));
  if (run.generator.void === undefined) assert.equal(knee.limit, 'server');
  assert.match(knee.why, /^\d+ requests\/s held; at \d+ (p50 broke|less was served than offered)\./);
  assert.equal(run.phases.filter(({ warmUp }) => !warmUp).length, run.phases.length / 2);
  assert.deepEqual(
    run.criteria.map(({ metric, outcome }) => [metric, outcome]),
    [['p50', 'passed']],
  );
});
