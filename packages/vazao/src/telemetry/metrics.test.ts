import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import Fastify, { type FastifyInstance } from 'fastify';
import { limitsPlugin } from '../http/index.ts';
import { cached, createPatientSetting, type Setting, until } from '../testing/cached-app.ts';
import { type ReadFamily, readExposition, sumOf } from '../testing/exposition.ts';
import { createCollector, type ProcessFigures, registerMetrics } from './index.ts';
import { METRICS } from './metrics.ts';

const TOKEN = 'a-token-of-this-test';

type Families = Map<string, ReadFamily>;
interface Started {
  readonly setting: Setting;
  readonly origin: string;
  readonly scrape: () => Promise<Families>;
  /** How many there were. */
  readonly scrapes: () => number;
}

/** One host of one process, with whatever Redis and replicas would say. */
async function start(
  acquired: AsyncDisposableStack,
  beside?: Pick<ProcessFigures, 'secondTier' | 'relay' | 'replicas'>,
): Promise<Started> {
  const setting = acquired.use(await createPatientSetting({ plugin: { audit: { oneIn: 1, shareMax: 1 } } }));
  const { app, platform, read } = setting;
  await app.register(limitsPlugin, { rates: { anonymous: { requests: 1, window: '1h' } }, userOf: () => undefined });
  app.get('/cached', { ...cached, config: { ...cached.config, limit: false } }, read);
  app.get('/plain', { config: { limit: false } }, read);
  app.get('/inside', { config: { limit: false } }, async () => (await app.inject('/plain')).body);
  const { collect } = acquired.use(createCollector({ ...platform, secondTier: undefined }));
  const figures = (): ProcessFigures => ({ ...collect(), ...beside });
  registerMetrics(app, { token: undefined, findWorkers: async () => [{ seat: 1, ageMs: 0, figures: figures() }] });
  const origin = await platform.listen();
  let scrapes = 0;
  const scrape = async (): Promise<Families> => {
    scrapes++;
    const response = await fetch(`${origin}/metrics`);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
    assert.equal(response.headers.get('cache-control'), 'no-store');
    return readExposition(await response.text());
  };
  return { setting, origin, scrape, scrapes: () => scrapes };
}

const TIER = {
  isAvailable: false,
  isBreakerOpen: true,
  hits: 0,
  misses: 0,
  out: 0,
  errors: 0,
  stored: 0,
  notStored: 0,
};
const REPLICA = {
  server: 'beside:5432',
  state: 'left alone',
  reason: 'behind',
  lagMs: 20,
  used: 1,
  refused: { behind: 2 },
  lastError: undefined,
  connections: 0,
} as const;

