import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Figures } from '../run-result.ts';
import { decideVerdict, describeCriterion, judge, parseCriteria } from './criteria.ts';

const latency = { count: 90, minMs: 1, meanMs: 12, p50Ms: 10, p90Ms: 20, p95Ms: 30, p99Ms: 40, p999Ms: 50, maxMs: 60 };
const figures: Figures = {
  offered: 100,
  sent: 95,
  unsent: 5,
  completed: 90,
  succeeded: 80,
  errors: { timeout: 5, connect: 0, reset: 0, malformed: 0, status: 10, check: 0 },
  bytesReceived: 1_000,
  cacheHits: 60,
  cacheMisses: 20,
  durationS: 10,
  throughput: 8,
  latency,
  histogram: '',
  service: latency,
  serviceHistogram: '',
};

test('each metric is what it says, of all that was offered', () => {
  const rss = [{ atS: 0, rssBytes: 3_000_000 }, { atS: 1, rssBytes: 5_000_000 }, { atS: 2 }];
  const words =
    'throughput>=8,mean<=12,p50<=10,p95<=30,p99<=40,hitRate>=75%,successRate>=80%,timeoutRate<=10%,errorRate<=20%,rssMax<=5000000';
  for (const verdict of judge(parseCriteria(words), figures, rss)) {
    const bound = verdict.min ?? verdict.max ?? 0;
    assert.ok(Math.abs((verdict.value ?? Number.NaN) - bound) < 1e-9, `${verdict.metric} is ${verdict.value}`);
  }
  const [queries] = judge(parseCriteria('queriesPerRequest<=3'), figures, []);
  assert.equal(queries?.outcome, 'unknown');
  const [told] = judge(parseCriteria('queriesPerRequest<=3'), { ...figures, queriesPerRequest: 4 }, []);
  assert.equal(told?.outcome, 'failed');
});

test('without an answer there is no latency that could pass', () => {
  const none = { ...figures, latency: { ...latency, count: 0, p99Ms: 0 } };
  assert.equal(judge(parseCriteria('p99<=40'), none, [])[0]?.outcome, 'unknown');
});

test('units', () => {
  assert.deepEqual(parseCriteria('p99 <= 0.2s, rssMax<=3GB ,hitRate>=80%,errorRate<=0.001'), [
    { metric: 'p99', max: 200 },
    { metric: 'rssMax', max: 3 * 2 ** 30 },
    { metric: 'hitRate', min: 0.8 },
    { metric: 'errorRate', max: 0.001 },
  ]);
  assert.deepEqual(parseCriteria('p99<=200ms,rssMax<=512MB,hitRate>=80%').map(describeCriterion), [
    'p99 <= 200 ms',
    'rssMax <= 512 MB',
    'hitRate >= 80 %',
  ]);
  for (const wrong of ['', 'p99', 'p99<200', 'p98<=1', 'p99<=x', 'p99<=1 day']) {
    assert.throws(() => parseCriteria(wrong), { code: 'ERR_LAB_OPTION' }, wrong);
  }
});

test('void before failed, failed before passed; what was not measured fails', () => {
  const passed = judge(parseCriteria('p99<=40'), figures, []);
  assert.equal(decideVerdict(passed, false, false), 'passed');
  assert.equal(decideVerdict(passed, false, true), 'failed');
  assert.equal(decideVerdict(passed, true, true), 'void');
  assert.equal(decideVerdict([], false, false), 'none');
  assert.equal(decideVerdict(judge(parseCriteria('rssMax<=1'), figures, []), false, false), 'failed');
});
