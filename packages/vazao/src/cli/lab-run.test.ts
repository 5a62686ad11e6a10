/** `vazao lab run` as it is typed: words, exit codes, the server that it starts and looks at, Ctrl-C. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { parseCriteria } from '../lab/plans/criteria.ts';
import type { RunResult } from '../lab/run-result.ts';
import { runCommand } from '../testing/cli.ts';
import { sparkline } from './lab-view.ts';
import { parseLabRunWords } from './lab-words.ts';

const parse = (...words: string[]) => parseLabRunWords(words, parseCriteria);

test('words', () => {
  const words = parse(
    'shop.ts',
    '--plan',
    'stress',
    '--rate',
    '12.5',
    '--duration',
    '1.5min',
    '--warm-up=500ms',
    '--criteria',
    'p99<=0.2s',
    '--seed',
    '7',
    '--timing',
    'even',
  );
  const { scenario, plan, rate, durationS, warmUpS, criteria, seed, timing, users } = words;
  assert.deepEqual(
    [scenario, plan, rate, durationS, warmUpS, seed, timing, users],
    ['shop.ts', 'stress', 12.5, 90, 0.5, 7, 'even', undefined],
  );
  assert.deepEqual(criteria, [{ metric: 'p99', max: 200 }]);
  assert.equal(parse('a', '--users', '10', '--think', '200ms').thinkMs, 200);
  const wrong: [words: string[], message: RegExp][] = [
    [[], /^Something is missing\. Usage: vazao lab run/],
    [['a', 'b'], /^One word too many: b\./],
    [['a', '--rate', '1', '--users', '1'], /exclude each other/],
    [['a', '--rate', '-1'], /--rate/],
    [['a', '--users', '1.5'], /whole number/],
    [['a', '--duration', '1 day'], /allowed is a time/],
    [['a', '--plan', 'stres'], /There is no plan stres\. Did you mean stress\?/],
    [['a', '--durations', '1'], /no option --durations\. Did you mean --duration\?/],
    [['a', '--serve', 'x', '--pid', '1'], /exclude each other/],
  ];
  for (const [given, message] of wrong)
    assert.throws(() => parse(...given), { name: 'UsageError', message }, given.join(' '));
});

test('a sparkline has its largest value at the top', () => {
  assert.equal(sparkline([0, 1, 4, 8]), '▁▂▅█');
  assert.equal(sparkline([0, 0]), '▁▁');
  assert.equal(sparkline([]), '');
});

suite('against a server', { timeout: 480_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-lab-run-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(
    join(folder, 'one.ts'),
    `export default { name: 'one', steps: [{ name: 'get', request: { path: '/' } }] };`,
  );
  // Keeps a child, so that there is a tree to look at, and an allocation that the heap shows.
  writeFileSync(
    join(folder, 'server.js'),
    `const { createServer } = require('node:http');
     require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e3)'], { stdio: 'ignore' });
     globalThis.kept = 'x'.repeat(1);
     createServer((request, response) => response.end('hello')).listen(Number(process.env.PORT), '127.0.0.1');`,
  );
  const findPort = async (): Promise<number> => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    return port;
  };
  const run = async (words: readonly string[], { interrupt = false } = {}) => {
    const port = await findPort();
    const serve = ['--serve', `PORT=${port} ${process.execPath} server.js`, '--target', `http://127.0.0.1:${port}`];
    const { child, ended, output } = runCommand(
      ['lab', 'run', 'one.ts', '--json', 'run.json', ...serve, ...words],
      {},
      folder,
    );
    if (interrupt) {
      const timer = setInterval(() => {
        // The first line comes after five seconds of the run.
        if (!output.stderr.includes(' requests/s ')) return;
        clearInterval(timer);
        child.kill('SIGINT');
      }, 100);
      void ended.finally(() => clearInterval(timer));
    }
    const code = await ended;
    const result: RunResult = JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8'));
    await assert.rejects(fetch(`http://127.0.0.1:${port}/`), 'the server is gone');
    return { code, result, ...output };
  };

  test('a criterion that fails: 99, and the server was looked at', async () => {
    const { code, result, stdout, stderr } = await run([
      '--rate',
      '50',
      '--timing',
      'even',
      '--duration',
      '3s',
      '--warm-up',
      '0s',
      '--criteria',
      'throughput>=100,rssMax<=10GB',
    ]);
    assert.equal(code, 99, stderr + stdout);
    assert.match(stdout, /^FAILED +throughput >= 100 requests\/s: 50 requests\/s$/m);
    assert.match(stdout, /^passed +rssMax <= 10200 MB: [\d.]+ MB$/m);
    const seen = result.server.filter(({ processes = 0 }) => processes >= 2);
    assert.ok(seen.length > 0, JSON.stringify(result.server));
    assert.ok(
      seen.some(
        ({ cpuCores = -1, rssBytes = 0, handles = 0 }) => cpuCores >= 0 && rssBytes > 10 * 2 ** 20 && handles > 5,
      ),
    );
    assert.ok(
      seen.some(({ connections = 0 }) => connections >= 1),
      JSON.stringify(seen),
    );
  });

  test('Ctrl-C: a soak ends with what it has, and its probe has told the heap', async () => {
    const { result, stdout } = await run(['--plan', 'soak', '--rate', '20', '--warm-up', '0s'], { interrupt: true });
    assert.equal(result.ended, 'interrupted');
    assert.match(stdout, /^verdict +\w+.*, interrupted$/m);
    assert.ok(result.total.succeeded > 20);
    const heaps = result.server.map(({ heapAfterGcBytes }) => heapAfterGcBytes).filter((heap) => heap !== undefined);
    assert.ok(
      heaps.length > 0 && heaps.every((heap) => heap > 2 ** 20 && heap < 2 ** 30),
      JSON.stringify(result.server),
    );
    assert.deepEqual(result.findings.trends?.map(({ series }) => series).sort(), [
      'connections',
      'handles',
      'heap',
      'p99',
      'rss',
    ]);
  });

  test('a server that does not start: what it said', async () => {
    const words = ['lab', 'run', 'one.ts', '--serve', 'echo no database; exit 3', '--target', 'http://127.0.0.1:9'];
    const { ended, output } = runCommand(words, {}, folder);
    assert.equal(await ended, 1);
    assert.match(
      output.stderr,
      /^vazao: The server \(echo no database; exit 3\) ended before it answered\. It said: no database$/m,
    );
  });
});
