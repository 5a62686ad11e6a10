import assert from 'node:assert/strict';
import { test } from 'node:test';
import fastify from 'fastify';
import { createLateFeed } from '../testing/late-feed.ts';
import { createReplicatedDatabase } from '../testing/replicated-database.ts';
import { untilTold } from '../torture/parts/bounded.ts';
import type { HttpCache } from './lookup.ts';
import { vazaoPlugin } from './plugin.ts';

test('answers come from a replica; one that it could not finish is computed again, on the primary', async () => {
  await using base = await createReplicatedDatabase();
  const { db, feed, writer } = base;
  const app = fastify();
  await app.register(vazaoPlugin, { cache: base.cache as HttpCache, feed, db });
  let between = async (): Promise<void> => {};
  app.get('/sum', { config: { cache: true } }, async () => {
    const first = (await db.query('select v from t where id = 1')).rows[0].v;
    await between();
    return { sum: first + (await db.query('select v as other from t where id = 2')).rows[0].other };
  });
  await app.ready();
  try {
    await untilTold('ready', () => db.replicas()[0]?.state === 'ready', 60_000);
    await base.settled();
    between = async () => {
      between = async () => {};
      await writer.query('update t set v = 11 where id = 1');
      await writer.query('update t set v = v where id > 900');
      await writer.query('vacuum (freeze) t');
      await untilTold('the conflict', () => (db.replicas()[0]?.refused.conflict ?? 0) > 0, 60_000);
    };
    const repeated = await app.inject('/sum');
    assert.deepEqual([repeated.statusCode, repeated.json()], [200, { sum: 31 }]);
    assert.match(String(repeated.headers['cache-status']), /detail="replica-conflict"/);
    assert.ok(repeated.headers['vazao-position']);
    await base.settled();
    await base.cluster.untilReplayed(base.cluster.node('replica'));
    const before = db.replicas()[0]?.used ?? 0;
    const good = await app.inject('/sum');
    assert.deepEqual([good.statusCode, good.json()], [200, { sum: 31 }]);
    assert.match(String(good.headers['cache-status']), /stored/);
    assert.equal(db.replicas()[0]?.used, before + 1);
    assert.match(String((await app.inject('/sum')).headers['cache-status']), /hit/);
  } finally {
    await app.close();
  }
});

test('what a replica showed does not leave while the feed is silent: the primary, which answers next, may not show it yet', async () => {
  const late = createLateFeed();
  await using base = await createReplicatedDatabase({ wrapFeed: late.wrap });
  const { db, feed, writer } = base;
  const app = fastify();
  await app.register(vazaoPlugin, { cache: base.cache as HttpCache, feed, db });
  let computed = 0;
  app.get('/value', { config: { cache: true } }, async () => {
    const { rows } = await db.query('select v from t where id = 1');
    computed++;
    return rows[0];
  });
  await app.ready();
  try {
    await untilTold('ready', () => db.replicas()[0]?.state === 'ready', 60_000);
    await base.settled();
    late.hold();
    late.proveWhatWas();
    await writer.query('update t set v = 11 where id = 1');
    await base.cluster.untilReplayed(base.cluster.node('replica'));
    const answer = app.inject('/value');
    await untilTold('computed', () => computed === 1, 60_000);
    assert.equal(db.replicas()[0]?.used, 1);
    late.hold();
    const { headers, statusCode } = await answer;
    assert.deepEqual([statusCode, (await answer).json(), computed], [200, { v: 11 }, 2]);
    assert.match(String(headers['cache-status']), /detail="replica-conflict"/);
    assert.equal(db.replicas()[0]?.used, 1);
    late.letGo();
  } finally {
    await app.close();
  }
});
