import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Checker } from './checker.ts';
import type { Read, Violation, Write } from './history.ts';

const LEASE_MS = 1_000;
const SLACK_MS = 100;
const GRACE_MS = LEASE_MS + SLACK_MS;

function createChecker(registers = 2, clients = 3): Checker {
  const names = Array.from({ length: registers }, (_, index) => `r${index}`);
  return new Checker({ registers: names, clients, leaseMs: LEASE_MS, slackMs: SLACK_MS });
}

interface Written {
  readonly from: number;
  readonly to: number;
  readonly registers?: readonly number[];
  readonly client?: number | undefined;
  readonly empties?: readonly number[];
}

/** A write that is acknowledged. */
function write(checker: Checker, { from, to, ...rest }: Written): Write {
  const begun = begin(checker, from, rest);
  checker.acknowledge(begun, to, rest.client);
  return begun;
}

function begin(checker: Checker, from: number, rest: Omit<Written, 'from' | 'to'> = {}): Write {
  const { registers = [0], empties = [], client } = rest;
  return checker.invoke({ writer: 'w', registers, empties, client }, from);
}

/** A read of `shown`, register and version by turns. */
function read(checker: Checker, from: number, shown: readonly number[], rest: Partial<Read> = {}): number {
  return checker.read({
    client: 0,
    connection: 1,
    host: 'host',
    url: '/',
    user: undefined,
    startedAtMs: from,
    endedAtMs: from + 1,
    status: 'vazao; hit',
    oneMoment: true,
    isCarried: true,
    expected: [],
    owner: undefined,
    ...rest,
    shown,
  });
}

function kinds({ violations }: Checker): Violation['kind'][] {
  return violations.map(({ kind }) => kind);
}

test('stale: from the lease after the acknowledgement on, and not before', () => {
  const checker = createChecker();
  write(checker, { from: 10, to: 20 });
  read(checker, 20 + GRACE_MS - 1, [0, 0], { client: 1 });
  assert.deepEqual(kinds(checker), []);
  read(checker, 20 + GRACE_MS, [0, 1], { client: 2 });
  read(checker, 20 + GRACE_MS, [0, 0], { client: 1 });
  assert.deepEqual(kinds(checker), ['stale']);
  const [violation] = checker.violations;
  assert.deepEqual([violation?.register, violation?.version, violation?.due], [0, 0, 1]);
});

test('a write that is not acknowledged is owed to nobody', () => {
  const checker = createChecker();
  const open = begin(checker, 10);
  read(checker, 10_000, [0, 0]);
  checker.lose(open);
  read(checker, 20_000, [0, 0]);
  checker.settle(open, true, 30_000);
  read(checker, 30_000 + GRACE_MS - 1, [0, 0]);
  assert.deepEqual(kinds(checker), []);
  read(checker, 30_000 + GRACE_MS, [0, 0]);
  assert.deepEqual(kinds(checker), ['stale']);
});

test('mixed: two versions of one register', () => {
  const checker = createChecker();
  write(checker, { from: 10, to: 20 });
  read(checker, 21, [0, 1, 1, 0, 0, 0]);
  assert.deepEqual(kinds(checker), ['mixed']);
});

test('mixed: one half of a transaction', () => {
  const checker = createChecker();
  write(checker, { from: 10, to: 20, registers: [0, 1] });
  read(checker, 21, [0, 0, 1, 0]);
  assert.deepEqual(kinds(checker), []);
  read(checker, 22, [0, 1, 1, 0]);
  assert.deepEqual(kinds(checker), ['mixed']);
});

test('mixed: a later write without an earlier one', () => {
  const checker = createChecker();
  write(checker, { from: 10, to: 20, registers: [0] });
  write(checker, { from: 30, to: 40, registers: [1] });
  read(checker, 41, [0, 1, 1, 0]);
  assert.deepEqual(kinds(checker), []);
  read(checker, 42, [0, 0, 1, 1], { client: 1 });
  assert.deepEqual(kinds(checker), ['mixed']);
});

