import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isExcused } from './excuses.ts';
import type { FaultRecord } from './faults.ts';

function fault(rest: Partial<FaultRecord>): FaultRecord {
  const endedAtMs = rest.endedAtMs ?? 2_000;
  return {
    kind: 'broken',
    detail: '',
    host: undefined,
    excuses: true,
    restarts: false,
    startedAtMs: 1_000,
    endedAtMs,
    mendedAtMs: endedAtMs,
    ...rest,
  };
}

test('what is broken at the primary excuses requests to every host, while it lasts and five seconds longer', () => {
  const cut = fault({});
  assert.equal(isExcused([cut], 'host A', 500, 999), false);
  assert.equal(isExcused([cut], 'host A', 500, 1_000), true);
  assert.equal(isExcused([cut], 'host B', 7_000, 7_001), true);
  assert.equal(isExcused([cut], 'host B', 7_001, 7_002), false);
  assert.equal(isExcused([fault({ endedAtMs: Number.POSITIVE_INFINITY })], 'host A', 9_000, 9_001), true);
});

test('what is broken at one host excuses nothing of the other', () => {
  const killed = fault({ host: 'host A', restarts: true });
  assert.equal(isExcused([killed], 'host A', 1_500, 1_501), true);
  assert.equal(isExcused([killed], 'host B', 1_500, 1_501), false);
});

test('what costs no request excuses none', () => {
  assert.equal(isExcused([fault({ excuses: false })], 'host A', 1_500, 1_501), false);
});

test('a process that was to start while the database was away has longer', () => {
  const cut = fault({});
  const killed = fault({ host: 'host A', restarts: true, startedAtMs: 2_500, endedAtMs: 4_000 });
  assert.equal(isExcused([killed, cut], 'host A', 13_000, 13_001), true);
  assert.equal(isExcused([killed, cut], 'host A', 14_001, 14_002), false);
  // Neither the other host, nor one whose processes only stood still, nor one that was broken at another time.
  assert.equal(isExcused([killed, cut], 'host B', 7_500, 7_501), false);
  assert.equal(isExcused([{ ...killed, restarts: false }, cut], 'host A', 9_500, 9_501), false);
  const later = { ...killed, startedAtMs: 7_500, endedAtMs: 8_000 };
  assert.equal(isExcused([later, cut], 'host A', 13_500, 13_501), false);
});
