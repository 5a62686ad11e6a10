import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { type ExampleServer, exampleRun } from '../../testing/example-run.ts';
import { type CandidateResult, COMPARISON_FORMAT, type ComparisonResult } from '../compare/comparison.ts';
import type { Findings, PlanKind, RunResult, Trend } from '../run-result.ts';
import { judgeAgainstBaseline } from './baseline.ts';
import { chartsOf, percentileCurve } from './charts.ts';
import { escapeMarkdown, escapeMarkup, escapeScript } from './escape.ts';
import { renderHtml } from './html.ts';
import { renderComparisonJunit, renderJunit } from './junit.ts';
import { renderComparisonMarkdown, renderMarkdown } from './markdown.ts';
import { readResults } from './read-results.ts';

const require = createRequire(import.meta.url);
const PLOT = {
  plotScript: readFileSync(require.resolve('uplot/dist/uPlot.iife.min.js'), 'utf8'),
  plotStyle: readFileSync(require.resolve('uplot/dist/uPlot.min.css'), 'utf8'),
};
const HOSTILE = `</script><img src=x onerror="alert(1)">&'|\`@all`;

function comparison(): ComparisonResult {
  const candidate = (name: string, perS: number, p50Ms: number) => ({
    name,
    description: `as ${name}`,
    runs: [1, 2, 3, 4, 5, 6].map((seed) => exampleRun({ seed, perS, p50Ms, seconds: 5, architecture: name })),
  });
  const { machine } = exampleRun({ seconds: 1 });
  return {
    format: COMPARISON_FORMAT,
    application: 'conectades',
    scenario: 'Conectades',
    startedAt: '2026-11-22T08:00:00.000Z',
    machine,
    users: 1_000,
    thinkMs: 1_000,
    seed: 7,
    candidates: [candidate('single', 100, 200), candidate('workers+cache', 900, 5)],
    skipped: [{ name: 'full', why: 'nginx is not installed.' }],
    criteria: [
      { metric: 'throughput', min: 500 },
      { metric: 'mean', max: 50 },
    ],
  };
}

