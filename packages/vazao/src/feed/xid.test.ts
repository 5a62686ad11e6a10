import assert from 'node:assert/strict';
import { test } from 'node:test';
import { widenXid } from './xid.ts';

const WRAP = 2n ** 32n;

test('an id takes the high bits of a recent one', () => {
  assert.equal(widenXid(759, 758n), 759n);
  assert.equal(widenXid(700, 5n * WRAP + 759n), 5n * WRAP + 700n);
});

test('an id before the wrap, seen after it, belongs to the epoch before', () => {
  assert.equal(widenXid(0xffff_fff0, 3n * WRAP + 5n), 3n * WRAP - 16n);
});

test('an id after the wrap, seen with a reference before it, belongs to the next epoch', () => {
  assert.equal(widenXid(7, 3n * WRAP - 1n), 3n * WRAP + 7n);
});

test('ids never become negative', () => {
  assert.equal(widenXid(0xffff_ffff, 5n), 0xffff_ffffn);
});

test('any id within 2^31 of the reference is found, across any number of wraps', () => {
  for (let step = 0; step < 2_000; step++) {
    const reference = ((BigInt(step) * 7_919_777_001n) % (9n * WRAP)) + WRAP;
    for (const distance of [0n, 1n, 1_000_000n, 2n ** 31n - 1n]) {
      for (const xid of [reference + distance, reference - distance]) {
        assert.equal(widenXid(Number(xid % WRAP), reference), xid);
      }
    }
  }
});
