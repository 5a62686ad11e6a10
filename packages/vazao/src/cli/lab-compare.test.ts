import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { ComparisonResult } from '../lab/compare/comparison.ts';
import { listProcesses, runCommand, writeApplication } from '../testing/cli.ts';
import { parseLabCompareWords } from './lab-compare-words.ts';

test('starts the application under each architecture, measures it, writes the reports, and leaves nothing behind', {
  timeout: 600_000,
}, async () => {
  const base = mkdtempSync(join(tmpdir(), 'vazao-compare-'));
  try {
    const application = writeApplication(join(base, 'little'));
    writeFileSync(
      join(dirname(application), 'lab.ts'),
      `export default { name: 'Little', criteria: [{ metric: 'hitRate', min: 0.5 }], steps: [{ name: 'count', request: { path: '/count' } }] };
       export const prepare = async (query) => { await query('insert into a select generate_series(1, 7)'); };`,
    );
    const files = { json: join(base, 'out/c.json'), html: join(base, 'out/c.html'), markdown: join(base, 'out/c.md') };
    const words = [
      'lab',
      'compare',
      application,
      '--architectures',
      'single,workers+cache',
      '--architecture',
      'broken:WORKERS=many',
      '--rounds',
      '1',
      '--workers',
      '2',
    ];
    const load = [
      '--users',
      '5',
      '--think',
      '50ms',
      '--duration',
      '5s',
      '--warm-up',
      '1s',
      '--seed',
      '5',
      '--minutes',
      '3',
    ];
    const run = runCommand(
      [...words, ...load, ...Object.entries(files).flatMap(([name, file]) => [`--${name}`, file])],
      { HOME: base, VAZAO_LIMIT_IN_FLIGHT: '1000' },
      base,
    );
    const code = await run.ended;
    assert.ok(code === 1 || code === 99, `${code}: ${run.output.stderr}`);
    assert.match(
      run.output.stdout,
      /^broken FAILED after 0 rounds, and was left out: The server \(broken\) ended before it answered\. It said: .*WORKERS/m,
    );
    assert.match(
      run.output.stdout,
      /single, workers\+cache, broken of .*: 5 users, think time 50 ms, seed 5 \(--seed 5 repeats it\)/,
    );
    assert.match(run.output.stdout, /\nworkers\+cache \(2 workers with the cache\) +0 % /);
    const result = JSON.parse(readFileSync(files.json, 'utf8')) as ComparisonResult;
    assert.equal(result.judged, 'workers+cache');
    const junit = join(base, 'out/c.xml');
    const report = runCommand(['lab', 'report', files.json, '--junit', junit], { HOME: base }, base);
    assert.equal(await report.ended, code === 99 ? 99 : 0, 'the same is asked of it');
    assert.match(readFileSync(junit, 'utf8'), /compare, single"[^>]* failures="0" errors="0" skipped="1"/);
    assert.match(
      readFileSync(junit, 'utf8'),
      /name="its server starts" time="0"><error message="The server \(broken\) ended/,
    );
    const [single, cached] = result.candidates.map(({ runs }) => runs[0]);
    assert.ok((single?.total.succeeded ?? 0) > 10 && (cached?.total.succeeded ?? 0) > 10);
    assert.equal(single?.total.errors.status, 0);
    assert.equal(single?.total.cacheHits, 0, 'no cache');
    assert.ok((cached?.total.cacheHits ?? 0) > 10, 'with the cache');
    assert.ok(
      cached?.server.some(({ processes = 0 }) => processes >= 3),
      'a supervisor and its workers were seen',
    );
    assert.match(readFileSync(files.html, 'utf8'), /<title>.*architectures compared<\/title>/);
    assert.match(readFileSync(files.markdown, 'utf8'), /\| single \(one process, no cache\) \|/);
    assert.deepEqual(
      listProcesses(base).filter((line) => line.includes('postgres')),
      [],
    );
    assert.ok(existsSync(join(base, '.vazao/lab/little')) || existsSync(join(base, 'little/.vazao/lab/little')));
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
});

test('without words the four scenarios are compared, and the full one where its programs are', () => {
  const { architectures, addsFull, users, minutes, thinkMs } = parseLabCompareWords(['conectades', '--workers', '4']);
  assert.deepEqual(
    architectures.map(({ name, environment }) => [name, environment.WORKERS, environment.VAZAO_CACHE]),
    [
      ['single', '0', 'off'],
      ['workers', '4', 'off'],
      ['cache', '0', undefined],
      ['workers+cache', '4', undefined],
    ],
  );
  assert.deepEqual([addsFull, users, minutes, thinkMs], [true, 1_000, 10, 1_000]);
});

test('architectures of one’s own are variables, and words that are wrong say what is allowed', () => {
  const own = parseLabCompareWords(['x', '--architecture', 'small:WORKERS=1 CACHE_SIZE=8MB']);
  assert.deepEqual(own.architectures[0]?.environment, { WORKERS: '1', CACHE_SIZE: '8MB' });
  assert.equal(own.addsFull, false);
  assert.deepEqual(
    parseLabCompareWords(['x', '--against', 'main']).architectures.map(({ name }) => name),
    ['workers+cache'],
  );
  for (const [words, message] of [
    [[], /Something is missing\. Usage: vazao lab compare/],
    [['x', '--architectures', 'singel'], /no architecture singel; there are single, workers/],
    [['x', '--architecture', 'workers=4'], /write a name and variables/],
    [['x', '--users', '0'], /--users is "0"; allowed is a number from 1 to/],
    [['x', '--think', 'long'], /allowed is a time/],
    [['x', '--judged', 'singel'], /--judged is singel; compared are single, workers, cache, workers\+cache, full\./],
    [['x', '--judged', 'workers+cache', '--against', 'main'], /exclude each other/],
    [['x', '--minute', '1'], /no option --minute\. Did you mean --minutes/],
  ] as const) {
    assert.throws(() => parseLabCompareWords(words), { message });
  }
});