test('not mixed: writes that overlap, in any order; and answers that are not of one moment', () => {
  const checker = createChecker();
  const first = begin(checker, 10, { registers: [0] });
  write(checker, { from: 15, to: 18, registers: [1] });
  checker.acknowledge(first, 20);
  read(checker, 21, [0, 0, 1, 1], { client: 0 });
  read(checker, 21, [0, 1, 1, 0], { client: 1 });
  write(checker, { from: 30, to: 40, registers: [0, 1] });
  read(checker, 41, [0, 2, 1, 1], { client: 2, oneMoment: false });
  assert.deepEqual(kinds(checker), []);
});

test('backwards: less than the client has seen, whatever the time', () => {
  const checker = createChecker();
  write(checker, { from: 10, to: 20 });
  read(checker, 21, [0, 1], { client: 0 });
  read(checker, 22, [0, 0], { client: 1 });
  assert.deepEqual(kinds(checker), []);
  read(checker, 22, [0, 0], { client: 0 });
  assert.deepEqual(kinds(checker), ['backwards']);
});

test('a client that carries nothing of what it has seen may see less', () => {
  const checker = createChecker();
  write(checker, { from: 10, to: 20 });
  read(checker, 21, [0, 1], { isCarried: false });
  read(checker, 22, [0, 0]);
  read(checker, 23, [0, 1]);
  checker.forget(0);
  read(checker, 24, [0, 0]);
  assert.deepEqual(kinds(checker), []);
});

test('own write: to the client that wrote, and with it all that had ended before', () => {
  const checker = createChecker(3);
  write(checker, { from: 1, to: 5, registers: [1] });
  write(checker, { from: 10, to: 20, registers: [0], client: 0 });
  write(checker, { from: 15, to: 22, registers: [2] });
  read(checker, 23, [0, 0, 1, 0, 2, 0], { client: 1 });
  read(checker, 23, [2, 0], { client: 0 });
  assert.deepEqual(kinds(checker), []);
  read(checker, 23, [0, 0], { client: 0 });
  read(checker, 23, [1, 0], { client: 0 });
  assert.deepEqual(kinds(checker), ['own write', 'backwards']);
});

test('leak: what is private of another', () => {
  const checker = createChecker();
  read(checker, 1, [], { user: 'ana', owner: 'ana' });
  read(checker, 2, [], { user: 'ana', owner: undefined });
  assert.deepEqual(kinds(checker), []);
  read(checker, 3, [], { user: 'ana', owner: 'rui' });
  read(checker, 4, [], { owner: 'rui' });
  assert.deepEqual(kinds(checker), ['leak', 'leak']);
});

test('invented: a version that nobody wrote, or that was written later', () => {
  const checker = createChecker();
  read(checker, 1, [0, 1]);
  const late = begin(checker, 100);
  read(checker, 50, [0, 1], { client: 1 });
  checker.acknowledge(late, 110);
  assert.deepEqual(kinds(checker), ['invented', 'invented']);
});

test('missing: a register that an answer has to show, but for a table that is being emptied', () => {
  const checker = createChecker();
  read(checker, 1, [0, 0], { expected: [0] });
  const truncate = begin(checker, 100, { registers: [0], empties: [1] });
  read(checker, 99, [0, 0], { expected: [0, 1] });
  read(checker, 150, [0, 0], { expected: [0, 1] });
  checker.acknowledge(truncate, 200);
  read(checker, 200 + GRACE_MS, [0, 1], { expected: [0, 1] });
  assert.deepEqual(kinds(checker), []);
  read(checker, 200 + GRACE_MS + 1, [0, 1], { expected: [0, 1] });
  read(checker, 300, [1, 0], { expected: [0], client: 1 });
  assert.deepEqual(kinds(checker), ['missing', 'missing']);
});

test('what only an unknown write showed is judged when it is settled: applied', () => {
  const checker = createChecker();
  const unknown = begin(checker, 10);
  read(checker, 12, [0, 1]);
  checker.lose(unknown);
  read(checker, 14, [0, 0]);
  assert.deepEqual(kinds(checker), []);
  checker.settle(unknown, true, 50);
  assert.deepEqual(kinds(checker), ['backwards']);
});

