/** Two servers on one database and one Redis: what one has computed the other answers with. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  createRelay,
  createSecondTier,
  namespaceOf,
  type Relay,
  type SecondTier,
  type SecondTierOptions,
} from '../cache/redis/index.ts';
import { PostgresLeaderLock } from '../db/index.ts';
import { cached, until } from '../testing/cached-app.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { createTestPlatform, type TestPlatform } from '../testing/platform.ts';
import { startRedisServer } from '../torture/parts/redis-server.ts';
import type { CacheValue } from './lookup.ts';
import type { PluginOptions } from './plugin-options.ts';
import type { HttpSecondTier } from './second-tier.ts';
import { prepare } from './stored-response.ts';
import { valueCodec } from './value-codec.ts';

const redis = await startRedisServer();
after(() => redis.close());

const SCHEMA = `
  create table itens (id int primary key, nome text not null, dono text not null);
  insert into itens values (1, 'um', 'ana'), (2, 'dois', 'bia');`;
const SECRET = 'a secret that both servers know, 32 characters';

type Bounds = Pick<SecondTierOptions<CacheValue>, 'callTimeoutMs' | 'waitMaxMs'>;

const BRISK: Bounds = { callTimeoutMs: 300, waitMaxMs: 2_000 };
/** For who counts computations: where Redis seems slow, as it does from a process that has to wait for its core, each server computes for itself. */
const PATIENT: Bounds = { callTimeoutMs: 10_000, waitMaxMs: 30_000 };

class Server implements AsyncDisposable {
  readonly platform: TestPlatform;
  readonly tier: SecondTier<CacheValue>;
  readonly relay: Relay;
  runs = 0;

  constructor(platform: TestPlatform, tier: SecondTier<CacheValue>, relay: Relay) {
    this.platform = platform;
    this.tier = tier;
    this.relay = relay;
  }

  static async start(
    database: TestDatabase,
    schema: string,
    options: Partial<PluginOptions> = {},
    bounds: Bounds = BRISK,
  ): Promise<Server> {
    // The plugin wants it before the feed is there.
    let tier: SecondTier<CacheValue> | undefined;
    const secondTier: HttpSecondTier = {
      get isAvailable() {
        return tier?.isAvailable ?? false;
      },
      get: (...words) => (tier as SecondTier<CacheValue>).get(...words),
      store: (...words) => tier?.store(...words),
      release: (...words) => tier?.release(...words),
    };
    const identify = {
      headers: ['authorization'],
      user: ({ authorization }: Readonly<Record<string, string | undefined>>) =>
        authorization ? { id: authorization } : undefined,
    };
    const platform = await createTestPlatform(database, {
      schema,
      plugin: { secondTier, identify, secret: SECRET, ...options },
    });
    const { feed, db, app } = platform;
    const { rows } = await database.pool.query('select oid from pg_database where datname = current_database()');
    const namespace = namespaceOf({
      systemId: feed.status().systemId ?? '',
      databaseOid: rows[0].oid,
      publication: 'vazao',
      version: '0',
    });
    const schemaHash = (): string | undefined => db.schema?.hash;
    tier = await createSecondTier<CacheValue>({
      url: redis.url,
      namespace,
      schemaHash,
      codeVersion: '1',
      codec: valueCodec,
      feed,
      secret: SECRET,
      ...bounds,
    });
    const relay = await createRelay({
      url: redis.url,
      namespace,
      feed,
      lock: new PostgresLeaderLock({ connectionString: database.url, name: namespace }),
      findTable: (oid) => db.schema?.findTable(oid),
      findSchemaPosition: () => db.schema?.position,
    });
    const server = new Server(platform, tier, relay);
    app.get('/itens/:id', cached, async (request, reply) => {
      server.runs++;
      const { id } = request.params as { id: string };
      void reply.header('x-made', 'here');
      return (await db.query('select id, nome from itens where id = $1', [id])).rows[0];
    });
    app.get('/meus', cached, async (request) => {
      server.runs++;
      const name = request.user?.id ?? '';
      return (await db.query('select id, nome from itens where dono = $1', [name])).rows;
    });
    app.get('/agora', { config: { cache: { ttl: '400ms' } } }, async () => {
      server.runs++;
      return (await db.query('select count(*)::int as n, now()::text as agora from itens')).rows[0];
    });
    await platform.listen();
    await until('Redis', () => tier?.isAvailable === true);
    return server;
  }

