import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Admission, type Release } from './admission.ts';
import { resolveLimitsOptions } from './options.ts';
import { REQUEST_CLASSES, type RequestClass } from './request-class.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);

function options(inFlightMax: number, now: () => number) {
  const { admission } = resolveLimitsOptions({ admission: { inFlightMax } });
  assert.ok(admission);
  return { ...admission, now };
}

test('reads that take all they may get leave room for a write, a log-in, an administrator and health', () => {
  const admission = new Admission(options(10, () => 0));
  let reads = 0;
  while (admission.tryEnter('read')) reads++;
  assert.equal(reads, 10 - 2 - 1 - 1, 'ten places, without those of writes (2), log-ins and administrators');
  assert.ok(admission.tryEnter('write'));
  assert.ok(admission.tryEnter('write'));
  assert.equal(admission.tryEnter('write'), undefined);
  assert.ok(admission.tryEnter('login'));
  assert.ok(admission.tryEnter('admin'));
  for (let i = 0; i < 8; i++) assert.ok(admission.tryEnter('health'), 'health takes nothing of the others');
});

test('a place that is given back goes to the class that has least of its claim', () => {
  const admission = new Admission(options(10, () => 0));
  const releases: Release[] = [];
  for (let release = admission.tryEnter('read'); release; release = admission.tryEnter('read')) releases.push(release);
  const entered: RequestClass[] = [];
  for (const name of ['read', 'read', 'write', 'write', 'write'] as const)
    if (!admission.tryEnter(name))
      admission.wait(
        name,
        () => entered.push(name),
        () => {},
      );
  assert.deepEqual(entered, [], 'two writes had room of their own');
  releases.shift()?.();
  assert.deepEqual(entered, ['write'], '(2 + 1) / 2 is less than (5 + 1) / 4');
  releases.shift()?.();
  assert.deepEqual(entered, ['write', 'read']);
  releases[0]?.();
  releases[0]?.();
  assert.equal(admission.figures().read.inFlight, 5, 'a second release does nothing');
});

test('a burst is served in its order', () => {
  let now = 0;
  const admission = new Admission(options(4, () => now));
  const release = admission.tryEnter('read') as Release;
  const order: string[] = [];
  for (const name of ['first', 'second', 'third'])
    admission.wait(
      'read',
      (free) => {
        order.push(name);
        free();
      },
      () => order.push(`${name} refused`),
    );
  now = 20;
  release();
  assert.deepEqual(order, ['first', 'second', 'third']);
});

/** Reads that all wait for one place; each tells its fate. */
function crowd(admission: Admission) {
  const fates: string[] = [];
  return {
    fates,
    /** Returns what ends the waiting. */
    wait: (name: string) =>
      admission.wait(
        'read',
        () => fates.push(`${name} served`),
        (reason) => fates.push(`${name} refused for its ${reason}`),
      ),
  };
}

test('once one of twenty is refused nobody waits longer than the target, and the oldest is served', () => {
  let now = 0;
  const { waitMaxMs, waitTargetMs } = options(4, () => now);
  const admission = new Admission(options(4, () => now));
  const release = admission.tryEnter('read') as Release;
  const { fates, wait } = crowd(admission);
  for (now = 0; now < waitMaxMs; now++) wait(`at ${now}`);
  assert.deepEqual(fates, [], 'a burst may wait');
  for (; now < waitMaxMs + 10; now++) wait(`at ${now}`);
  assert.equal(fates[0], 'at 0 refused for its age');
  assert.equal(admission.figures().read.waiting, waitTargetMs, 'those within the target');
  now--;
  release();
  assert.equal(fates.at(-1), `at ${now + 1 - waitTargetMs} served`);
});

test('under overload, who would wait too long at the pace of the work is refused at once; one may always wait', () => {
  let now = 0;
  const admission = new Admission(options(5, () => now));
  const { waitTargetMs, waitMaxMs } = options(5, () => now);
  const enter = (): Release => admission.tryEnter('read') as Release;
  const places = [enter(), enter()]; // the one of reads, and the one of all
  const { wait } = crowd(admission);
  /** So many may wait beside each other. */
  const joining = (): number => {
    for (let joined = 0; ; joined++) {
      if (admission.refusesAtOnce('read')) return joined;
      wait('');
    }
  };
  const endWaiting = (): void => {
    now += waitMaxMs;
    wait('')();
  };
  const workAt = (paceMs: number): void => {
    endWaiting();
    for (let n = 0; n < 100; n++) {
      now += paceMs;
      (places.shift() as Release)();
      places.push(enter());
    }
  };
  const overload = (): void => {
    for (let n = 0; n < 10; n++) wait('');
    endWaiting();
  };
  workAt(3);
  for (let n = 0; n < 9; n++) assert.equal(admission.refusesAtOnce('read'), false, 'no overload');
  overload();
  assert.equal(joining(), Math.ceil(waitTargetMs / 3));
  assert.equal(admission.figures().read.refused, 11);
  workAt(500);
  overload();
  assert.equal(joining(), 1, 'so that the next place does not stay empty');
  endWaiting();
  now += 1_000;
  for (let n = 0; n < 9; n++) wait('');
  assert.equal(admission.refusesAtOnce('read'), false, 'a second without a refusal is no overload');
});

