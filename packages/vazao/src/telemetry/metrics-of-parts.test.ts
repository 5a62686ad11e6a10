/** Metrics of what stands beside a process, compared with the real thing: streams of events, a replica, Redis. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPatientSetting, until } from '../testing/cached-app.ts';
import { createTestDatabase } from '../testing/database.ts';
import { openEvents } from '../testing/event-client.ts';
import { type ReadFamily, readExposition, sumOf } from '../testing/exposition.ts';
import { createReplicatedDatabase } from '../testing/replicated-database.ts';
import { SharedHost } from '../testing/shared-host.ts';
import { startRedisServer } from '../torture/parts/redis-server.ts';
import { startTcpProxy } from '../torture/parts/tcp-proxy.ts';
import { writeMetrics } from './metrics.ts';
import { createCollector, type FigureSources } from './process-figures.ts';

type Families = Map<string, ReadFamily>;

/** A process without HTTP. */
const NO_APP: FigureSources['app'] = {
  answered: { hit: [], miss: [], other: [] },
  audit: undefined,
  limits: undefined as unknown as FigureSources['app']['limits'],
  live: undefined,
};

function watch(sources: FigureSources, acquired: AsyncDisposableStack): () => Families {
  const { collect } = acquired.use(createCollector(sources));
  return () => readExposition(writeMetrics([{ seat: 1, ageMs: 0, figures: collect() }]));
}

test('streams of events: open, written, and spared to a client that does not read', async () => {
  await using acquired = new AsyncDisposableStack();
  const setting = acquired.use(await createPatientSetting());
  const { db } = setting.platform;
  const filler = 'x'.repeat(900_000);
  const read = async () => ({ ...(await db.query('select nome from itens where id = 1')).rows[0], filler });
  setting.app.get('/grande', { config: { cache: { liveInterval: 0 } } }, read);
  const origin = await setting.platform.listen();
  const look = watch({ ...setting.platform, secondTier: undefined }, acquired);
  assert.equal(sumOf(look(), 'vazao_live_streams'), 0);
  using quick = await openEvents(`${origin}/grande`);
  using slow = await openEvents(`${origin}/grande`);
  await Promise.all([quick.next(), slow.next()]);
  const opened = look();
  assert.equal(sumOf(opened, 'vazao_live_streams'), 2);
  assert.equal(sumOf(opened, 'vazao_live_answers'), 1);
  assert.equal(sumOf(opened, 'vazao_live_events_sent_total'), 2);
  slow.pause();
  const written = 24;
  for (let n = 1; n <= written; n++) {
    await db.query('update itens set nome = $1 where id = 1', [`estado ${n}`]);
    assert.equal(((await quick.nextJson()) as { nome: string }).nome, `estado ${n}`);
  }
  slow.resume();
  let seen = 0;
  for (let last = ''; last !== `estado ${written}`; seen++) last = ((await slow.nextJson()) as { nome: string }).nome;
  const ended = look();
  assert.equal(sumOf(ended, 'vazao_live_events_sent_total'), 2 + written + seen);
  assert.ok(seen < written, `${seen} of ${written}`);
  assert.equal(sumOf(ended, 'vazao_live_events_skipped_total'), written - seen);
  // One that a change overtakes is computed again.
  assert.ok(sumOf(ended, 'vazao_live_computations_total') >= written);
  assert.equal(sumOf(ended, 'vazao_live_cut_off_total'), 0);
  quick[Symbol.dispose]();
  await until('one is left', () => sumOf(look(), 'vazao_live_streams') === 1);
});

test('a replica: read from, behind, left alone and back', { timeout: 600_000 }, async () => {
  await using acquired = new AsyncDisposableStack();
  const base = acquired.use(await createReplicatedDatabase());
  const look = watch({ ...base, app: NO_APP, secondTier: undefined }, acquired);
  const { server } = base.db.replicas()[0] ?? assert.fail('there is one');
  const labels = { replica: server };
  let fills = 0;
  const read = async () => (await base.db.query('select v from t where id = 1')).rows;
  await until('ready', () => sumOf(look(), 'vazao_replica_ready', labels) === 1);
  await base.settled();
  const before = sumOf(look(), 'vazao_replica_reads_total', labels);
  await base.cluster.untilReplayed(base.cluster.node('replica'));
  await base.fill(`/${fills++}`, read);
  const read1 = look();
  assert.equal(sumOf(read1, 'vazao_replica_reads_total', labels), before + 1);
  assert.ok(sumOf(read1, 'vazao_replica_lag_seconds', labels) < 60);
  assert.ok(!read1.has('vazao_replica_left_alone'));
  await base.cluster.pauseReplay(base.cluster.node('replica'));
  await base.writer.query('update t set v = 11 where id = 1');
  await base.settled();
  await until('left alone', async () => {
    await base.fill(`/${fills++}`, read);
    return look().has('vazao_replica_left_alone');
  });
  const behind = look();
  assert.equal(sumOf(behind, 'vazao_replica_ready', labels), 0);
  assert.equal(sumOf(behind, 'vazao_replica_left_alone', { ...labels, reason: 'behind' }), 1);
  assert.equal(
    sumOf(behind, 'vazao_replica_refusals_total', { ...labels, reason: 'behind' }),
    base.db.replicas()[0]?.refused.behind,
  );
  await base.cluster.resumeReplay(base.cluster.node('replica'));
  await until('back', () => sumOf(look(), 'vazao_replica_ready', labels) === 1);
});

