import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findKnee, type Step } from './knee.ts';
import { checkLittlesLaw } from './littles-law.ts';
import { createUniform } from './random.ts';

/** A server of known capacity under steps of a tenth: what is offered above it is not completed; noise of ±2 %. */
function stress(capacityPerS: number, { seed = 1, collapse = 0, p99Breaks = Number.POSITIVE_INFINITY } = {}): Step[] {
  const uniform = createUniform(seed);
  return Array.from({ length: 16 }, (_, step) => {
    const offeredPerS = 0.3 * capacityPerS * 1.12 ** step;
    const over = Math.max(0, offeredPerS - capacityPerS);
    const served = Math.min(offeredPerS, capacityPerS) - collapse * over;
    const completedPerS = served * (0.98 + 0.04 * uniform());
    return { offeredPerS, completedPerS, broken: offeredPerS > p99Breaks * capacityPerS ? ['p99'] : [] };
  });
}

for (const [name, options] of Object.entries({
  'levels off': {},
  'collapses under overload': { collapse: 0.4 },
  'breaks its latency first': { p99Breaks: 0.9 },
})) {
  test(`the capacity of a server that ${name} is found within 10 %, 20 times out of 20`, () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { capacityPerS, interval } = findKnee(stress(1_000, { ...options, seed }));
      assert.ok(Math.abs(capacityPerS - 1_000) < 100, `seed ${seed}: ${capacityPerS}`);
      assert.ok(interval.low < interval.high && interval.low <= 1_100);
    }
  });
}

test('the reason tells what came first', () => {
  assert.equal(findKnee(stress(1_000)).reason, 'saturation');
  const both = { offeredPerS: 900, completedPerS: 500, broken: ['p99', 'errorRate'] };
  assert.equal(findKnee([{ offeredPerS: 500, completedPerS: 498, broken: [] }, both]).reason, 'both');
  const early = findKnee(stress(1_000, { p99Breaks: 0.6 }));
  assert.equal(early.reason, 'criterion');
  assert.deepEqual(early.broken, ['p99']);
  assert.ok(early.sustainedPerS < 650);
  assert.match(
    early.sentence,
    /^held at \d+ requests\/s; p99 broke at \d+ requests\/s; saturated at (9[5-9]|10[0-4])\d$/,
  );
});

test('steps that all held have reached no knee, and say so', () => {
  const knee = findKnee(stress(1_000).slice(0, 5));
  assert.equal(knee.reason, 'not reached');
  assert.equal(knee.interval.high, Number.POSITIVE_INFINITY);
});

test('steps in collapse say nothing of the capacity', () => {
  const steps = [
    [500, 499],
    [1_200, 1_000],
    [1_500, 300],
    [2_000, 200],
    [2_500, 100],
  ].map(([offeredPerS, completedPerS]) => ({ offeredPerS, completedPerS, broken: [] }) as unknown as Step);
  assert.equal(findKnee(steps).capacityPerS, 1_000);
});

test('a server that fails at the first step holds at nothing', () => {
  assert.equal(findKnee(stress(1_000).slice(14)).sustainedPerS, 0);
  assert.equal(findKnee([]).reason, 'not reached');
});

test('1,000 users of 9 s of thought and 1 s of latency are 100 requests a second; 90 are users that are missing', () => {
  const model = { users: 1_000, latencyS: 1, thinkS: 9 };
  assert.deepEqual(checkLittlesLaw({ ...model, throughputPerS: 100 }), {
    usersFound: 1_000,
    deviation: 0,
    holds: true,
  });
  assert.deepEqual(checkLittlesLaw({ ...model, throughputPerS: 90 }), {
    usersFound: 900,
    deviation: -0.1,
    holds: false,
  });
});
