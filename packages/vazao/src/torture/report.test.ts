import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Account, giveAccount } from './account.ts';
import { Checker } from './checker.ts';
import type { FaultKind } from './fault.ts';
import type { FaultRecord } from './faults.ts';
import { ReadHistory } from './read-history.ts';
import { formatReport, makeReport } from './report.ts';
import { CLIENTS, type TortureOutcome } from './torture.ts';
import { Staleness, Traffic } from './traffic.ts';

const START_MS = 5_000;
const SECONDS = 10;
const END_MS = START_MS + SECONDS * 1_000;

function fault(kind: string, startedAtMs: number, endedAtMs: number): FaultRecord {
  const rest = { detail: '', host: undefined, excuses: true, restarts: false, mendedAtMs: endedAtMs };
  return { kind, startedAtMs, endedAtMs, ...rest };
}

/** Redis is killed twice, for 1 s and for 0.6 s; the last failover is not over when the run is. */
const FAULTS = [
  fault('redis-killed', 8_000, 9_000),
  fault('redis-killed', 11_000, 11_600),
  fault('failover', 14_000, Number.POSITIVE_INFINITY),
];

/** All that is read is read around the first fault, away from the edges of the slots: 44 times before, 18 during, 66 after. */
function createTraffic(): Traffic {
  const traffic = new Traffic(START_MS);
  const read = (times: number, atMs: number, kind: 'hit' | 'stored' | 'not stored', reason?: string): void => {
    for (let time = 0; time < times; time++) traffic.answered(atMs, kind, reason);
  };
  read(11, 7_550, 'hit');
  read(33, 7_550, 'stored');
  read(18, 8_550, 'not stored', 'not-fresh');
  read(66, 9_550, 'hit');
  for (let time = 0; time < 3; time++) traffic.failed(8_550, 'error', 'status 503');
  traffic.failed(8_550, 'time-out', 'late');
  traffic.notModified = 7;
  traffic.waited(2_000);
  return traffic;
}

function stalenessOf(samples: readonly number[]): Staleness {
  const staleness = new Staleness();
  for (const sample of samples) staleness.add(sample);
  return staleness;
}

/** A run of 10 s. With a stale answer, if so wished: r has been at version 2 for two seconds, and 0 is shown; later it is 3. */
function createOutcome(isStale: boolean): TortureOutcome {
  const accounts: Account[] = [];
  const history = new ReadHistory(1);
  const faults = {
    records: FAULTS,
    inForce: (from: number, to: number, after: number) =>
      FAULTS.filter(({ startedAtMs, endedAtMs }) => startedAtMs <= to && endedAtMs + after >= from),
  };
  const checker = new Checker({
    registers: ['r'],
    clients: 1,
    leaseMs: 1_000,
    slackMs: 0,
    onViolation: (violation) =>
      accounts.push(
        giveAccount(violation, { checker, history, faults, startedAtMs: START_MS, positionOf: () => 'somewhere' }),
      ),
  });
  for (const atMs of [6_000, 6_400, 9_000]) {
    const write = { writer: 'psql', registers: [0], empties: [], client: undefined };
    checker.acknowledge(checker.invoke(write, atMs), atMs + 100);
  }
  const read = {
    client: 0,
    connection: 3,
    host: 'host A',
    url: '/r',
    user: undefined,
    startedAtMs: 8_500,
    endedAtMs: 8_501,
    status: 'vazao; hit',
    oneMoment: true,
    isCarried: false,
    expected: [0],
    owner: undefined,
  };
  checker.read({ ...read, shown: [0, isStale ? 0 : 2] });
  return {
    seed: 7,
    startedAtMs: START_MS,
    endedAtMs: END_MS,
    checker,
    traffic: createTraffic(),
    writes: {
      acknowledged: new Map([['psql', 1_002]]),
      lost: new Map([['application: PUT', 3]]),
      reasons: new Map([['application: PUT: status 503', 3]]),
    },
    faults,
    accounts,
    processorTime: { seconds: { client: 1, supervisors: 1, workers: 10, primary: 2, standbys: 0.5, Redis: 0.5 } },
    // 0.1, 0.2 … 100 ms: each share of them is below as many milliseconds as it has per cent.
    stalenessQuiet: stalenessOf(Array.from({ length: 1_000 }, (_, index) => (index + 1) / 10)),
    stalenessFaulty: stalenessOf([...Array.from({ length: 999 }, () => 0), 700]),
    rest: { workers: 6, answers: 1_750, fromRedis: 350 },
  } as unknown as TortureOutcome;
}

const MISSING = new Map([[{ name: 'replica-paused' } as FaultKind, 'no reads from replicas']]);

test('a fault is told with what was read before, during and after it', () => {
  const { faults } = makeReport(createOutcome(false), new Map());
  assert.deepEqual(
    faults.map(({ kind, count, meanMs }) => [kind, count, meanMs]),
    [
      ['failover', 1, END_MS - 14_000],
      ['redis-killed', 2, (1_000 + 600) / 2],
    ],
  );
  // Slots of 0.1 s are counted whole, at both ends: of two faults 1.1 s each before and after, and 1.1 and 0.7 s during.
  const nothing = { errors: 0, timeouts: 0 };
  assert.deepEqual(faults[1]?.before, { readsPerSecond: 44 / 2.2, hitRate: 11 / 44, ...nothing });
  assert.deepEqual(faults[1]?.during, { readsPerSecond: 18 / 1.8, hitRate: 0, errors: 3, timeouts: 1 });
  assert.deepEqual(faults[1]?.after, { readsPerSecond: 66 / 2.2, hitRate: 1, ...nothing });
});