suite('GET /metrics', { timeout: 120_000 }, () => {
  test('what is exposed is what docs/metrics.md lists, and all of it is valid', async () => {
    await using acquired = new AsyncDisposableStack();
    // One server twice: its samples have different labels all the same.
    const { scrape, origin } = await start(acquired, {
      secondTier: TIER,
      relay: { leads: true, lagMs: 20 },
      replicas: [REPLICA, REPLICA],
    });
    assert.equal((await fetch(`${origin}/no-such-path`)).status, 404);
    assert.equal((await fetch(`${origin}/no-such-path`)).status, 429, 'a refusal');
    const families = await scrape();
    const document = readFileSync(new URL('../../../../docs/metrics.md', import.meta.url), 'utf8');
    const rows = [...document.matchAll(/^\| `(vazao_\w+)` \| (\w+) \| (.*?) \| (.*) \|$/gm)].map((row) => row.slice(1));
    const listed = METRICS.map(({ name, type, labels, help }) => [
      name,
      type,
      labels.map((label) => `\`${label}\``).join(', '),
      help,
    ]);
    assert.deepEqual(rows, listed);
    assert.deepEqual(
      [...families].map(([name, { type, help, samples }]) => {
        const [sample = { labels: {} }] = samples;
        const labels = Object.keys(sample.labels).filter((label) => label !== 'worker');
        return [name, type, labels.map((label) => `\`${label}\``).join(', '), help];
      }),
      listed,
    );
    for (const [name, { type }] of families) assert.equal(name.endsWith('_total'), type === 'counter', name);
    for (const { samples } of families.values()) for (const { labels } of samples) assert.equal(labels.worker, '1');
  });

  test('figures follow a miss, hits, a drop, and what is not cached', async () => {
    await using acquired = new AsyncDisposableStack();
    const { setting, origin, scrape, scrapes } = await start(acquired);
    const { platform } = setting;
    let before = await scrape();
    assert.equal(sumOf(before, 'vazao_audit_wrong_total'), 0);
    assert.equal(sumOf(before, 'vazao_feed_fresh'), 1);
    assert.equal(sumOf(before, 'vazao_feed_info', { source: 'wal' }), 1);
    assert.ok(!before.has('vazao_second_tier_available'));
    assert.ok(sumOf(before, 'vazao_resident_memory_bytes') > 1e6);
    /** What has grown, and by how much, since the last look. A request is counted a moment after its answer. */
    const grown = async (expected: Record<string, number>): Promise<void> => {
      const names = ['cache_hits', 'cache_misses', 'cache_stored', 'cache_dropped'].map(
        (name) => `vazao_${name}_total`,
      );
      let now = before;
      await until(`${JSON.stringify(expected)}`, async () => {
        now = await scrape();
        return names.every((name) => sumOf(now, name) - sumOf(before, name) === (expected[name] ?? 0));
      });
      before = now;
    };
    await platform.get('/cached');
    await grown({ vazao_cache_misses_total: 1, vazao_cache_stored_total: 1 });
    for (let n = 0; n < 3; n++) assert.match((await platform.get('/cached')).cacheStatus, /; hit;/);
    await grown({ vazao_cache_hits_total: 3 });
    const entries = sumOf(before, 'vazao_cache_entries');
    assert.ok(sumOf(before, 'vazao_cache_size_bytes') > 0);
    await until('hits are audited', async () => sumOf(await scrape(), 'vazao_audit_samples_total') > 0);
    await setting.database.pool.query(`update itens set nome = 'dois' where id = 1`);
    await platform.settled();
    await grown({ vazao_cache_dropped_total: 1 });
    assert.equal(sumOf(before, 'vazao_cache_entries'), entries - 1);
    assert.equal(sumOf(before, 'vazao_audit_wrong_total'), 0);

    assert.equal((await fetch(`${origin}/inside`)).status, 200);
    assert.equal((await fetch(`${origin}/none`)).status, 404);
    await until('those that are not cached are counted, and nothing that a handler asks of itself', async () => {
      const now = await scrape();
      const others = (status: string): number => sumOf(now, 'vazao_requests_total', { kind: 'other', status });
      // Each scrape is a request, too, and the one under way is not counted yet.
      return others('4xx') === 1 && others('2xx') === scrapes() - 1 + 1;
    });
  });

  test('callers from elsewhere, or through a proxy, find nothing', async () => {
    const app = await startBare(undefined);
    const ask = async (remoteAddress: string, headers = {}): Promise<number> =>
      (await app.inject({ url: '/metrics', remoteAddress, headers })).statusCode;
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) assert.equal(await ask(address), 200);
    for (const address of ['192.0.2.1', '10.0.0.1', '::ffff:192.0.2.1', '2001:db8::1'])
      assert.equal(await ask(address, { 'x-forwarded-for': '127.0.0.1', forwarded: 'for=127.0.0.1' }), 404);
    assert.equal(await ask('192.0.2.1'), 404);
    for (const name of ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'])
      assert.equal(await ask('127.0.0.1', { [name]: '127.0.0.1' }), 404, name);
    assert.equal(await ask('192.0.2.1', { authorization: `Bearer ${TOKEN}` }), 404, 'there is no token');
  });

  test('where there is a token, it is what counts, wherever its bearer is', async () => {
    const app = await startBare(TOKEN);
    const ask = async (remoteAddress: string, authorization?: string): Promise<number> =>
      (await app.inject({ url: '/metrics', remoteAddress, headers: { ...(authorization && { authorization }) } }))
        .statusCode;
    assert.equal(await ask('192.0.2.1', `Bearer ${TOKEN}`), 200);
    assert.equal(await ask('192.0.2.1', `bearer ${TOKEN}`), 200);
    for (const wrong of [
      undefined,
      '',
      'Bearer ',
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN.slice(1)}`,
      TOKEN,
      `Basic ${TOKEN}`,
    ])
      assert.equal(await ask('127.0.0.1', wrong), 404, String(wrong));
  });

  test('a part of the workers is no answer, and the route of an application is its own', async () => {
    const app = Fastify();
    registerMetrics(app, { token: undefined, findWorkers: async () => undefined });
    assert.equal((await app.inject('/metrics')).statusCode, 503);
    const own = Fastify();
    own.get('/metrics', async () => 'own');
    registerMetrics(own, { token: undefined, findWorkers: async () => [] });
    assert.equal((await own.inject('/metrics')).body, 'own');
  });
});

async function startBare(token: string | undefined): Promise<FastifyInstance> {
  const app = Fastify();
  registerMetrics(app, { token, findWorkers: async () => [{ seat: 1, ageMs: 0, figures: FIGURES }] });
  await app.ready();
  return app;
}

const FIGURES: ProcessFigures = {
  pid: 1,
  feed: { source: 'wal', isFresh: true, lagMs: Number.POSITIVE_INFINITY, epoch: 1 },
  cache: {
    entries: 0,
    sizeBytes: 0,
    sizeMaxBytes: 1,
    fillsRunning: 0,
    stored: 0,
    notStored: 0,
    dropped: 0,
    evicted: 0,
    recentCommits: 0,
  },
  answers: { hit: [], miss: [], other: [] },
  refused: {},
  audit: { sampled: 0, wrong: 0 },
  live: undefined,
  secondTier: undefined,
  relay: undefined,
  replicas: [],
  pool: { total: 0, idle: 0, waiting: 0 },
  eventLoopDelayMs: 0,
  rssBytes: 0,
};
