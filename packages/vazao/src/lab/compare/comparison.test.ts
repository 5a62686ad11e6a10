import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exampleRun } from '../../testing/example-run.ts';
import { LabError } from '../errors.ts';
import type { RunResult } from '../run-result.ts';
import {
  type CandidateResult,
  type ComparisonResult,
  chooseJudged,
  compareCandidates,
  judgeCandidate,
  passes,
  summarise,
} from './comparison.ts';
import { judgeRevisions } from './regression.ts';
import { runComparison } from './run-comparison.ts';
import { formatTable, scenarioSentences } from './table.ts';

const CANDIDATES = ['single', 'workers', 'cache'].map((name) => ({ name, description: `as ${name}` }));
const COMPARISON: ComparisonResult = {
  format: 'vazao-lab-compare/1',
  application: 'x',
  scenario: 'x',
  startedAt: '2026-01-01T00:00:00Z',
  machine: exampleRun({ seconds: 1 }).machine,
  users: 1,
  thinkMs: 0,
  seed: 1,
  candidates: [],
  skipped: [],
  criteria: [],
};
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

test('who cannot run is left out with the reason, and the others go on', async () => {
  const asked: string[] = [];
  const results = await runComparison({
    candidates: CANDIDATES,
    seed: 1,
    roundsMax: 4,
    budgetMs: 1e9,
    run: async ({ name }, round) => {
      asked.push(name);
      if (name === 'workers' && round === 1) throw new LabError('ERR_LAB_START', 'The server (workers) ended.');
      return exampleRun({ seconds: 1 });
    },
  });
  assert.deepEqual(
    results.map(({ name, runs, failed }) => [name, runs.length, failed]),
    [
      ['single', 4, undefined],
      ['workers', 1, 'The server (workers) ended.'],
      ['cache', 4, undefined],
    ],
  );
  assert.equal(asked.filter((name) => name === 'workers').length, 2, 'and not waited for again');
  const lines = scenarioSentences({ ...COMPARISON, candidates: results });
  assert.ok(
    lines.includes('workers FAILED after 1 round, and was left out: The server (workers) ended.'),
    lines.join('\n'),
  );
});

test('where none can run, the first reason is the answer; a mistake of ours is never hidden', async () => {
  const options = { candidates: CANDIDATES, seed: 1, roundsMax: 4, budgetMs: 1e9 };
  const failing = async () => {
    throw new LabError('ERR_LAB_START', 'No database.');
  };
  await assert.rejects(runComparison({ ...options, run: failing }), { message: 'No database.' });
  const broken = async () => {
    throw new TypeError('undefined is not a function');
  };
  await assert.rejects(runComparison({ ...options, run: broken }), TypeError);
});

test('Ctrl-C while a server starts, or while the last of a round is measured: whole rounds stay, and nobody has failed', async () => {
  for (const isStarting of [true, false]) {
    const stopping = new AbortController();
    let runs = 0;
    const results = await runComparison({
      candidates: CANDIDATES,
      seed: 1,
      roundsMax: 9,
      budgetMs: 1e9,
      signal: stopping.signal,
      run: async () => {
        if (++runs < 9) return exampleRun({ seconds: 1 });
        stopping.abort();
        if (isStarting) throw new LabError('ERR_LAB_START', 'The server (x) was stopped before it answered.');
        return { ...exampleRun({ seconds: 1 }), ended: 'interrupted' };
      },
    });
    assert.deepEqual(
      results.map((candidate) => [candidate.runs.length, candidate.failed]),
      [
        [2, undefined],
        [2, undefined],
        [2, undefined],
      ],
    );
  }
});

test('a latency stands beside the share of requests that failed', () => {
  const runs = (p50Ms: number, timeouts: number) =>
    [1, 2, 3, 4, 5, 6].map((seed) => exampleRun({ seed, p50Ms, timeouts, seconds: 3 }));
  const few = { name: 'few', description: '', runs: runs(2, 0.75) };
  const all = { name: 'all', description: '', runs: runs(8, 0) };
  const latency = (candidates: CandidateResult[]) =>
    scenarioSentences({ ...COMPARISON, candidates }).find((line) => line.startsWith('mean: ')) as string;
  assert.match(latency([all, few]), /^mean: few beats all by .*; errors: few 75 %, all 0 %$/);
  assert.match(latency([all, { ...all, name: 'other' }]), /^mean: no difference shown[^;]*$/);
});

test('a revision is worse by intervals and beyond the tolerance alone, and unknown with few rounds', () => {
  const named = (name: string, runs: RunResult[]) => ({ name, description: '', runs });
  const six = (server: Parameters<typeof exampleRun>[0]) =>
    [1, 2, 3, 4, 5, 6].map((seed) => exampleRun({ seed, seconds: 5, ...server }));
  const outcomes = (here: RunResult[], there: RunResult[], tolerance?: number) => {
    const candidates = [named('x@main', there), named('x@here', here)];
    const verdicts = judgeRevisions({ candidates, seed: 1 }, [{ here: 'x@here', there: 'x@main' }], tolerance);
    return Object.fromEntries(verdicts.map(({ figure, outcome }) => [figure.name, outcome]));
  };
  const same = { throughput: 'not worse', successRate: 'not worse', mean: 'not worse', p99: 'not worse' };
  const plain = six({});
  assert.deepEqual(outcomes(plain, plain), same);
  assert.deepEqual(outcomes(six({ p50Ms: 16 }), plain), { ...same, mean: 'worse', p99: 'worse' });
  assert.deepEqual(outcomes(plain, six({ p50Ms: 16 })), same, 'better is not worse');
  assert.deepEqual(outcomes(six({ perS: 250 }), plain), { ...same, throughput: 'worse' });
  assert.equal(outcomes(six({ timeouts: 0.5 }), plain).successRate, 'worse');
  assert.deepEqual(outcomes(six({ p50Ms: 9 }), plain, 0.3), same, 'within the tolerance');
  assert.equal(outcomes(six({ p50Ms: 9 }), plain, 0.02).mean, 'worse');
  assert.deepEqual(new Set(Object.values(outcomes(plain.slice(0, 4), plain))), new Set(['unknown']));
  assert.deepEqual(new Set(Object.values(outcomes([], plain))), new Set(['unknown']));
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

test('one architecture must meet the criteria: the one that is named, or workers+cache, or the last', () => {
  assert.deepEqual([['single', 'workers+cache', 'full'], ['single', 'cache'], []].map(chooseJudged), [
    'workers+cache',
    'cache',
    undefined,
  ]);
  const candidate = (name: string, perS: number) => ({
    name,
    description: name,
    runs: [exampleRun({ perS, seconds: 3 })],
  });
  const result: ComparisonResult = {
    ...COMPARISON,
    candidates: [candidate('single', 100), candidate('workers+cache', 900)],
    criteria: [{ metric: 'throughput', min: 500 }],
  };
  const outcomes = ['workers+cache', 'single', undefined, 'none'].map((judged) => passes({ ...result, judged }));
  assert.deepEqual(outcomes, [true, false, true, false]);
  const revision = (outcome: 'worse' | 'not worse' | 'unknown') => [{ name: 'x', outcome, sentence: '' }];
  assert.deepEqual(
    (['worse', 'not worse', 'unknown'] as const).map((outcome) => passes({ ...result, revisions: revision(outcome) })),
    [false, true, false],
  );
  const lines = scenarioSentences({ ...result, judged: 'workers+cache' });
  assert.ok(
    lines.some((line) => /^single does not meet all criteria: .*, which is asked of workers\+cache alone$/.test(line)),
    lines.join('\n'),
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
