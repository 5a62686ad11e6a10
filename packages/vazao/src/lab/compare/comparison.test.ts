import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exampleRun } from '../../testing/example-run.ts';
import { compareCandidates, judgeCandidate, summarise } from './comparison.ts';
import { runComparison } from './run-comparison.ts';
import { formatTable } from './table.ts';

const CANDIDATES = ['single', 'workers', 'cache'].map((name) => ({ name, description: `as ${name}` }));
const VOID = { ...exampleRun({ seconds: 1 }).generator, void: ['late'] };

test('each round runs every candidate once, in an order that the seed decides', async () => {
  const orderOf = async (seed: number): Promise<string[]> => {
    const order: string[] = [];
    await runComparison({
      candidates: CANDIDATES,
      seed,
      roundsMax: 8,
      budgetMs: 1e9,
      run: async ({ name }) => {
        order.push(name);
        return exampleRun({ seconds: 1 });
      },
    });
    return order;
  };
  const order = await orderOf(3);
  assert.equal(order.length, 24);
  for (let round = 0; round < 8; round++) assert.equal(new Set(order.slice(3 * round, 3 * round + 3)).size, 3);
  assert.deepEqual(await orderOf(3), order);
  assert.notDeepEqual(await orderOf(4), order);
  assert.ok(new Set(order.filter((_, index) => index % 3 === 0)).size > 1, 'the first is not always the same');
});

test('no round begins that would end after the budget, and the first always does', async () => {
  let now = 0;
  const rounds = async (budgetMs: number): Promise<number> => {
    now = 0;
    const run = async () => {
      now += 10;
      return exampleRun({ seconds: 1 });
    };
    const options = { candidates: CANDIDATES, seed: 1, roundsMax: 100, budgetMs, run, clock: () => now };
    return (await runComparison(options))[0]?.runs.length ?? 0;
  };
  assert.equal(await rounds(200), 6);
  assert.equal(await rounds(1), 1);
});

test('an interrupted round is dropped, the whole ones before it count', async () => {
  const stopping = new AbortController();
  let runs = 0;
  const results = await runComparison({
    candidates: CANDIDATES,
    seed: 1,
    roundsMax: 5,
    budgetMs: 1e9,
    signal: stopping.signal,
    run: async () => {
      if (++runs === 8) stopping.abort();
      return exampleRun({ seconds: 1 });
    },
  });
  assert.deepEqual(
    results.map((candidate) => candidate.runs.length),
    [2, 2, 2],
  );
});

test('void runs say nothing: neither for a median nor for a pair', () => {
  const runs = (perS: number) => [1, 2, 3, 4, 5, 6].map((seed) => exampleRun({ seed, perS, seconds: 3 }));
  const wild = { ...exampleRun({ perS: 90_000, seconds: 3 }), generator: VOID };
  const a = { name: 'a', description: '', runs: [...runs(1_000), wild] };
  const b = { name: 'b', description: '', runs: [...runs(200), exampleRun({ seconds: 3 })] };
  assert.ok((summarise(a, 'throughput')?.median as number) < 1_100);
  const verdict = compareCandidates({ candidates: [b, a], seed: 1 }).find(({ figure }) => figure.name === 'throughput');
  assert.equal(verdict?.comparison.rounds, 6);
  assert.match(verdict?.comparison.sentence ?? '', /^a beats b by (4\.9|5\.\d)×/);
});

test('a criterion on what nobody measured is not passed', () => {
  const candidate = { name: 'a', description: '', runs: [{ ...exampleRun({ seconds: 3 }), server: [] }] };
  assert.deepEqual(
    judgeCandidate(candidate, [
      { metric: 'throughput', min: 100 },
      { metric: 'mean', max: 0.5 },
      { metric: 'rssMax', max: 1e9 },
    ]).map(({ outcome }) => outcome),
    ['passed', 'failed', 'unknown'],
  );
});

test('a table stands in columns', () => {
  const lines = formatTable({
    head: ['name', 'n'],
    rows: [
      ['a', '10'],
      ['longer', '5'],
    ],
  }).split('\n');
  assert.deepEqual(lines, ['name     n', '──────  ──', 'a       10', 'longer   5', '']);
});
