/** What a cache does when others fail: servers that a failover left behind, and defects of our own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Term } from '../readset/index.ts';
import { DrivenFeed } from '../testing/driven-feed.ts';
import { Cache, type Fill } from './index.ts';

const TERM = {
  table: { oid: 1, schema: 'public', name: 't1' },
  columns: 'all',
  predicates: [],
  grain: 'table',
  coarse: undefined,
  indexBy: undefined,
} as unknown as Term;

function begin(cache: Cache<string>, xmax: bigint, position: bigint): Fill<string> {
  const joined = cache.join('/');
  assert.ok(joined.role === 'leader');
  const { fill } = joined;
  fill.open();
  fill.read({ text: 'select', terms: [TERM], refusal: undefined, durationMs: 0, rows: 1 }, false);
  fill.begin({ xmin: xmax, xmax, running: new Set() }, position);
  return fill;
}

const OPTIONS = { key: '/', value: 'v', valueBytes: 1 };

test('what was computed on a server of an older timeline is not stored', () => {
  const at = (timeline: number): bigint => (BigInt(timeline) << 64n) | 7n;
  const feed = new DrivenFeed();
  feed.position = at(2);
  const cache = new Cache<string>({ feed });
  feed.heartbeat();
  const old = cache.complete(begin(cache, feed.xid, at(1)), OPTIONS);
  assert.equal(old.stored || old.why.code, 'epoch');
  assert.ok(cache.complete(begin(cache, feed.xid, at(2)), OPTIONS).stored);
});

test('those who wait for a fill that a defect ended look again', { timeout: 5_000 }, async () => {
  const feed = new DrivenFeed();
  const cache = new Cache<string>({ feed });
  cache.setLineage(() => {
    throw new Error('a defect');
  });
  feed.heartbeat();
  const fill = begin(cache, feed.xid, feed.position);
  const waiter = cache.join('/');
  assert.ok(waiter.role === 'waiter');
  assert.throws(() => feed.commit(), /a defect/);
  assert.throws(() => cache.complete(fill, OPTIONS), /a defect/);
  cache.fail(fill);
  assert.deepEqual(await waiter.outcome, { kind: 'again' });
  assert.equal(cache.join('/').role, 'leader');
});
