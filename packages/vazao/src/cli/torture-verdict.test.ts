import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FaultRow, TortureReport } from '../torture/report.ts';
import { judgeReport } from './torture-verdict.ts';
import { parseTortureWords } from './torture-words.ts';

const MET = 2_000_000;
const MISSED = MET - 1;

/** Of a run that has met every goal but, perhaps, that of the reads. */
function reportOf(reads: number, violations: TortureReport['violations'] = []) {
  const quiet = { reads: 1, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };
  const faults = [{ kind: 'worker-killed', count: 20 } as FaultRow];
  return { reads, violations, faults, stalenessMs: { withoutFaults: quiet, duringFaults: quiet } };
}

/** The exit code, and whether each goal was met, if the run was measured by them. */
function judge(words: readonly string[], report: ReturnType<typeof reportOf>): [number, boolean[] | undefined] {
  const { exitCode, goals } = judgeReport(report, parseTortureWords(words), ['worker-killed']);
  return [exitCode, goals?.map(({ isMet }) => isMet)];
}

const STALE = [{ kind: 'stale', what: 'It shows r 0', atMs: 1 }] as const;

test('a violation ends with 1, whatever else was met, and a run without one with 0', () => {
  assert.deepEqual(judge(['--minutes', '1'], reportOf(MISSED)), [0, undefined]);
  assert.deepEqual(judge(['--minutes', '1'], reportOf(MISSED, STALE)), [1, undefined]);
  assert.deepEqual(judge(['--goals'], reportOf(MET, STALE)), [1, [true, true, true]]);
});

test('a goal that is missed ends with 1 where goals are asked for, in a run of any length', () => {
  for (const words of [['--goals'], ['--goals', '--minutes', '1'], ['--goals', '--faults', 'worker-killed']]) {
    assert.deepEqual(judge(words, reportOf(MET)), [0, [true, true, true]]);
    assert.deepEqual(judge(words, reportOf(MISSED)), [1, [false, true, true]]);
  }
});

test('ten minutes of all faults are measured unasked, and what they miss is told and fails nothing', () => {
  assert.deepEqual(judge([], reportOf(MISSED)), [0, [false, true, true]]);
  assert.deepEqual(judge(['--minutes', '9'], reportOf(MISSED)), [0, undefined]);
  assert.deepEqual(judge(['--faults', 'worker-killed'], reportOf(MISSED)), [0, undefined]);
});
