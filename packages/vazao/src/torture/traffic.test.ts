import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Staleness, Traffic } from './traffic.ts';

test('quantiles are those of all values, rounded up to their step', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 5_000, noNaN: true }), { minLength: 1, maxLength: 300 }),
      fc.double({ min: 0.001, max: 1, noNaN: true }),
      (values, share) => {
        const staleness = new Staleness();
        for (const value of values) staleness.add(value);
        const exact = [...values].sort((a, b) => a - b)[Math.ceil(values.length * share) - 1] as number;
        const found = staleness.quantileMs(share);
        const step = exact < 100 ? 0.01 : 1;
        assert.ok(Math.abs(found - exact) <= step + 1e-9, `${found} for ${exact}`);
      },
    ),
  );
  assert.equal(new Staleness().quantileMs(0.5), 0);
});

test('counts are found by time', () => {
  const traffic = new Traffic(1_000);
  traffic.answered(1_050, 'hit', undefined);
  traffic.answered(1_250, 'not stored', 'changed');
  traffic.failed(1_260, 'error', 'status 503');
  traffic.failed(1_999, 'time-out', 'late');
  assert.deepEqual(traffic.between(1_000, 1_099), { reads: 1, hits: 1, errors: 0, timeouts: 0 });
  assert.deepEqual(traffic.between(1_200, 1_300), { reads: 1, hits: 0, errors: 1, timeouts: 0 });
  assert.deepEqual(traffic.between(0, 10_000), { reads: 2, hits: 1, errors: 1, timeouts: 1 });
  assert.deepEqual([...traffic.notStored], [['changed', 1]]);
});
