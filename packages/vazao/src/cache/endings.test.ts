import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DrivenFeed } from '../testing/driven-feed.ts';
import { Cache } from './cache.ts';

test('it is told of each answer once, when it is no longer current, with what became of it', () => {
  const feed = new DrivenFeed();
  feed.heartbeat();
  const cache = new Cache<string>({ feed, sizeMaxBytes: 5_000 });
  const told: string[] = [];
  cache.endings.listen(({ key }, ending) => told.push(`${key} ${ending}`));
  const take = (): string[] => told.splice(0);

  cache.note('/a', 'one', 10);
  cache.note('/a', 'two', 10);
  assert.deepEqual(take(), ['/a replaced']);
  cache.purge('/a');
  assert.deepEqual(take(), ['/a dropped']);
  cache.note('/b', 'small', 10);
  cache.note('/c', 'large', 4_500);
  const evicted = take();
  assert.equal(evicted.length, 1, 'one of the two has no room');
  assert.match(evicted[0] ?? '', /^\/[bc] evicted$/);

  const store = (key: string, staleForMs: number): void => {
    const joined = cache.join(key);
    assert.ok(joined.role === 'leader');
    joined.fill.begin({ xmin: feed.xid + 1n, xmax: feed.xid + 1n, running: new Set() }, feed.position);
    assert.deepEqual(cache.complete(joined.fill, { key, value: 'x', valueBytes: 1, staleForMs }).stored, true);
  };
  store('/d', 0);
  store('/e', 1_000);
  take();
  cache.dropAll('schema');
  assert.deepEqual(take().toSorted(), ['/d dropped', '/e dropped']);
  store('/e', 1_000);
  assert.deepEqual(take(), [], 'what was kept as stale had ended before');
});
