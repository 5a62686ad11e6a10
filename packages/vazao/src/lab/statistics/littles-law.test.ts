import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkLittlesLaw } from './littles-law.ts';

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