  async stored(count: number): Promise<void> {
    await until(`${count} stored`, () => this.tier.figures().stored >= count);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.relay.close();
    this.tier.close();
    await this.platform[Symbol.asyncDispose]();
  }
}

async function startTwo(
  database: TestDatabase,
  bounds?: Bounds,
): Promise<AsyncDisposableStack & { one: Server; other: Server }> {
  const stack = new AsyncDisposableStack();
  const one = stack.use(await Server.start(database, SCHEMA, {}, bounds));
  const other = stack.use(await Server.start(database, 'select 1', {}, bounds));
  await until('an open epoch', () => [one, other].some(({ relay }) => relay.status.epoch !== undefined));
  // The start of the second one changes tables, whereupon the first reads the schema anew, and keeps nothing until it has.
  await Promise.all([one, other].map(({ platform }) => platform.settled()));
  const hashes = (): (string | undefined)[] => [one, other].map(({ platform }) => platform.db.schema?.hash);
  await until('one schema', () => hashes().every((hash) => hash !== undefined && hash === hashes()[0]));
  return Object.assign(stack, { one, other });
}

test('an answer of one server is served by the other, byte for byte, and ends on both', async () => {
  await using database = await createTestDatabase();
  await using servers = await startTwo(database);
  const { one, other } = servers;
  const first = await one.platform.get('/itens/1');
  await one.stored(1);
  const second = await other.platform.get('/itens/1');
  assert.equal(second.cacheStatus, 'vazao; hit; detail="tier=redis"');
  assert.equal(other.runs, 0);
  assert.equal(second.text, first.text);
  for (const name of ['etag', 'content-type', 'cache-control', 'x-made', 'vary', 'vazao-position', 'content-length'])
    assert.equal(second.headers.get(name), first.headers.get(name), name);
  assert.match((await other.platform.get('/itens/1')).cacheStatus, /^vazao; hit; detail="lag/);
  const etag = first.headers.get('etag') ?? '';
  assert.equal((await other.platform.get('/itens/1', { 'if-none-match': etag })).status, 304);

  await database.pool.query(`update itens set nome = 'uno' where id = 1`);
  await other.platform.settled();
  assert.equal((await other.platform.get('/itens/1')).text, '{"id":1,"nome":"uno"}');
  assert.equal(other.runs, 1);
});

test('answers of each user are found under their key, and by nobody else', async () => {
  await using database = await createTestDatabase();
  await using servers = await startTwo(database);
  const { one, other } = servers;
  const ana = { authorization: 'ana' };
  await one.platform.get('/meus', ana);
  await one.stored(1);
  const hers = await other.platform.get('/meus', ana);
  assert.equal(hers.cacheStatus, 'vazao; hit; detail="tier=redis"');
  assert.equal(hers.text, '[{"id":1,"nome":"um"}]');
  const his = await other.platform.get('/meus', { authorization: 'bia' });
  assert.equal(his.text, '[{"id":2,"nome":"dois"}]');
  assert.equal(other.runs, 1);
  assert.equal((await other.platform.get('/meus')).text, '[]');
});

test('a crowd on two servers computes an answer once', async () => {
  await using database = await createTestDatabase();
  await using servers = await startTwo(database, PATIENT);
  const { one, other } = servers;
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, i) => (i % 2 ? one : other).platform.get('/itens/2')),
  );
  assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
  const statuses = new Set(answers.map(({ cacheStatus }) => cacheStatus));
  assert.equal(one.runs + other.runs, 1, [...statuses].join('\n'));
});

