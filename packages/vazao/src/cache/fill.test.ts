import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fill, findSharedUntil, SHARED_WITH_ALL, SHARED_WITH_EARLY } from './fill.ts';

const start = { atMs: 0, epoch: 1, generation: 0, neededAfter: 0, suspects: new Set<bigint>(), isUntold: false };

test('waiters are settled once each, by when they asked', async () => {
  const fill = new Fill<string>('/', start);
  const early = fill.wait(7);
  fill.open();
  const waiters = [early, fill.wait(4), fill.wait(5), fill.wait(SHARED_WITH_ALL)];
  assert.equal(fill.waiting, 4);
  fill.settle('value', 5);
  fill.settle(undefined, 0);
  const kinds = (await Promise.all(waiters)).map(({ kind }) => kind);
  assert.deepEqual(kinds, ['value', 'value', 'again', 'again']);
  assert.equal(fill.waiting, 0);
});

test('who asked without a fresh feed never shares, not even what is stored', async () => {
  const fill = new Fill<string>('/', start);
  fill.open();
  const waiter = fill.wait(SHARED_WITH_ALL);
  fill.settle('value', SHARED_WITH_ALL);
  assert.equal((await waiter).kind, 'again');
});

test('the first reason stays', () => {
  const fill = new Fill<string>('/', start);
  fill.abandon('write', 'first');
  fill.abandon('status', 'second');
  assert.deepEqual(fill.notStored, { code: 'write', detail: 'first' });
});

test('what is not known of may be shared with nobody', () => {
  const shared = (code: string): number | undefined => findSharedUntil({ code, detail: '' }, 9);
  assert.equal(shared('changed'), 9);
  assert.equal(shared('epoch'), SHARED_WITH_EARLY);
  for (const code of ['write', 'set-cookie', 'no-store', 'whatever']) assert.equal(shared(code), undefined);
});
