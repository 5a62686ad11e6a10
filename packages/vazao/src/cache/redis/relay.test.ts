/** When a relay trusts its feed. What it tells Redis is in `second-tier.test.ts`. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Feed } from '../../feed/index.ts';
import { until } from '../../testing/cached-app.ts';
import { DrivenFeed } from '../../testing/driven-feed.ts';
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
