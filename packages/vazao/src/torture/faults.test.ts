import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FaultKind, FaultWorld } from './fault.ts';
import { FAULT_KINDS } from './fault-kinds.ts';
import { planRound } from './fault-schedule.ts';
import { FaultScheduler } from './faults.ts';
import { createRandom } from './random.ts';

const WORLD = {
  stage: { hosts: [{ name: 'host A' }, { name: 'host B' }] },
  profile: { schemaChanges: [['apply', 'undo']] },
} as unknown as FaultWorld;

/** Faults that do nothing but note when they run, as long as `lastsMs` says. */
function createKinds(
  takes: Readonly<Record<string, readonly string[]>>,
  running: Set<string>,
  log: string[],
  lastsMs: () => number = () => 2,
): FaultKind[] {
  return Object.entries(takes).map(([name, taken]) => ({
    name,
    excuses: false,
    typicalMs: 2,
    missing: () => undefined,
    plan: (_world, random) => ({
      takes: taken,
      detail: random.next().toFixed(6),
      async run() {
        for (const part of taken) {
          assert.ok(!running.has(part), `${part} is broken twice at a time`);
          running.add(part);
        }
        log.push(name);
        await new Promise((resolve) => setTimeout(resolve, lastsMs()));
        for (const part of taken) running.delete(part);
      },
    }),
  }));
}

const TAKES = { one: ['a'], two: ['b'], three: ['c'], four: ['a', 'b'], five: ['c'], all: ['a', 'b', 'c'] };

function createScheduler(kinds: readonly FaultKind[], signal: AbortSignal): FaultScheduler {
  return new FaultScheduler({
    world: WORLD,
    random: createRandom(1),
    // A second between rounds is long for a test.
    clock: () => performance.now() * 1_000,
    kinds,
    lanes: 3,
    periodMs: 0,
    signal,
  });
}

/** Runs until so many faults have begun. */
async function runUntil(count: number, kinds: readonly FaultKind[]): Promise<FaultScheduler> {
  const stop = new AbortController();
  const scheduler = createScheduler(kinds, stop.signal);
  const run = scheduler.run();
  const deadline = performance.now() + 60_000;
  while (scheduler.records.length < count && performance.now() < deadline) {
    await Promise.race([run, new Promise((resolve) => setTimeout(resolve, 5))]);
  }
  stop.abort();
  await run;
  return scheduler;
}

test('every kind comes once in a round, none breaks what another has broken, and all come to their end', async () => {
  const log: string[] = [];
  const { records } = await runUntil(18, createKinds(TAKES, new Set(), log));
  assert.equal(records.length, log.length);
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(log.slice(round * 6, round * 6 + 6).sort(), Object.keys(TAKES).sort());
  }
  assert.ok(records.every(({ startedAtMs, endedAtMs }) => endedAtMs >= startedAtMs));
});

test('the order, and what each does, depend on the seed alone, however long each takes', async () => {
  const told = async (lastsMs: () => number): Promise<string[]> => {
    const { records } = await runUntil(18, createKinds(TAKES, new Set(), [], lastsMs));
    return records.slice(0, 18).map(({ kind, detail }) => `${kind} ${detail}`);
  };
  const slow = createRandom(2);
  assert.deepEqual(await told(() => slow.between(0, 30)), await told(() => 1));
});

test('a fault that fails ends the run with its error, whenever it does', async () => {
  const [kind] = createKinds({ one: ['a'] }, new Set(), []) as [FaultKind];
  const fail = async (): Promise<void> => {
    throw new Error('a part is broken');
  };
  const failing = { ...kind, plan: () => ({ takes: [], detail: '', run: fail }) };
  await assert.rejects(createScheduler([failing], new AbortController().signal).run(), /^Error: a part is broken$/);
});

test('rounds of the real kinds: each once, in an order of the seed, and an open transaction beside another fault in each', () => {
  const round = (number: number, seed: number) =>
    planRound(number, { world: WORLD, kinds: FAULT_KINDS, lanes: 3, random: createRandom(seed) });
  const names = (number: number, seed: number): string[] =>
    round(number, seed).flatMap((group) => group.map(({ kind, plan }) => `${kind.name} ${plan.detail}`));
  assert.deepEqual(names(3, 7), names(3, 7));
  assert.notDeepEqual(names(3, 7), names(4, 7));
  assert.notDeepEqual(names(3, 7), names(3, 8));
  const beside = new Set<string | undefined>();
  for (let number = 0; number < 6; number++) {
    const groups = round(number, 7);
    const kinds = groups.flatMap((group) => group.map(({ kind }) => kind.name));
    assert.deepEqual(kinds.sort(), FAULT_KINDS.map(({ name }) => name).sort());
    beside.add(groups.find(([first]) => first?.kind.name === 'long-transaction')?.[1]?.kind.name);
  }
  const databases = [
    'connections-dropped',
    'database-cut',
    'database-stalled',
    'failover',
    'feed-dropped',
    'feed-frozen',
  ];
  assert.deepEqual([...beside].sort(), databases);
});

test('quiet is when nothing is broken or being mended, nor has been a moment ago', () => {
  const scheduler = createScheduler([], AbortSignal.abort());
  const record = { kind: 'one', detail: '', host: undefined, excuses: false, restarts: false };
  scheduler.records.push({ ...record, startedAtMs: 100, endedAtMs: 200, mendedAtMs: 300 });
  assert.deepEqual(
    [99, 100, 250, 350, 351].map((at) => scheduler.isQuiet(at, 50)),
    [true, false, false, false, true],
  );
  assert.equal(scheduler.inForce(210, 220, 0).length, 0);
  assert.equal(scheduler.inForce(210, 220, 10).length, 1);
  assert.equal(scheduler.inForce(0, 99, 0).length, 0);
  assert.equal(scheduler.inForce(0, 100, 0).length, 1);
});
