import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatRun } from '../../cli/lab-table.ts';
import { exampleRun } from '../../testing/example-run.ts';
import type { RequestSample, RunResult } from '../run-result.ts';
import { renderHtml } from './html.ts';
import { renderMarkdown } from './markdown.ts';
import { whatHelps } from './what-helps.ts';

const BASE: RunResult = { ...exampleRun({ seconds: 5 }), server: [] };
/** All requests alike. */
const withStages = (stages: Record<string, number>, more: Partial<RequestSample> = {}): RunResult => {
  const request = {
    atS: 0,
    step: 'list',
    latencyMs: 100,
    serviceMs: 100,
    firstByteMs: 100,
    status: 200,
    stages,
    ...more,
  };
  return { ...BASE, samples: Array.from({ length: 20 }, () => request) };
};
const withCores = (run: RunResult, cpuCores: number): RunResult => ({
  ...run,
  machine: { ...run.machine, cores: 2 },
  server: [{ atS: 1, cpuCores }],
});

test('each sentence names what was measured, and what takes little is not named', () => {
  const cases: [run: RunResult, expected: RegExp[]][] = [
    [
      withStages({ pool: 84, handler: 16 }),
      [/^84 % of the time of the slowest is pool: more connections \(DATABASE_POOL\)/],
    ],
    [
      withStages({ handler: 100, queries: 90 }, { statements: { 'select livros': 80, 'select autores': 10 } }),
      [/^90 % of the time of the slowest is in the database, most of it in select livros: an index/],
    ],
    [
      withStages({ handler: 10 }),
      [/^90 % of the time of the slowest is in no stage: the network, or a busy event loop/],
    ],
    [withCores(withStages({ handler: 10 }), 1.9), [/^95 % of all cores are busy with the server: .*vazao lab plan/]],
    [withCores(withStages({ handler: 90 }), 0.5), [/ is handler: a profile of the handler, or more workers/]],
    [{ ...BASE, samples: [] }, []],
    [
      { ...BASE, samples: [], total: { ...BASE.total, cacheHits: 10, cacheMisses: 90 } },
      [/^10 % of the answers are hits: `vazao explain <app> <path>`/],
    ],
    [withStages({ pool: 8, handler: 2 }, { latencyMs: 10, serviceMs: 10, firstByteMs: 10 }), []],
    // A server that tells nothing of its inside.
    [{ ...BASE, samples: BASE.samples.map(({ stages: _, ...rest }) => rest) }, []],
  ];
  for (const [run, expected] of cases) {
    const said = whatHelps(run);
    assert.equal(said.length, expected.length, said.join('\n'));
    for (const [index, pattern] of expected.entries()) assert.match(said[index] ?? '', pattern);
  }
});

test('why it is slow and what would help stand in the terminal and in every document for people', () => {
  const run = withStages({ pool: 84, handler: 16 });
  const text = formatRun(run);
  assert.match(text, /^why +.* spend 84 % waiting for a connection from the pool/m);
  assert.match(text, /^may help +84 % of the time of the slowest is pool: more connections/m);
  const html = renderHtml({ title: 'x', runs: [run], plotScript: '', plotStyle: '' });
  for (const document of [html, renderMarkdown([run])]) assert.match(document, /the slowest is pool: more connections/);
  const silent = formatRun({ ...BASE, samples: BASE.samples.map(({ stages: _, ...rest }) => rest) });
  assert.doesNotMatch(silent, /^(why|may help)/m);
});
