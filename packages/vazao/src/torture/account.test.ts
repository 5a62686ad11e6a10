import assert from 'node:assert/strict';
import { test } from 'node:test';
import { giveAccount } from './account.ts';
import { Checker } from './checker.ts';
import type { FaultRecord } from './faults.ts';
import type { Read, Violation } from './history.ts';
import { ReadHistory } from './read-history.ts';

function read(startedAtMs: number, shown: readonly number[], rest: Partial<Read> = {}): Read {
  return {
    client: 0,
    connection: 1,
    host: 'host A',
    url: '/',
    user: undefined,
    startedAtMs,
    endedAtMs: startedAtMs + 1,
    status: 'vazao; hit',
    oneMoment: true,
    isCarried: true,
    expected: [],
    owner: undefined,
    shown,
    ...rest,
  };
}

function fault(kind: string, host: string | undefined, startedAtMs: number, endedAtMs: number): FaultRecord {
  return { kind, detail: '', host, excuses: true, restarts: false, startedAtMs, endedAtMs, mendedAtMs: endedAtMs };
}

/** Twenty writes of each of two registers, and what the reads make of it. */
function tell(reads: readonly Read[], faults: readonly FaultRecord[]) {
  const violations: Violation[] = [];
  const checker = new Checker({
    registers: ['a', 'b'],
    clients: 1,
    leaseMs: 1_000,
    slackMs: 0,
    onViolation: (violation) => violations.push(violation),
  });
  for (let version = 1; version <= 20; version++) {
    for (const register of [0, 1]) {
      const write = { writer: 'psql', registers: [register], empties: [], client: undefined };
      checker.acknowledge(checker.invoke(write, version * 100), version * 100 + 10);
    }
  }
  const history = new ReadHistory(1);
  for (const each of reads) {
    history.add(each);
    checker.read(each);
  }
  const [violation] = violations;
  assert.ok(violation);
  return giveAccount(violation, {
    checker,
    history,
    faults: {
      inForce: (from, to, after) => faults.filter((f) => f.startedAtMs <= to && f.endedAtMs + after >= from),
    },
    startedAtMs: 0,
    positionOf: (token) => token,
  });
}

const lines = (text: string): string[] => text.split('\n').map((line) => line.replace(/^ +[\d.]+ to +[\d.]+ +/, ''));

test('backwards: the read that bound the client, the one that broke it, and the writes between which it lies', () => {
  const reads = [
    read(2_030, [0, 18]),
    read(2_040, [0, 19]),
    read(2_050, [0, 19, 1, 20]),
    read(2_060, [1, 20]),
    read(2_070, [0, 17]),
  ];
  const faults = [
    fault('redis-killed', undefined, 2_000, 3_000),
    fault('worker-killed', 'host A', 2_000, 3_000),
    fault('host-frozen', 'host B', 2_000, 3_000),
    fault('schema-changed', undefined, 10, 20),
  ];
  const { text, window } = tell(reads, faults);
  assert.deepEqual(lines(text), [
    'backwards, at 2071.0 ms: It shows a 17 to a client that has seen, or been told of, 19.',
    'write  a 17 by psql, acknowledged',
    'write  a 18 by psql, acknowledged',
    'write  a 19 by psql, acknowledged',
    'fault  redis-killed',
    'fault  worker-killed',
    'read   client 0, connection 1 to host A: / shows a 19 (vazao; hit)',
    'read   client 0, connection 1 to host A: / shows a 17 (vazao; hit)',
  ]);
  const count = (kind: string): number => window.filter((line) => line.includes(`  ${kind} `)).length;
  assert.deepEqual([count('write'), count('read'), count('fault')], [9, 5, 4]);
});

test('mixed: both registers, and no other read', () => {
  const { text } = tell([read(2_020, [0, 20], { isCarried: false }), read(2_500, [0, 20, 1, 18])], []);
  assert.deepEqual(lines(text).slice(1), [
    'write  b 18 by psql, acknowledged',
    'write  b 19 by psql, acknowledged',
    'write  a 20 by psql, acknowledged',
    'read   client 0, connection 1 to host A: / shows a 20, b 18 (vazao; hit)',
  ]);
});