test('what only an unknown write showed is judged when it is settled: void without a failover', () => {
  const checker = createChecker();
  const unknown = begin(checker, 10);
  read(checker, 12, [0, 1]);
  checker.lose(unknown);
  checker.settle(unknown, false, 50);
  assert.deepEqual(kinds(checker), ['invented']);
});

test('what only an unknown write showed is judged when it is settled: lost by a failover', () => {
  const checker = createChecker();
  write(checker, { from: 1, to: 2 });
  const unknown = begin(checker, 10);
  read(checker, 12, [0, 2]);
  checker.lose(unknown);
  checker.failedOver(20);
  read(checker, 21, [0, 1]);
  checker.settle(unknown, false, 50);
  read(checker, 51, [0, 1]);
  read(checker, 52, [0, 2]); // on its way
  assert.deepEqual(kinds(checker), []);
  read(checker, 50 + GRACE_MS + 1, [0, 2]);
  assert.deepEqual(kinds(checker), ['invented'], 'and later it must be gone');
  read(checker, 60, [0, 0]);
  assert.deepEqual(kinds(checker), ['invented', 'backwards'], 'what had been done before is owed still');
});

test('a void version is given to the next write', () => {
  const checker = createChecker();
  const unknown = begin(checker, 10);
  checker.lose(unknown);
  assert.equal(checker.logs[0]?.isBusy, true);
  checker.settle(unknown, false, 20);
  assert.equal(checker.logs[0]?.isBusy, false);
  const next = write(checker, { from: 30, to: 40 });
  assert.deepEqual(next.versions, unknown.versions);
  read(checker, 41, [0, 1]);
  read(checker, 40 + GRACE_MS, [0, 0], { client: 1 });
  assert.deepEqual(kinds(checker), ['stale']);
});

test('lost: at rest less than was acknowledged', () => {
  const checker = createChecker();
  write(checker, { from: 10, to: 20, registers: [0, 1] });
  checker.compare([0, 1], '/', 1_000);
  assert.deepEqual(kinds(checker), []);
  checker.compare([1, 0], '/', 1_000);
  checker.compare([0, 2], '/', 1_000);
  assert.deepEqual(kinds(checker), ['lost', 'lost']);
});

test('staleness is counted from the oldest newer write', () => {
  const checker = createChecker();
  write(checker, { from: 10, to: 20 });
  write(checker, { from: 30, to: 40, registers: [0, 1] });
  const at = (from: number, shown: number[]): number =>
    read(checker, from, shown, { isCarried: false, oneMoment: false });
  assert.equal(at(50, [0, 2, 1, 1]), 0);
  assert.equal(at(50, [0, 1]), 10);
  assert.equal(at(50, [1, 0, 0, 0]), 30);
  assert.equal(at(15, [0, 0]), 0);
  assert.deepEqual(kinds(checker), []);
});

/** A database without faults: each commit at one moment between asking and answer, each answer from one moment, maybe cached. */
const STEPS = fc.array(
  fc.record({
    kind: fc.constantFrom('write' as const, 'read' as const, 'read' as const),
    gapMs: fc.integer({ min: 1, max: 400 }),
    lengthMs: fc.integer({ min: 2, max: 300 }),
    register: fc.integer({ min: 0, max: 2 }),
    both: fc.boolean(),
    client: fc.integer({ min: 0, max: 2 }),
    carries: fc.boolean(),
    /** How old the snapshot of the answer is when it is asked for. */
    ageMs: fc.integer({ min: 0, max: LEASE_MS }),
    outcome: fc.constantFrom('acknowledged' as const, 'acknowledged' as const, 'applied' as const, 'void' as const),
  }),
  { maxLength: 60 },
);

interface Commit {
  readonly atMs: number;
  readonly registers: readonly number[];
  readonly versions: readonly number[];
}

