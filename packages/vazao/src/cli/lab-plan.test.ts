import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { runCommand } from '../testing/cli.ts';
import { exampleRun } from '../testing/example-run.ts';

suite('vazao lab plan and report', { timeout: 480_000 }, () => {
  const run = async (words: readonly string[]): Promise<{ code: number | string; stdout: string; stderr: string }> => {
    const folder = mkdtempSync(join(tmpdir(), 'vazao-plan-'));
    try {
      const results = [100, 300, 500, 800].map((perS, index) => exampleRun({ perS, seed: index + 1, seconds: 10 }));
      writeFileSync(join(folder, 'r.json'), JSON.stringify(results));
      writeFileSync(join(folder, 'slow.json'), JSON.stringify(exampleRun({ perS: 200, seconds: 60 })));
      writeFileSync(join(folder, 'fast.json'), JSON.stringify({ ...exampleRun({ seconds: 60 }), verdict: 'passed' }));
      const started = runCommand(['lab', ...words], {}, folder);
      return { code: await started.ended, ...started.output };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };

  test('a plan that the measurements support ends with 0, one that they do not with 99 and the reason', async () => {
    const words = ['plan', '--from', 'r.json', '--users', '6000', '--think', '15s'];
    const supported = await run([...words, '--growth', '20%/y']);
    assert.equal(supported.code, 0, supported.stderr + supported.stdout);
    assert.match(supported.stdout, /^requests {3}480 a second at the peak\nworkers {4}1 /);
    const refused = await run([...words, '--peak', '10x']);
    assert.equal(refused.code, 99);
    assert.match(
      refused.stdout,
      /NOT SUPPORTED by these measurements:\n {2}- \d+ requests\/s a host are more than 2 times/,
    );
  });

  test('words that are missing or wrong are said', async () => {
    const { code, stderr } = await run(['plan', '--from', 'r.json', '--users', 'many', '--think', '1s']);
    assert.equal(code, 2);
    assert.match(stderr, /--users is "many"\. Usage: vazao lab plan/);
  });

  test('what is worse than the baseline ends with 99, what is not with 0', async () => {
    const worse = await run(['report', 'slow.json', '--baseline', 'fast.json', '--markdown', 'out.md']);
    assert.equal(worse.code, 99, worse.stderr);
    assert.match(worse.stdout, /^worse: throughput: the baseline beats this by 2\.\d×/);
    const same = await run(['report', 'fast.json', '--baseline', 'fast.json', '--html', 'out.html']);
    assert.equal(same.code, 0, same.stderr + same.stdout);
    assert.match(same.stdout, /^not worse: throughput/);
  });
});
