import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cache } from '../cache/index.ts';
import type { Pool } from '../db/index.ts';
import { FakeFeed } from '../testing/fake-feed.ts';
import { type Kept, Reads, type ReadsFeed } from './reads.ts';

test('on a server whose log is shorter nobody waits for what was written on the one before, and nothing is answered from memory', async () => {
  const waited: bigint[] = [];
  const feed: FakeFeed & ReadsFeed = Object.assign(new FakeFeed(), {
    waitFor: async (position: bigint) => {
      waited.push(position);
      return false;
    },
  });
  const cache = new Cache<Kept<string>>({ feed });
  const db: Pick<Pool, 'openSession' | 'readPosition'> = {
    openSession: () => assert.fail('nothing is computed'),
    readPosition: async () => 5n,
  };
  const reads = new Reads({ cache, feed, db, fillMaxMs: 1_000, waitMaxMs: 50 });
  feed.position = 10n;
  reads.noteWrite(1_000n);
  assert.equal(await reads.hasToldWrites(), false);
  assert.ok(waited.length > 0);
  waited.length = 0;
  feed.position = 3n;
  feed.newEpoch();
  assert.equal(await reads.hasToldWrites(), true);
  assert.deepEqual(waited, []);
  assert.equal(cache.isFresh(), false);
});
