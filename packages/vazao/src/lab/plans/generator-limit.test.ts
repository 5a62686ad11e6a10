/** Whose end `stress` has found: the server's, or that of the generator. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { exampleRun } from '../../testing/example-run.ts';
import { startLabServer, writeScenario } from '../../testing/lab-server.ts';
import { findingsOf } from '../report/findings.ts';
import type { PhaseFigures } from '../run-result.ts';
import { type DrivenStep, findGeneratorLimit } from './generator-limit.ts';
import { type RunOptions, runPlan } from './run-plan.ts';

const SIMPLE = `export default { name: 'one', steps: [{ name: 'get', request: { path: '/' } }] };`;
/** Each request costs the generator 5 ms of its processor: it can't send more than 200 a second. */
const COSTLY = `const burn = () => { const end = performance.now() + 5; while (performance.now() < end); return { path: '/' }; };
  export default { name: 'one', steps: [{ name: 'get', request: burn }] };`;
const TIMES = { timing: 'even', durationS: 1.2, warmUpS: 0.3 } as const;

async function stress(code: string, serviceMs: number, options: Partial<RunOptions>) {
  await using server = await startLabServer((_request, response) => {
    setTimeout(() => response.end(), serviceMs);
  });
  using scenario = writeScenario(code);
  return await runPlan({ module: scenario.path, target: server.origin, plan: 'stress', ...TIMES, ...options });
}

suite('a generator that ends before the server', { timeout: 300_000 }, () => {
  test('out of connections: the server would have taken more', async () => {
    const run = await stress(SIMPLE, 50, { rate: 40, connectionsMax: 4, criteria: [{ metric: 'p95', max: 200 }] });
    const { knee } = run.findings;
    // 4 connections / 50 ms.
    assert.ok(knee && knee.heldRate > 50 && knee.heldRate < 85, JSON.stringify(knee));
    assert.equal(run.ended, 'generator');
    assert.equal(knee.limit, 'generator');
    assert.match(knee.why, /This is the end of the generator, and no knee of the server/);
    if (!run.generator.void) assert.match(knee.why, /\d+ % of the requests waited for one of its 4 connections/);
    assert.equal(findingsOf(run)[0]?.outcome, 'doubtful');
  });

  test('out of processor, with requests that come', async () => {
    const run = await stress(COSTLY, 0, { rate: 150 });
    const { knee } = run.findings;
    assert.deepEqual([run.ended, knee?.limit], ['generator', 'generator'], JSON.stringify(knee));
    assert.match(knee?.why ?? '', /no knee of the server: the generator (was late|stood still|had no CPU)/);
  });

  test('out of processor, with users who wait', async () => {
    const run = await stress(COSTLY, 0, { users: 36, thinkMs: 200, durationS: 2 });
    const { knee } = run.findings;
    assert.deepEqual([run.ended, knee?.limit], ['generator', 'generator'], JSON.stringify(knee));
  });

  test('no more users than connections', async () => {
    const run = await stress(SIMPLE, 0, { users: 6, thinkMs: 100, connectionsMax: 8 });
    const { knee } = run.findings;
    assert.deepEqual([run.ended, knee?.limit, knee?.heldRate], ['generator', 'generator', 8], JSON.stringify(knee));
    assert.match(knee?.why ?? '', /^8 users held; nothing broke\. .*each user needs one of its 8 connections/);
  });
});

suite('all connections are in use', () => {
  const [base] = exampleRun({ seconds: 1 }).phases.slice(-1) as [PhaseFigures];
  /** So many a second, each of which takes so long. */
  const step = (level: number, serviceMs: number, waited: number): DrivenStep => {
    const service = { ...base.service, count: level, meanMs: serviceMs, p99Ms: serviceMs };
    const counts = { offered: level, sent: level - waited, unsent: waited, completed: level - waited, waited };
    return { level, late: [], figures: { ...base, ...counts, durationS: 1, service, latency: service } };
  };
  const decide = (held: DrivenStep, broke: DrivenStep, p99Max: number): string | undefined =>
    findGeneratorLimit({
      found: {
        held: { level: held.level, throughput: held.level, broke: undefined, saturated: false },
        broke: { level: broke.level, throughput: broke.level, broke: 'less was served than offered', saturated: true },
        ended: true,
      },
      steps: [held, broke],
      isOpen: true,
      bounds: [{ metric: 'p99', max: p99Max }],
      levelMax: 1e6,
      connectionsMax: 1_000,
    });

  test('all at once, beyond what the server can do: its knee', () => {
    // 9,500/s × 2 ms are 19 connections; then a line grows until all are taken.
    assert.equal(decide(step(9_500, 2, 0), step(10_050, 99, 500), 200), undefined);
  });

  test('nearly all before, and the server as quick as it was: the generator’s end', () => {
    assert.match(decide(step(19_500, 50, 0), step(20_500, 50, 800), 200) ?? '', /4 % of the requests waited/);
  });

  test('the server’s own answers are slower than allowed: its knee', () => {
    assert.equal(decide(step(19_500, 50, 0), step(20_500, 50, 800), 40), undefined);
  });
});
