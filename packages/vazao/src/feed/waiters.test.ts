import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PositionWaiters } from './waiters.ts';

test('waiters are told when their position is passed, in any order of arrival', async () => {
  const waiters = new PositionWaiters(10);
  const results: string[] = [];
  const all = [5n, 3n, 9n, 3n].map(async (position) => {
    results.push(`${position} ${await waiters.add(position, 60_000)}`);
  });
  waiters.pass(2n);
  assert.equal(waiters.length, 4);
  waiters.pass(5n);
  await new Promise(setImmediate);
  assert.deepEqual(results, ['3 true', '3 true', '5 true']);
  waiters.fail();
  await Promise.all(all);
  assert.equal(results.at(-1), '9 false');
});

test('a waiter whose time runs out is told so, and leaves', async () => {
  const waiters = new PositionWaiters(10);
  assert.equal(await waiters.add(1n, 1), false);
  assert.equal(waiters.length, 0);
});

test('those whose time ran out leave room, and the others are told', async () => {
  const waiters = new PositionWaiters(4);
  const told = [waiters.add(1n, 60_000), waiters.add(4n, 60_000), waiters.add(5n, 60_000)];
  assert.equal(await waiters.add(2n, 1), false);
  assert.equal(waiters.length, 3);
  told.push(waiters.add(3n, 60_000));
  assert.equal(waiters.length, 4);
  assert.equal(await waiters.add(9n, 60_000), false, 'full again');
  waiters.pass(4n);
  assert.equal(waiters.length, 1);
  assert.equal(waiters.first, 5n);
  waiters.fail();
  assert.deepEqual(await Promise.all(told), [true, true, false, true]);
});

test('no more wait than are allowed', async () => {
  const waiters = new PositionWaiters(1);
  const first = waiters.add(1n, 60_000);
  assert.equal(await waiters.add(1n, 60_000), false);
  waiters.pass(1n);
  assert.equal(await first, true);
});
