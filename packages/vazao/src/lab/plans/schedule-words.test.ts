/** Schedules as people write them, and what comes of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startLabServer, writeScenario } from '../../testing/lab-server.ts';
import { runPlan } from './run-plan.ts';
import { parseSchedule } from './schedule-words.ts';

test('constants, ramps, spikes and warm-ups', () => {
  assert.deepEqual(
    parseSchedule('10s:0..100/s warm-up,  1.5min: 100/s ,500ms:1000/s').map(({ text, ...part }) => Object.values(part)),
    [
      [10, 0, 100, '/s', true],
      [90, 100, 100, '/s', false],
      [0.5, 1_000, 1_000, '/s', false],
    ],
  );
  assert.deepEqual(
    parseSchedule('60s:10..200 users, 1h:1 user').map(({ from, to, unit }) => [from, to, unit]),
    [
      [10, 200, 'users'],
      [1, 1, 'users'],
    ],
  );
  const wrong: [text: string, message: RegExp][] = [
    ['', /"" is no part of a schedule: write 30s:100\/s/],
    ['30s', /"30s" is no part/],
    ['30:100/s', /is no part/],
    ['0s:100/s', /is no part/],
    ['30s:100', /is no part/],
    ['30s:-5/s', /is no part/],
    ['30s:100/s even', /is no part/],
    ['30s:100/s, 30s:5 users', /not both/],
    ['30s:100/s warm-up', /nothing would be measured/],
  ];
  for (const [text, message] of wrong)
    assert.throws(() => parseSchedule(text), { code: 'ERR_LAB_OPTION', message }, text);
});

test('a run goes as the schedule says, of the caller or else of the scenario', async () => {
  await using server = await startLabServer((_request, response) => response.end());
  using scenario = writeScenario(`export default {
    name: 'one', schedule: '500ms:20/s warm-up, 1s:20..60/s, 500ms:200/s, 1s:20/s',
    steps: [{ name: 'get', request: { path: '/' } }],
  };`);
  const options = { module: scenario.path, target: server.origin, plan: 'load', timing: 'even' } as const;
  const offered = async (more: Partial<Parameters<typeof runPlan>[0]>) => {
    const { phases, total } = await runPlan({ ...options, ...more });
    return [...phases.map((phase) => [phase.name, phase.offered]), total.offered];
  };
  assert.deepEqual(await offered({}), [
    ['1. 500ms:20/s warm-up', 10],
    ['2. 1s:20..60/s', 40],
    ['3. 500ms:200/s', 100],
    ['4. 1s:20/s', 20],
    160,
  ]);
  assert.deepEqual(await offered({ schedule: parseSchedule('1s:30/s') }), [['1. 1s:30/s', 30], 30]);
  assert.deepEqual(await offered({ rate: 50, durationS: 1, warmUpS: 0 }), [['load', 50], 50]);
  const users = await runPlan({ ...options, schedule: parseSchedule('1s:2..4 users, 1s:4 users'), thinkMs: 50 });
  assert.deepEqual(
    users.phases.map(({ users: mean }) => mean),
    [3, 4],
  );
  for (const more of [{ rate: 5 }, { durationS: 5 }, { plan: 'stress' }] as const) {
    await assert.rejects(
      runPlan({ ...options, schedule: parseSchedule('1s:30/s'), ...more }),
      /A schedule is for the plan load/,
    );
  }
});