/** Plays the steps one after the other. `spoil` may change what a read shows. */
function play(
  steps: typeof STEPS extends fc.Arbitrary<infer S> ? S : never,
  spoil: (shown: number[], seen: ReadonlyMap<number, number>, at: number) => void = () => {},
): Checker {
  const checker = createChecker(3);
  const commits: Commit[] = [];
  const floors = [0, 0, 0];
  let now = 5_000;
  const snapshot = (atMs: number): Map<number, number> => {
    const state = new Map([0, 1, 2].map((register) => [register, 0]));
    for (const commit of commits) {
      if (commit.atMs <= atMs)
        commit.registers.forEach((r, index) => void state.set(r, commit.versions[index] as number));
    }
    return state;
  };
  for (const step of steps) {
    now += step.gapMs;
    const end = now + step.lengthMs;
    const client = step.client;
    if (step.kind === 'write') {
      const registers = step.both ? [step.register, (step.register + 1) % 3] : [step.register];
      const begun = checker.invoke({ writer: 'w', registers, empties: [], client: undefined }, now);
      const atMs = now + Math.floor(step.lengthMs / 2);
      if (step.outcome !== 'void') commits.push({ atMs, registers, versions: begun.versions });
      if (step.outcome === 'acknowledged') {
        checker.acknowledge(begun, end, client);
        floors[client] = Math.max(floors[client] as number, atMs);
      } else {
        checker.lose(begun);
        checker.settle(begun, step.outcome === 'applied', end);
      }
    } else {
      const atMs = Math.max(floors[client] as number, now - step.ageMs);
      const seen = snapshot(atMs);
      const shown = [...seen].flat();
      spoil(shown, seen, now);
      if (step.carries) floors[client] = Math.max(floors[client] as number, atMs);
      read(checker, now, shown, { client, isCarried: step.carries, endedAtMs: end });
    }
    now = end;
  }
  return checker;
}

test('any history of a database that keeps the guarantees passes', () => {
  fc.assert(
    fc.property(STEPS, (steps) => {
      assert.deepEqual(play(steps).violations, []);
    }),
    { numRuns: 500 },
  );
});

test('a read that goes below what is owed to everybody is always found', () => {
  fc.assert(
    fc.property(STEPS, fc.integer({ min: 0, max: 2 }), (steps, register) => {
      // Version 0 of one register, at any time after the lease of its first write.
      let firstEndsAtMs = Number.POSITIVE_INFINITY;
      let expected = 0;
      let now = 5_000;
      for (const step of steps) {
        now += step.gapMs + step.lengthMs;
        const touches = step.register === register || (step.both && (step.register + 1) % 3 === register);
        if (step.kind === 'write' && step.outcome !== 'void' && touches && now < firstEndsAtMs) firstEndsAtMs = now;
      }
      const checker = play(steps, (shown, _seen, at) => {
        shown[register * 2 + 1] = 0;
        if (at - GRACE_MS >= firstEndsAtMs) expected++;
      });
      const found = checker.violations.filter(
        (violation) => violation.kind === 'stale' && violation.register === register,
      );
      assert.equal(found.length, expected);
    }),
    { numRuns: 500 },
  );
});

test('an answer of two moments is found whenever a snapshot of them both can not be', () => {
  fc.assert(
    fc.property(STEPS, (steps) => {
      const checker = play([
        ...steps.filter(({ kind }) => kind === 'write'),
        {
          ...({} as (typeof steps)[number]),
          kind: 'write',
          gapMs: 1,
          lengthMs: 2,
          register: 0,
          both: true,
          client: 0,
          outcome: 'acknowledged',
          carries: false,
          ageMs: 0,
        },
      ]);
      const [first = 0, second = 0] = [checker.logs[0]?.last, checker.logs[1]?.last];
      const before = checker.violations.length;
      read(checker, 10 ** 6, [0, first, 1, second - 1], { client: 1 });
      assert.ok(checker.violations.slice(before).some(({ kind }) => kind === 'mixed'));
    }),
    { numRuns: 200 },
  );
});
