import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { UNKNOWN_POSITION } from '../feed/index.ts';
import { FakeFeed } from '../testing/fake-feed.ts';
import { Cache } from './cache.ts';

const HEARTBEAT = { xmin: 100n, xmax: 100n, running: new Set<bigint>() };

describe('what left untold', () => {
  let feed: FakeFeed;
  let cache: Cache<string>;
  let asked: PromiseWithResolvers<bigint>[];

  beforeEach(() => {
    feed = new FakeFeed();
    feed.position = 10n;
    cache = new Cache<string>({ feed });
    asked = [];
    cache.findUntoldBy(() => {
      const asking = Promise.withResolvers<bigint>();
      asked.push(asking);
      return asking.promise;
    });
  });

  /** The primary answers what it was asked last. */
  const answer = async (position: bigint | Error): Promise<void> => {
    const last = asked.at(-1) as PromiseWithResolvers<bigint>;
    if (position instanceof Error) last.reject(position);
    else last.resolve(position);
    await new Promise(setImmediate);
  };
  const untilFresh = (position: bigint): void => {
    feed.position = position - 1n;
    assert.equal(cache.isFresh(), false);
    feed.position = position;
    assert.equal(cache.isFresh(), true);
  };

  test('keeps the cache from being fresh until the feed has told it', () => {
    cache.noteUntold(10n);
    assert.equal(cache.isFresh(), true);
    cache.noteUntold(12n);
    cache.noteUntold(11n);
    untilFresh(12n);
    feed.fresh = false;
    assert.equal(cache.isFresh(), false);
  });

  test('is noted of what is leaving only while the feed is silent', () => {
    cache.noteLeaving(12n);
    assert.equal(cache.isFresh(), true);
    feed.fresh = false;
    cache.noteLeaving(12n);
    feed.fresh = true;
    assert.equal(cache.isFresh(), false);
  });

  test('where its position is not known the primary is asked, once at a time, when the feed speaks again', async () => {
    cache.noteUntold(UNKNOWN_POSITION);
    assert.equal(asked.length, 0);
    feed.emit('snapshot', HEARTBEAT);
    feed.emit('snapshot', HEARTBEAT);
    assert.equal(asked.length, 1);
    await answer(12n);
    untilFresh(12n);
    feed.emit('snapshot', HEARTBEAT);
    assert.equal(asked.length, 1);
  });

  test('what is not answered is asked again', async () => {
    cache.noteUntold(UNKNOWN_POSITION);
    feed.emit('snapshot', HEARTBEAT);
    await answer(new Error('no connection'));
    assert.equal(cache.isFresh(), false);
    feed.emit('snapshot', HEARTBEAT);
    await answer(12n);
    untilFresh(12n);
  });

  test('what left after the primary was asked is asked for anew', async () => {
    cache.noteUntold(UNKNOWN_POSITION);
    feed.emit('snapshot', HEARTBEAT);
    cache.noteUntold(UNKNOWN_POSITION);
    await answer(12n);
    feed.position = 20n;
    assert.equal(cache.isFresh(), false);
    feed.emit('snapshot', HEARTBEAT);
    await answer(25n);
    untilFresh(25n);
  });

  test('a position that is known counts beside one that is not', async () => {
    cache.noteUntold(UNKNOWN_POSITION);
    cache.noteUntold(14n);
    feed.emit('snapshot', HEARTBEAT);
    await answer(12n);
    untilFresh(14n);
  });

  test('on a server whose log is shorter its position says nothing, and the primary is asked', async () => {
    cache.noteUntold(1_000n);
    feed.position = 3n;
    feed.newEpoch();
    feed.emit('snapshot', HEARTBEAT);
    await answer(5n);
    untilFresh(5n);
  });

  test('an answer from before an epoch, or of an older timeline, is none', async () => {
    cache.noteUntold(UNKNOWN_POSITION);
    feed.emit('snapshot', HEARTBEAT);
    feed.position = (2n << 64n) + 3n;
    feed.newEpoch();
    await answer((2n << 64n) + 1n);
    assert.equal(cache.isFresh(), false);
    feed.emit('snapshot', HEARTBEAT);
    await answer((1n << 64n) + 900n);
    assert.equal(cache.isFresh(), false);
    feed.emit('snapshot', HEARTBEAT);
    await answer((2n << 64n) + 9n);
    untilFresh((2n << 64n) + 9n);
  });
});