test('Redis: a miss, what is stored, a hit, and that it is left alone when it fails', {
  timeout: 300_000,
}, async () => {
  await using acquired = new AsyncDisposableStack();
  const redis = acquired.use(await startRedisServer());
  const database = acquired.use(await createTestDatabase());
  await database.pool.query(`create table itens (id int primary key, nome text not null);
    alter table itens replica identity full; insert into itens values (1, 'um'), (2, 'dois'), (3, 'tres');`);
  const start = async (): Promise<SharedHost> =>
    acquired.use(await SharedHost.start({ database, redisUrl: redis.url, callTimeoutMs: 5_000 }));
  const [one, other] = [await start(), await start()];
  const lookAt = ({ feed, cache, db, tier: secondTier, relay }: SharedHost): (() => Families) =>
    watch({ app: NO_APP, feed, cache, db, secondTier, findRelay: () => relay?.figures() }, acquired);
  const [lookOne, lookOther] = [lookAt(one), lookAt(other)];
  const figure = (look: () => Families, name: string): number => sumOf(look(), `vazao_second_tier_${name}`);
  await until('Redis', () => [lookOne, lookOther].every((look) => figure(look, 'available') === 1));
  await until('an epoch', () => [one, other].some(({ relay }) => relay?.status.epoch !== undefined));
  const relays = [lookOne, lookOther].map((look) => [
    figure(look, 'relay_leads'),
    look().get('vazao_second_tier_relay_lag_seconds')?.samples.length ?? 0,
  ]);
  assert.deepEqual(
    relays.sort(),
    [
      [0, 0],
      [1, 1],
    ],
    'one leads, and tells how far it is',
  );
  const text = 'select id, nome from itens where id = 1';
  assert.equal((await one.read(text)).from, 'computed');
  await until('it is stored', () => figure(lookOne, 'stored_total') === 1);
  assert.equal(figure(lookOne, 'misses_total'), 1);
  assert.equal((await other.read(text)).from, 'second');
  assert.deepEqual([figure(lookOther, 'hits_total'), figure(lookOther, 'misses_total')], [1, 0]);
  assert.deepEqual([figure(lookOther, 'errors_total'), figure(lookOther, 'breaker_open')], [0, 0]);
  await redis.kill();
  await until('it is not there', () => figure(lookOther, 'available') === 0);
  assert.equal((await other.read('select id, nome from itens where id = 2')).from, 'computed');
  assert.equal(figure(lookOther, 'unanswered_total'), 1);
});

test('a Redis that does not answer in time: errors, and then it is left alone', { timeout: 300_000 }, async () => {
  await using acquired = new AsyncDisposableStack();
  const redis = acquired.use(await startRedisServer());
  const database = acquired.use(await createTestDatabase());
  await database.pool.query(`create table itens (id int primary key, nome text not null);
    alter table itens replica identity full; insert into itens select n, 'n' || n from generate_series(1, 99) n;`);
  const proxy = acquired.use(await startTcpProxy(redis.url));
  const options = { database, redisUrl: proxy.through(redis.url), callTimeoutMs: 300 };
  const host = acquired.use(await SharedHost.start(options));
  const { feed, db, cache, tier: secondTier } = host;
  const look = watch({ app: NO_APP, feed, cache, db, secondTier }, acquired);
  await until('Redis', () => sumOf(look(), 'vazao_second_tier_available') === 1);
  proxy.pause();
  let n = 0;
  await until('it is left alone', async () => {
    assert.equal((await host.read(`select nome from itens where id = ${(++n % 99) + 1}`)).from === 'second', false);
    return sumOf(look(), 'vazao_second_tier_breaker_open') === 1;
  });
  assert.ok(sumOf(look(), 'vazao_second_tier_errors_total') >= 3);
  assert.equal(sumOf(look(), 'vazao_second_tier_available'), 0);
  proxy.resume();
  await until('it is used again', () => sumOf(look(), 'vazao_second_tier_breaker_open') === 0);
});
