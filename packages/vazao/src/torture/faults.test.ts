import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FaultKind, FaultWorld } from './fault.ts';
import { FaultScheduler } from './faults.ts';
import { createRandom } from './random.ts';

const WORLD = {} as FaultWorld;

/** Faults that do nothing but note when they run. */
function createKinds(
  takes: Readonly<Record<string, readonly string[]>>,
  running: Set<string>,
  log: string[],
): FaultKind[] {
  return Object.entries(takes).map(([name, taken]) => ({
    name,
    excuses: name.startsWith('excusing'),
    missing: () => undefined,
    plan: () => ({
      takes: taken,
      detail: '',
      async run() {
        for (const part of taken) {
          assert.ok(!running.has(part), `${part} is broken twice at a time`);
          running.add(part);
        }
        log.push(name);
        await new Promise((resolve) => setTimeout(resolve, 2));
        for (const part of taken) running.delete(part);
      },
    }),
  }));
}

test('every kind comes as often as the others, give or take a round, and none breaks what another has broken', async () => {
  const running = new Set<string>();
  const log: string[] = [];
  // The one that needs all would never come if the others went before it whenever they could.
  const takes = { one: ['a'], two: ['b'], three: ['c'], four: ['a', 'b'], five: ['c'], all: ['a', 'b', 'c'] };
  const stop = new AbortController();
  const kinds = createKinds(takes, running, log);
  const random = createRandom(1);
  const hasty = { ...random, fork: (name: string) => ({ ...random.fork(name), next: () => 0 }) };
  const scheduler = new FaultScheduler({
    world: WORLD,
    random: hasty,
    clock: () => performance.now(),
    kinds,
    lanes: 3,
    signal: stop.signal,
  });
  const run = scheduler.run();
  const deadline = performance.now() + 60_000;
  while (log.length < 60 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
  stop.abort();
  await run;
  const counts = Object.keys(takes).map((name) => log.filter((entry) => entry === name).length);
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 3, `${counts}`);
  assert.equal(scheduler.records.length, log.length);
  assert.ok(scheduler.records.every(({ startedAtMs, endedAtMs }) => endedAtMs >= startedAtMs));
});

test('a fault excuses what fails while it lasts, and a while after', () => {
  const scheduler = new FaultScheduler({
    world: WORLD,
    random: createRandom(1),
    clock: () => 0,
    kinds: [],
    lanes: 1,
    signal: AbortSignal.abort(),
  });
  scheduler.records.push(
    { kind: 'harmless', detail: '', excuses: false, startedAtMs: 0, endedAtMs: 1_000 },
    { kind: 'excusing', detail: '', excuses: true, startedAtMs: 100, endedAtMs: 200 },
  );
  const kinds = (from: number, to: number, after: number, excusing?: boolean): string[] =>
    scheduler.inForce(from, to, after, excusing).map(({ kind }) => kind);
  assert.deepEqual(kinds(150, 160, 0, true), ['excusing']);
  assert.deepEqual(kinds(250, 260, 0, true), []);
  assert.deepEqual(kinds(250, 260, 50, true), ['excusing']);
  assert.deepEqual(kinds(50, 100, 0, true), ['excusing']);
  assert.deepEqual(kinds(50, 99, 0, true), []);
  assert.deepEqual(kinds(150, 160, 0), ['excusing', 'harmless']);
});