test('an answer with a time to live is no older on the other server', async () => {
  await using database = await createTestDatabase();
  await using servers = await startTwo(database);
  const { one, other } = servers;
  const begin = performance.now();
  const first = await one.platform.get('/agora');
  await one.stored(1);
  const second = await other.platform.get('/agora');
  if (performance.now() - begin < 380) assert.equal(second.text, first.text);
  await until('another answer', async () => (await other.platform.get('/agora')).text !== first.text);
  assert.ok(performance.now() - begin < 400 + 300, 'it did not begin its life anew');
});

test('without Redis answers come as before', async () => {
  await using database = await createTestDatabase();
  await using servers = await startTwo(database);
  const { one, other } = servers;
  redis.pause();
  try {
    for (const server of [one, other]) {
      for (let id = 1; id <= 6; id++) {
        const begin = performance.now();
        assert.equal((await server.platform.get(`/itens/${id % 3}?${id}`)).status, 200);
        assert.ok(performance.now() - begin < 1_500, 'one call may take its time, and waits for no other');
      }
      assert.equal(server.tier.isAvailable, false);
    }
  } finally {
    redis.resume();
  }
  await until('Redis', () => one.tier.isAvailable && other.tier.isAvailable);
});

test('a second tier that fails in a way of its own costs nobody an answer', async () => {
  await using database = await createTestDatabase();
  let asked = 0;
  const secondTier: HttpSecondTier = {
    isAvailable: true,
    get: async () => {
      asked++;
      await new Promise(setImmediate);
      throw new Error('a defect');
    },
    store: () => {},
    release: () => {},
  };
  await using platform = await createTestPlatform(database, { schema: SCHEMA, plugin: { secondTier } });
  platform.app.get('/itens', cached, async () => (await platform.db.query('select id from itens order by id')).rows);
  await platform.listen();
  const begin = performance.now();
  const answers = await Promise.all([1, 2, 3].map(() => platform.get('/itens')));
  for (const { status, text } of answers) {
    assert.equal(status, 200);
    assert.equal(text, '[{"id":1},{"id":2}]');
  }
  assert.ok(asked > 0);
  assert.ok(performance.now() - begin < 10_000, 'those who waited were told');
});

test('bytes that are no answer are none', () => {
  const head = ['content-type', 'text/plain', 'content-length', '4', 'cache-status', ''];
  const body = Buffer.from('olá');
  const good: CacheValue = {
    kind: 'response',
    status: 200,
    etag: '"x"',
    lastModifiedMs: undefined,
    codings: undefined,
    ...prepare(200, head, body),
    preparedNotModified: undefined,
    facets: [['user', '+{"id":7}']],
    position: 7n,
    token: undefined,
    bytes: 83,
  };
  const decoded = valueCodec.decode(valueCodec.encode(good));
  assert.deepEqual({ ...decoded, bytes: 0 }, { ...good, bytes: 0 });
  const odd: Partial<Record<keyof Extract<CacheValue, { kind: 'response' }>, unknown>>[] = [
    { status: 99 },
    { head: ['content-type'] },
    { head: ['content-length', '5', 'cache-status', ''] },
    { head: ['x-a', 'b\r\nset-cookie: c=d', 'cache-status', ''] },
    { head: ['x a', 'b', 'cache-status', ''] },
    { facets: [['anything', 'v']] },
    { etag: 7 },
  ];
  assert.equal(valueCodec.decode(valueCodec.encode({ kind: 'bypass', reason: 'any' })), undefined);
  assert.equal(valueCodec.decode(valueCodec.encode({ kind: 'node', facet: 'any' as never })), undefined);
  for (const part of odd) {
    assert.equal(valueCodec.decode(valueCodec.encode({ ...good, ...part } as never)), undefined, JSON.stringify(part));
  }
});
