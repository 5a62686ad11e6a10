import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSnapshot } from '../snapshot.ts';
import { positionAfter, seesAll } from './poller.ts';

test('the end of the log counts only when no transaction was running', () => {
  const at = (snapshot: string, unlisted = 0): Parameters<typeof positionAfter>[0] => ({
    flushed: 100n,
    inserted: 120n,
    snapshot: parseSnapshot(snapshot),
    unlisted,
  });
  assert.equal(positionAfter(at('5:5:'), 0n), 100n);
  assert.equal(positionAfter(at('5:5:'), 110n), 120n, 'somebody waits for what is not flushed yet');
  assert.equal(positionAfter(at('5:9:5,7'), 0n), 99n);
  assert.equal(positionAfter(at('5:5:', 1), 0n), 99n, 'one runs that the snapshot does not list');
  assert.equal(positionAfter(at('5:9:5,7'), 110n), 99n);
});

test('a snapshot sees all that another sees', () => {
  const cases: readonly [later: string, earlier: string, expected: boolean][] = [
    ['5:9:5,7', '5:9:5,7', true],
    ['5:9:5', '5:9:5,7', true],
    ['5:9:5,7', '5:9:5', false],
    ['5:8:5', '5:9:5,8', false],
    ['5:12:5,10', '5:9:5', true],
    ['5:12:5,8', '5:9:5', false],
  ];
  for (const [later, earlier, expected] of cases) {
    assert.equal(seesAll(parseSnapshot(later), parseSnapshot(earlier)), expected, `${later} after ${earlier}`);
  }
});