test('a pause in which nothing was asked is no slow pace', () => {
  let now = 0;
  const admission = new Admission(options(5, () => now));
  const { waitTargetMs } = options(5, () => now);
  for (let n = 0; n < 30; n++) {
    now += 60_000;
    const places = [admission.tryEnter('read'), admission.tryEnter('read')] as Release[];
    now += 2;
    for (const release of places) release();
  }
  const { wait, fates } = crowd(admission);
  while (admission.tryEnter('read'));
  for (let n = 0; n < 10; n++) wait('');
  now += 30;
  let joined = 0;
  for (wait(''); !admission.refusesAtOnce('read'); joined++) wait('');
  assert.equal(fates.length, 10);
  assert.ok(joined > waitTargetMs / 3, `${joined} wait`);
});

test('a line has a length: the oldest goes', () => {
  const admission = new Admission({ ...options(4, () => 0), queueLengthMax: 3 });
  const release = admission.tryEnter('read') as Release;
  const refused: number[] = [];
  for (let i = 0; i < 5; i++)
    admission.wait(
      'read',
      () => {},
      (reason) => reason === 'length' && refused.push(i),
    );
  assert.deepEqual(refused, [0, 1]);
  release();
});

test('whoever leaves is neither served nor refused', () => {
  const admission = new Admission(options(4, () => 0));
  const release = admission.tryEnter('read') as Release;
  const told: string[] = [];
  const leave = admission.wait(
    'read',
    () => told.push('served'),
    () => told.push('refused'),
  );
  leave();
  leave();
  release();
  assert.deepEqual(told, []);
  assert.ok(admission.tryEnter('read'));
});

test(`room is never exceeded, reserved room is always there, and everybody is told once (seed ${seed})`, () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('ask' as const), name: fc.constantFrom(...REQUEST_CLASSES) }),
    fc.record({ kind: fc.constant('release' as const), which: fc.nat() }),
    fc.record({ kind: fc.constant('leave' as const), which: fc.nat() }),
    fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 60 }) }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 4, max: 30 }), fc.array(step, { maxLength: 200 }), (inFlightMax, steps) => {
      let now = 0;
      const settings = { ...options(inFlightMax, () => now), queueLengthMax: 10 };
      const admission = new Admission(settings);
      const places: Release[] = [];
      const leaves: (() => void)[] = [];
      let told = 0;
      let asked = 0;
      let left = 0;
      for (const one of steps) {
        if (one.kind === 'pass') now += one.ms;
        else if (one.kind === 'release') places.splice(one.which % Math.max(1, places.length), 1)[0]?.();
        else if (one.kind === 'leave') leaves.splice(one.which % Math.max(1, leaves.length), 1)[0]?.();
        else {
          asked++;
          const release = admission.tryEnter(one.name);
          const state = { isDone: false };
          const tell = (): void => {
            assert.equal(state.isDone, false, 'told twice');
            state.isDone = true;
            told++;
          };
          if (release) {
            tell();
            places.push(release);
          } else if (admission.refusesAtOnce(one.name)) tell();
          else {
            const leave = admission.wait(
              one.name,
              (free) => {
                tell();
                places.push(free);
              },
              tell,
            );
            leaves.push(() => {
              if (!state.isDone) left++;
              state.isDone = true;
              leave();
            });
          }
        }
        const figures = admission.figures();
        const shared =
          inFlightMax -
          REQUEST_CLASSES.reduce((sum, name) => sum + (name === 'health' ? 0 : settings.rooms[name].reserved), 0);
        let sharedInUse = 0;
        let waiting = 0;
        for (const name of REQUEST_CLASSES) {
          const { inFlight } = figures[name];
          const { reserved, max } = settings.rooms[name];
          assert.ok(inFlight <= max && inFlight >= 0);
          sharedInUse += Math.max(0, inFlight - reserved);
          waiting += figures[name].waiting;
          if (inFlight < reserved) assert.equal(figures[name].waiting, 0, `${name} waits beside free room of its own`);
        }
        assert.ok(sharedInUse <= shared);
        assert.equal(told + left + waiting, asked, 'everybody is told, has left, or waits');
      }
      for (const release of places) release();
      for (const leave of leaves) leave();
    }),
    { seed, numRuns: 200 },
  );
});
