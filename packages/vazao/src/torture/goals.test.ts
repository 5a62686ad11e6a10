import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatGoals, judgeGoals } from './goals.ts';
import type { FaultRow, Percentiles } from './report.ts';

const percentiles = (p999: number, reads = 1): Percentiles => ({ reads, p50: 0, p90: 0, p99: 0, p999, max: 9 });
const row = (kind: string, count: number): FaultRow => ({ kind, count }) as FaultRow;

function judge(reads: number, faults: FaultRow[], p999: number, quietReads = 1): readonly boolean[] {
  const stalenessMs = { withoutFaults: percentiles(p999, quietReads), duringFaults: percentiles(900) };
  return judgeGoals({ reads, faults, stalenessMs }, ['a', 'b']).map(({ isMet }) => isMet);
}

test('goals are met at their bounds, and not below', () => {
  assert.deepEqual(judge(2_000_000, [row('a', 20), row('b', 25)], 5), [true, true, true]);
  assert.deepEqual(judge(1_999_999, [row('a', 19), row('b', 25)], 5.01), [false, false, false]);
});

test("a kind that never came, and a run without quiet, don't meet theirs", () => {
  assert.deepEqual(judge(2_000_000, [row('a', 20)], 0, 0), [true, false, false]);
});

test('the kind that came least often is named', () => {
  const stalenessMs = { withoutFaults: percentiles(2), duringFaults: percentiles(2) };
  const goals = judgeGoals({ reads: 5, faults: [row('a', 30), row('b', 3)], stalenessMs }, ['a', 'b']);
  assert.match(formatGoals(goals), /NOT MET faults of each kind: 3 of b \(at least 20\)/);
  assert.match(formatGoals(goals), /met {5}staleness without faults, p99\.9: 2\.00 ms/);
});