test('the page is one file: its policy forbids requests, and nothing in it names another', () => {
  const html = renderHtml({ title: 'Load', runs: [exampleRun()], ...PLOT });
  assert.match(html, /http-equiv="Content-Security-Policy" content="default-src 'none';/);
  const markup = html.replaceAll(/<script[\s\S]*?<\/script>/g, '');
  assert.doesNotMatch(markup, /<(link|iframe|object|embed|base|form)\b|\bsrc=|\bhref=|url\(|@import/i);
  assert.equal([...html.matchAll(/<script/g)].length, 3);
});

test('names of others are text, wherever they stand', () => {
  const run = exampleRun({ name: HOSTILE, architecture: HOSTILE, seconds: 5 });
  const html = renderHtml({
    title: HOSTILE,
    runs: [{ ...run, slowest: [{ ...(run.slowest[0] as RunResult['slowest'][0]), step: HOSTILE }] }],
    ...PLOT,
  });
  assert.ok(!html.includes('<img'), 'an element came through');
  assert.equal([...html.matchAll(/<\/script>/g)].length, 3);
  const xml = renderJunit([run]);
  assert.ok(!xml.includes('<img') && xml.includes('&lt;img'));
  const markdown = renderMarkdown([run]);
  assert.ok(!/<img|@all|`/.test(markdown));
  // A pipe would be one more cell.
  const rows = markdown.split('\n').filter((line) => line.startsWith('|'));
  assert.equal(new Set(rows.map((row) => row.split('|').length)).size, 1);
});

test('escapes leave nothing that a parser could take for markup', () => {
  assert.equal(escapeMarkup(`a<b>&"'\u0000\u000b\ud800`), 'a&lt;b&gt;&amp;&quot;&#39;\ufffd\ufffd\ufffd');
  assert.equal(JSON.parse(escapeScript(HOSTILE)), HOSTILE);
  assert.doesNotMatch(escapeScript(`${HOSTILE}\u2028`), /[<>&\u2028]/);
  assert.doesNotMatch(escapeMarkdown('a|b\nc `d` *e* @f <g>'), /[|\n`*@<>]/);
});

test('the script of the page draws every chart, each with a label and a unit on both axes', () => {
  const html = renderHtml({ title: 'Load', runs: [exampleRun(), exampleRun({ seed: 2 })], ...PLOT });
  const charts = JSON.parse(/id="charts">(.*?)<\/script>/.exec(html)?.[1] ?? '[]');
  assert.ok(charts.length >= 12, String(charts.length));
  const drawn = drawWithout(html, charts);
  assert.equal(drawn.length, charts.length);
  for (const { options, data } of drawn) {
    for (const { label } of options.axes) assert.match(label, /\(.+\)|percentile|requests/, label);
    assert.equal(data.length, options.series.length);
    for (const values of data) assert.equal(values.length, data[0]?.length);
    const shown = options.axes[0]?.values?.({}, options.axes[0]?.splits?.() ?? [0, 1]);
    assert.ok(shown === undefined || shown.every((tick) => /^[\d.,]+ %$/.test(tick)), String(shown));
  }
});

interface Drawn {
  readonly options: {
    readonly axes: readonly {
      label: string;
      splits?: () => number[];
      values?: (plot: object, at: number[]) => string[];
    }[];
    readonly series: readonly object[];
  };
  readonly data: readonly (readonly number[])[];
}

/** Runs the script with a page of only what it asks for. */
function drawWithout(html: string, charts: unknown): Drawn[] {
  const script =
    /<script>\s*\(\(\) => \{\s*const charts[\s\S]*?<\/script>/.exec(html)?.[0].replaceAll(/<\/?script>/g, '') ?? '';
  const drawn: Drawn[] = [];
  const figures = [...html.matchAll(/<figure data-chart="(\d+)"/g)].map(([, chart]) => ({
    dataset: { chart },
    clientWidth: 600,
  }));
  runInNewContext(script, {
    document: {
      getElementById: () => ({ textContent: JSON.stringify(charts) }),
      querySelectorAll: () => figures,
      documentElement: { dataset: {} },
    },
    getComputedStyle: () => ({ getPropertyValue: () => '#888' }),
    matchMedia: () => ({ addEventListener() {} }),
    addEventListener() {},
    uPlot: class {
      constructor(options: Drawn['options'], data: Drawn['data']) {
        drawn.push({ options, data });
      }
    },
  });
  return drawn;
}

test('percentiles go as far as the number of requests bears', () => {
  const run = exampleRun({ seconds: 5, p50Ms: 8 }); // 1,000 latencies
  const { x, series } = percentileCurve([{ label: 'all', histogram: run.total.histogram }]);
  assert.ok(Math.abs(Math.max(...x) - 3) < 1e-9, 'up to 99.9 %');
  const median = series[0]?.values[x.findIndex((nines) => Math.abs(nines - Math.log10(2)) < 1e-9)] as number;
  assert.ok(Math.abs(median - 8) < 0.8, String(median));
  assert.ok(chartsOf(run).some(({ title }) => title === 'CPU of the server'));
});

test('JUnit counts what failed and what is void', () => {
  const run = exampleRun({ perS: 300, seconds: 5 });
  const xml = renderJunit([run, { ...run, generator: { ...run.generator, void: ['It was late.'] }, verdict: 'void' }]);
  assert.match(xml, /^<\?xml version="1\.0" encoding="UTF-8"\?>\n<testsuites/);
  const [first, second] = [...xml.matchAll(/<testsuite name=[^>]*tests="(\d)" failures="(\d)" errors="(\d)"/g)];
  assert.deepEqual(first?.slice(1, 4), ['3', '2', '0']);
  assert.deepEqual(second?.slice(1, 4), ['1', '0', '1']);
  assert.match(xml, /<error message="It was late\."\/>/);
});

test('of a comparison only what must hold fails the build, and the others are shown', () => {
  const result = { ...comparison(), judged: 'workers+cache' };
  const [single, cached] = result.candidates as [CandidateResult, CandidateResult];
  const suites = (some: ComparisonResult, baseline?: Parameters<typeof renderComparisonJunit>[1]): string[] =>
    [
      ...renderComparisonJunit(some, baseline).matchAll(
        /<testsuite name="([^"]*)" tests="\d+" (failures="\d+" errors="\d+" skipped="\d+")/g,
      ),
    ].map(([, name, counts]) => `${name}: ${counts?.replaceAll(/[a-z="]+/g, '')}`);
  const names = ['Conectades, compare, single', 'Conectades, compare, workers+cache', 'left out'];
  const counted = (...counts: string[]): string[] => names.map((name, at) => `${name}: ${counts[at]}`);
  assert.deepEqual(suites(result), counted('0 0 2', '0 0 0', '0 0 1'));
  assert.match(renderComparisonJunit(result), /name="throughput is at least 500" time="0"><skipped message="it is \d+/);
  assert.deepEqual(suites({ ...result, judged: 'single' }), counted('2 0 0', '0 0 0', '0 0 1'));
  // Revisions are compared: the criteria are nobody's.
  const revisions = [{ name: 'mean of x@here', outcome: 'worse', sentence: 'WORSE' } as const];
  assert.deepEqual(suites({ ...result, judged: undefined, revisions }), [
    ...counted('0 0 2', '0 0 0').slice(0, 2),
    'revisions: 1 0 0',
    'left out: 0 0 1',
  ]);
  // What did not start, or was measured by a generator that was late.
  const mute = ({ runs, ...rest }: CandidateResult): CandidateResult => ({
    ...rest,
    runs: runs.map((run) => ({ ...run, generator: { ...run.generator, void: ['late'] } })),
  });
  assert.deepEqual(
    suites({ ...result, candidates: [mute({ ...single, failed: 'No database.' }), mute(cached)] }),
    counted('0 1 1', '0 1 0', '0 0 1'),
  );
  const worse = (architecture: string) => ({ architecture, name: 'mean', outcome: 'worse', sentence: 'x' }) as const;
  assert.equal(suites(result, [worse('single'), worse('workers+cache')]).at(-1), 'baseline: 1 0 1');
});

/** A run whose criteria hold, under a plan that found something. */
const found = (kind: PlanKind, findings: Findings, verdict: RunResult['verdict']): RunResult => {
  const run = exampleRun({ seconds: 5 });
  return { ...run, plan: { ...run.plan, kind }, criteria: [], findings, verdict };
};
const TREND: Trend = {
  series: 'heap',
  slopePerHour: 3e6,
  low: 2e6,
  high: 4e6,
  outcome: 'rising',
  why: 'it grows by 1 KB',
};

test('what a plan was there to find is in every document, and fails the build where it fails the run', () => {
  const slow = { ...TREND, series: 'p99', why: 'p99 climbs' } as const;
  const short = { ...TREND, series: 'rss', outcome: 'unknown', why: 'too short' } as const;
  const level = { ...TREND, series: 'handles', outcome: 'level', why: 'level' } as const;
  const smoked = found('smoke', {}, 'failed');
  const runs: readonly [run: RunResult, failures: number, sentences: readonly string[]][] = [
    [
      found('soak', { trends: [TREND, slow, short, level] }, 'failed'),
      3,
      ['heap: it grows by 1 KB', 'p99: p99 climbs'],
    ],
    [found('soak', { trends: [level] }, 'none'), 0, ['handles: level']],
    [found('spike', { recovery: { baselineP99Ms: 10, worstP99Ms: 900 } }, 'failed'), 1, ['did not come back']],
    [
      found('spike', { recovery: { baselineP99Ms: 10, worstP99Ms: 900, recoveredAfterS: 7 } }, 'none'),
      0,
      ['recovered 7 s after the spike; p99 10.0 ms before, up to 900 ms'],
    ],
    [
      found('stress', { knee: { throughput: 0, heldRate: 0, why: 'no step held; at 5 p99 broke.' } }, 'failed'),
      1,
      ['p99 broke'],
    ],
    [
      found('stress', { knee: { throughput: 9, heldRate: 9, why: '9 requests/s held.' } }, 'none'),
      0,
      ['9 requests/s held.'],
    ],
    [{ ...smoked, total: { ...smoked.total, offered: 10, succeeded: 8 } }, 1, ['2 of 10 requests failed']],
    // Whatever else a plan may fail for.
    [found('volume', {}, 'failed'), 1, []],
  ];
  for (const [run, failures, sentences] of runs) {
    const xml = renderJunit([run]);
    assert.match(xml, new RegExp(` failures="${failures}" errors="0"`), xml);
    assert.equal([...xml.matchAll(/<failure /g)].length, failures);
    const [html, markdown] = [renderHtml({ title: 'x', runs: [run], ...PLOT }), renderMarkdown([run])];
    for (const sentence of sentences) assert.ok(html.includes(sentence) && markdown.includes(sentence), sentence);
  }
});

test('users of the closed model are counted, and said to be missing when they are', () => {
  const run = exampleRun({ seconds: 5 });
  const of = (throughput: number): RunResult => ({
    ...run,
    phases: run.phases.map((phase) => ({
      ...phase,
      littlesLaw: { users: 1_000, throughput, responseMs: 100, thinkMs: 9_900, ratio: throughput / 100 },
    })),
  });
  const documents = (throughput: number): string[] => [
    renderHtml({ title: 'x', runs: [of(throughput)], ...PLOT }),
    renderMarkdown([of(throughput)]),
  ];
  for (const text of documents(98))
    assert.match(text, /N = X\(R \+ Z\): 98\.0\/s × \(100 ms \+ 9,900 ms\) = 980 of 1,000 users(?!,)/);
  for (const text of documents(94)) assert.match(text, /= 940 of 1,000 users, off by 6 % \(allowed: 5 %\)/);
  assert.doesNotMatch(renderMarkdown([run]), /N = X/);
  const compared = comparison();
  const [single, ...others] = compared.candidates as [CandidateResult, ...CandidateResult[]];
  const doubted = { ...compared, candidates: [{ ...single, runs: [of(94), of(98), of(90)] }, ...others] };
  assert.match(renderComparisonMarkdown(doubted), /- single: 2 of 3 runs are doubtful\. N = X.*off by 6 %/);
});

test('descriptors and connections are drawn where they were seen', () => {
  const run = exampleRun({ seconds: 5 });
  const titles = (some: RunResult): string[] => chartsOf(some).map(({ title }) => title);
  const counted = run.server.map((sample) => ({ ...sample, handles: 40, connections: 12 }));
  assert.ok(titles({ ...run, server: counted }).includes('Descriptors and connections of the server'));
  assert.ok(!titles(run).includes('Descriptors and connections of the server'));
});

test('a comparison is a table with intervals, verdicts and what was left out', () => {
  const markdown = renderComparisonMarkdown(comparison());
  assert.match(markdown, /\| workers\+cache \(as workers\+cache\) \| 0 % \| \d{3}\/s \(\d{3}–\d{3}\) \|/);
  assert.match(markdown, /throughput: workers\+cache beats single by 9\.\d× \(95 %: [89]\.\d–(9|10)(\.\d)?\)/);
  assert.match(markdown, /mean: workers\+cache beats single by \d\d× /);
  assert.match(markdown, /workers\+cache meets all criteria/);
  assert.match(
    markdown,
    /single does not meet all criteria: throughput 9\d\.\d\/s|single does not meet all criteria: throughput 1\d\d\/s/,
  );
  assert.match(markdown, /full was left out: nginx is not installed/);
  const html = renderHtml({ title: 'Compare', runs: [], comparison: comparison(), ...PLOT });
  assert.match(html, /beats single by/);
});

test('worse than the baseline is what lies beyond the tolerance with its whole interval', () => {
  const runs = (server: ExampleServer, from = 0) =>
    [1, 2, 3, 4, 5].map((seed) => exampleRun({ seconds: 5, ...server, seed: seed + from }));
  const worse = (ours: ExampleServer, theirs: ExampleServer = {}) => {
    const verdicts = judgeAgainstBaseline(runs(ours, 10), runs(theirs));
    assert.equal(verdicts.length, 6);
    return verdicts.filter(({ outcome }) => outcome !== 'not worse').map(({ name, outcome }) => `${name}: ${outcome}`);
  };
  assert.deepEqual(worse({}), []);
  assert.deepEqual(worse({ perS: 350 }), ['throughput: worse']);
  assert.deepEqual(worse({ perS: 470, p50Ms: 8.3 }), []);
  assert.deepEqual(worse({ p50Ms: 14 }), ['mean: worse', 'p99: worse']);
  assert.deepEqual(worse({ hits: 0.6 }), ['hitRate: worse']);
  assert.deepEqual(worse({ hits: 0.99 }), []);
  // From none, of which there is no ratio; errors and time-outs are the same requests here.
  assert.deepEqual(worse({ timeouts: 0.01 }), ['errorRate: worse', 'timeoutRate: worse']);
  assert.deepEqual(worse({}, { timeouts: 0.01 }), []);
});

test('a server without a cache has no hit rate to judge; one that has lost its cache is not passed over', () => {
  const withoutCache = (run: RunResult): RunResult => ({
    ...run,
    total: { ...run.total, cacheHits: 0, cacheMisses: 0 },
    seconds: run.seconds.map((second) => ({ ...second, cacheHits: 0, cacheMisses: 0 })),
  });
  const [plain, kept] = [withoutCache(exampleRun({ seconds: 60 })), exampleRun({ seconds: 60 })];
  const ofHits = (ours: RunResult, theirs: RunResult) =>
    judgeAgainstBaseline([ours], [theirs]).find(({ name }) => name === 'hitRate')?.outcome;
  assert.deepEqual(
    [ofHits(plain, plain), ofHits(plain, kept), ofHits(kept, kept)],
    [undefined, 'unknown', 'not worse'],
  );
});

test('only like is compared with like: the same scenario, plan, architecture and load', () => {
  const run = (server: ExampleServer) => exampleRun({ seconds: 60, ...server });
  const slow = { perS: 100, p50Ms: 300, architecture: 'single' };
  const fast = { perS: 500, p50Ms: 5, architecture: 'workers+cache' };
  // The order is another one, and single is slow on both sides.
  const verdicts = judgeAgainstBaseline([run(slow), run(fast)], [run({ ...fast, seed: 2 }), run({ ...slow, seed: 2 })]);
  assert.equal(verdicts.length, 12);
  assert.equal(verdicts.filter(({ architecture }) => architecture === 'single').length, 6);
  assert.ok(
    verdicts.every(({ outcome }) => outcome === 'not worse'),
    JSON.stringify(verdicts),
  );
  assert.match(verdicts[1]?.name ?? '', / of Conectades, load, single, 500 requests\/s offered$/);
  const other = judgeAgainstBaseline([run(fast), run({ ...fast, name: 'Shop' })], [run(fast), run(slow)]);
  assert.deepEqual(
    other.filter(({ outcome }) => outcome === 'unknown').map(({ sentence }) => sentence.replace(/, 500.*:/, ':')),
    [
      'Shop, load, workers+cache: the baseline has no such run',
      'Conectades, load, single: only the baseline has such a run',
    ],
  );
  for (const unlike of [{ name: 'Shop' }, { architecture: 'cache' }, { offeredPerS: 200 }]) {
    assert.throws(() => judgeAgainstBaseline([run(fast)], [run({ ...fast, ...unlike })]), {
      code: 'ERR_LAB_RESULTS',
      message: /The baseline has no run like these/,
    });
  }
});

test('one run against one baseline is judged by blocks, and says so; too short a run is no verdict', () => {
  const [longer] = judgeAgainstBaseline(
    [exampleRun({ perS: 300, seconds: 60 })],
    [exampleRun({ perS: 500, seconds: 60, seed: 2 })],
  );
  assert.equal(longer?.outcome, 'worse');
  assert.match(longer?.sentence ?? '', /the baseline beats this by 1\.\d\d× .*\[6 blocks of 10 s\]/);
  const [shorter] = judgeAgainstBaseline([exampleRun({ perS: 300, seconds: 30 })], [exampleRun({ seconds: 60 })]);
  assert.equal(shorter?.outcome, 'unknown');
});

test('results are read back, whichever of the forms they have; anything else is refused by name', () => {
  const run = exampleRun({ seconds: 2 });
  assert.equal(readResults(JSON.stringify(run), 'a').runs.length, 1);
  assert.equal(readResults(JSON.stringify([run, run]), 'a').runs.length, 2);
  assert.equal(readResults(JSON.stringify(comparison()), 'a').runs.length, 12);
  for (const text of ['', '[]', 'null', '{"format":"other/1"}', '[{}]']) {
    assert.throws(() => readResults(text, 'old.json'), { code: 'ERR_LAB_RESULTS', message: /^old\.json holds no / });
  }
});
