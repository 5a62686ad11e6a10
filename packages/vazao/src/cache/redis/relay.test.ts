/** When a relay trusts its feed. What it tells Redis is in `second-tier.test.ts`. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Feed } from '../../feed/index.ts';
import { until } from '../../testing/cached-app.ts';
import { DrivenFeed } from '../../testing/driven-feed.ts';
import { startTcpProxy } from '../../testing/tcp-proxy.ts';
import { startRedisServer } from '../../torture/parts/redis-server.ts';
import type { LeaderLock } from './leader-lock.ts';
import { createRelay } from './relay.ts';

const redis = await startRedisServer();
after(() => redis.close());

class SharedFeed extends DrivenFeed {
  override status(): ReturnType<Feed['status']> {
    return { ...super.status(), source: 'wal', schemaWatch: 'event triggers' };
  }
}

const LOCK: LeaderLock = {
  tryAcquire: async () => '1'.padStart(24, '0'),
  isHeld: async () => true,
  release: async () => {},
  terminateHolder: async () => false,
  async [Symbol.asyncDispose]() {},
};

/** A lock that is had when it may be, until it is lost. */
function createLock(mayLead: () => boolean): { readonly lock: LeaderLock; readonly lose: () => void } {
  let loseNow = (): void => {};
  const lock: LeaderLock = {
    ...LOCK,
    async tryAcquire(onLost) {
      if (!mayLead()) return undefined;
      loseNow = onLost;
      return LOCK.tryAcquire(onLost);
    },
  };
  return { lock, lose: () => loseNow() };
}

test('a relay that has lost its lock tells of no epoch, whatever a call says that was under way', async () => {
  await using proxy = await startTcpProxy(redis.url);
  const feed = new SharedFeed();
  let mayLead = false;
  const { lock, lose } = createLock(() => {
    if (!mayLead) return false;
    mayLead = false;
    proxy.pause(); // its first call is under way for as long as we like
    return true;
  });
  const options = { namespace: '{w}', feed, lock, findTable: (): undefined => undefined, electionMs: 20 };
  await using relay = await createRelay({
    ...options,
    url: proxy.through(redis.url),
    callTimeoutMs: 30_000,
    findSchemaPosition: () => feed.position,
  });
  feed.heartbeat();
  await until('its feed is trusted', () => relay.status.coveredFrom !== undefined);
  mayLead = true;
  await until('it leads', () => relay.status.role === 'leader');
  await turn(); // and has sent its first call
  lose();
  proxy.resume();
  await until('the call went on', () => relay.status.opened === 1);
  await turn();
  assert.deepEqual([relay.status.role, relay.status.epoch], ['follower', undefined]);
});

test('a leader tells how long Redis has not been told everything, and whoever does not lead tells nothing', async () => {
  await using proxy = await startTcpProxy(redis.url);
  const feed = new SharedFeed();
  let mayLead = false;
  const { lock, lose } = createLock(() => mayLead);
  await using relay = await createRelay({
    url: proxy.through(redis.url),
    namespace: '{u}',
    feed,
    lock,
    findTable: (): undefined => undefined,
    findSchemaPosition: () => 0n,
    electionMs: 20,
    callTimeoutMs: 60_000,
  });
  const lagMs = (): number => relay.figures().lagMs ?? Number.NaN;
  const commit = (): void => feed.commit(false, undefined, 0);
  assert.deepEqual(relay.figures(), { leads: false, lagMs: undefined });
  mayLead = true;
  await until('it leads, and may open no epoch: its feed is not trusted', () => lagMs() > 50);
  assert.equal(relay.status.epoch, undefined);
  feed.heartbeat();
  await until('Redis is told everything', () => lagMs() === 0);
  proxy.pause();
  commit();
  await until('it is late', () => lagMs() > 200);
  proxy.resume();
  await until('it has caught up', () => lagMs() === 0);
  assert.equal(relay.status.position, feed.position);

  // Commits that never cease: at each answer of Redis the feed is ahead again.
  const beginMs = performance.now();
  let leastMs = Number.POSITIVE_INFINITY;
  while (performance.now() - beginMs < 1_000) {
    commit();
    await turn();
    if (performance.now() - beginMs > 500) leastMs = Math.min(leastMs, lagMs());
  }
  assert.ok(leastMs < 250, `${leastMs} ms at best`);

  mayLead = false;
  lose();
  assert.deepEqual(relay.figures(), { leads: false, lagMs: undefined });
});

test('a feed that has not passed the position at which the schema was read is not trusted', async () => {
  const feed = new SharedFeed();
  const findTable = (): undefined => undefined;
  let schemaPosition: bigint | undefined;
  const findSchemaPosition = (): bigint | undefined => schemaPosition;
  await using relay = await createRelay({
    url: redis.url,
    namespace: '{v}',
    feed,
    lock: LOCK,
    findTable,
    findSchemaPosition,
  });
  await until('it leads', () => relay.status.role === 'leader');
  const beat = async (): Promise<void> => {
    feed.heartbeat();
    await turn();
    await turn();
  };
  await beat();
  assert.equal(relay.status.coveredFrom, undefined, 'the schema is being read');
  schemaPosition = feed.position + 20n;
  await beat();
  assert.equal(relay.status.coveredFrom, undefined, 'the schema may be of after a change that the feed has not told');
  feed.advance(schemaPosition);
  await beat();
  assert.equal(relay.status.coveredFrom, schemaPosition);
  await until('an epoch', () => relay.status.epoch !== undefined);
});