test('reads, writes and what limits them are told by kind and per second', () => {
  const report = makeReport(createOutcome(false), MISSING);
  assert.equal(report.seed, 7);
  assert.equal(report.reads, 128);
  assert.equal(report.readsPerSecond, 12.8);
  assert.equal(report.hitRate, 77 / 128);
  assert.equal(report.notModified, 7);
  assert.deepEqual(report.readsByKind, { hit: 77, stored: 33, collapsed: 0, 'not stored': 18, 'not cached': 0 });
  assert.deepEqual(report.notStored, { 'not-fresh': 18 });
  assert.deepEqual(report.failures, { 'status 503': 3, late: 1 });
  assert.deepEqual(report.clientSeconds, { blocked: 2, all: CLIENTS * SECONDS });
  assert.deepEqual(report.writes, {
    psql: { acknowledged: 1_002, unknown: 0 },
    'application: PUT': { acknowledged: 0, unknown: 3 },
  });
  assert.deepEqual(report.unknownBecause, { 'application: PUT: status 503': 3 });
  assert.deepEqual(report.notAvailable, { 'replica-paused': 'no reads from replicas' });
  assert.deepEqual(report.atRest, { workers: 6, answers: 1_750, fromRedis: 350 });
});

test('the percentiles of staleness are those of the samples', () => {
  const { withoutFaults, duringFaults } = makeReport(createOutcome(false), new Map()).stalenessMs;
  const near = (found: number, wanted: number): void =>
    assert.ok(Math.abs(found - wanted) <= 0.010_001, `${found} for ${wanted}`);
  near(withoutFaults.p50, 50);
  near(withoutFaults.p90, 90);
  near(withoutFaults.p99, 99);
  near(withoutFaults.p999, 99.9);
  assert.equal(withoutFaults.max, 100);
  assert.equal(withoutFaults.reads, 1_000);
  // 999 of 1,000 are zero: so is the 99.9th percentile.
  assert.deepEqual(duringFaults, { reads: 1_000, p50: 0, p90: 0, p99: 0, p999: 0, max: 700 });
});

test('a violation is told once, with its time since the start, and with no more than shows it', () => {
  assert.deepEqual(makeReport(createOutcome(false), new Map()).violations, []);
  const { violations, accounts } = makeReport(createOutcome(true), new Map());
  const what = 'It shows r 0, out of date for 2400 ms when it was asked for';
  assert.deepEqual(violations, [{ kind: 'stale', what, atMs: 3_501 }]);
  const [account] = accounts;
  assert.equal(accounts.length, 1);
  assert.deepEqual(
    account?.text.split('\n').map((line) => line.replace(/ +/g, ' ').trim()),
    [
      `stale, at 3501.0 ms: ${what}.`,
      '1000.0 to 1100.0 write r 1 by psql, acknowledged',
      '1400.0 to 1500.0 write r 2 by psql, acknowledged',
      '3000.0 to 4000.0 fault redis-killed',
      '3500.0 to 3501.0 read client 0, connection 3 to host A: /r shows r 0 (vazao; hit)',
    ],
  );
});

function linesOf(isStale: boolean, missing: ReadonlyMap<FaultKind, string> = new Map()): readonly string[] {
  const text = formatReport(makeReport(createOutcome(isStale), missing));
  return text.split('\n').map((line) => line.replace(/ +/g, ' ').trim());
}

test('people read the seed, the faults with their counts, the percentiles, and how many violations there were', () => {
  const lines = linesOf(false, MISSING);
  for (const line of [
    'seed 7: 128 reads in 10 s (13/s), 60.2 % hits',
    'answers hit 77, stored 33, not stored 18, collapsed 0, not cached 0; 7 of them with status 304',
    'failures status 503 3, late 1',
    'clients 2 of 1,280 client-seconds blocked (answers after more than 250 ms)',
    'processor 15.0 s, 1.50 at a time: client 1.0, supervisors 1.0, workers 10.0, primary 2.0, standbys 0.5, Redis 0.5',
    'psql 1,002 0',
    'application: PUT 0 3',
    'during faults p50 0.00 ms, p90 0.00 ms, p99 0.00 ms, p99.9 0.00 ms, max 700.00 ms (1,000 reads)',
    'failover 1 1,000 ms 0 0 0 0.0 % 0.0 % 0.0 % 0, 0',
    'redis-killed 2 800 ms 20 10 30 25.0 % 0.0 % 100.0 % 3, 1',
    'replica-paused not available: no reads from replicas',
    'at rest 1,750 answers of 6 processes compared with the application without a cache, 350 of them from Redis',
    'violations 0',
  ]) {
    assert.ok(lines.includes(line), `no line: ${line}\n${lines.join('\n')}`);
  }
  assert.ok(linesOf(true).includes('violations 1: stale 1'));
});
