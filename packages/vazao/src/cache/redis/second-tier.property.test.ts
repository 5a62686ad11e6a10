/**
 * Random histories: writes, reads on two hosts, and faults of Redis, of the way to it, of relays, of who leads, and of how far
 * a host's feed is. A second Redis stands by for the first: after a failover some are with the new master, some with the old.
 *
 * The oracle is a feed of its own that keeps the state of the table after each commit. An answer must be that of one of
 * these states, and of none older than what the feed of the answering host had told when the question came, of commits
 * that were visible by then (a feed may tell of a commit a moment before snapshots see it). At rest each
 * answer in each first tier, and what a fresh host finds in the second, must be what the database says.
 *
 *   VAZAO_SEED=…          repeats the choices (the interleaving is the machine's)
 *   VAZAO_PROPERTY_MS=…   how long a history is, at least: it goes on until the second tier was used enough
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { createFeed, FLUSHED_POSITION_SQL, INSERTED_POSITION_SQL, parsePosition } from '../../feed/index.ts';
import type { Change } from '../../readset/index.ts';
import { until } from '../../testing/cached-app.ts';
import { createTestDatabase } from '../../testing/database.ts';
import { createRandom, type Random } from '../../testing/random.ts';
import { SharedHost } from '../../testing/shared-host.ts';
import { startRedisServer } from '../../torture/parts/redis-server.ts';
import { startTcpProxy, type TcpProxy } from '../../torture/parts/tcp-proxy.ts';
import type { Relay } from './relay.ts';

const HISTORY_MS = Number(process.env.VAZAO_PROPERTY_MS ?? 5_000);
const HISTORY_MAX_MS = HISTORY_MS + 120_000;
const SECOND_MIN = 20;
const KEYS = 10;
const GROUPS = 3;

const redis = await startRedisServer();
const standby = await startRedisServer();
after(() => Promise.all([redis.close(), standby.close()]));

type Row = { readonly k: number; readonly grupo: number; readonly v: number };
type State = ReadonlyMap<number, Row>;

interface Question {
  readonly text: string;
  answer(state: State): unknown;
}

const rowsOf = (state: State): Row[] => [...state.values()].sort((left, right) => left.k - right.k);
const QUESTIONS: readonly Question[] = [
  ...Array.from({ length: KEYS }, (_, k) => ({
    text: `select k, v from t where k = ${k}`,
    answer: (state: State) =>
      rowsOf(state)
        .filter((row) => row.k === k)
        .map(({ v }) => ({ k, v })),
  })),
  ...Array.from({ length: GROUPS }, (_, grupo) => ({
    text: `select k, v from t where grupo = ${grupo} order by k`,
    answer: (state: State) =>
      rowsOf(state)
        .filter((row) => row.grupo === grupo)
        .map(({ k, v }) => ({ k, v })),
  })),
  {
    text: 'select count(*)::int as n, coalesce(sum(v), 0)::int as total from t',
    answer: (state) => [{ n: state.size, total: rowsOf(state).reduce((sum, { v }) => sum + v, 0) }],
  },
  {
    text: `select k from t where k >= ${KEYS / 2} order by k`,
    answer: (state) =>
      rowsOf(state)
        .filter(({ k }) => k >= KEYS / 2)
        .map(({ k }) => ({ k })),
  },
];

/** Each state with the position of the commit that made it. */
class Oracle {
  readonly #states: { readonly position: bigint; readonly state: State }[] = [{ position: 0n, state: new Map() }];

  add(position: bigint, changes: readonly Change[]): void {
    const state = new Map(this.#states.at(-1)?.state);
    for (const change of changes) {
      if (change.kind === 'all') state.clear();
      if ('old' in change && change.old) state.delete(Number(change.old[0]));
      if ('new' in change) {
        const [k, grupo, v] = change.new.map(Number) as [number, number, number];
        state.set(k, { k, grupo, v });
      }
    }
    this.#states.push({ position, state });
  }

  get last(): State {
    return this.#states.at(-1)?.state as State;
  }

  /** Whether the answer is that of a state no older than what had been told at the position. */
  allows(question: Question, text: string, toldUpTo: bigint): boolean {
    let from = this.#states.length - 1;
    while (from > 0 && (this.#states[from]?.position as bigint) > toldUpTo) from--;
    return this.#states.slice(from).some(({ state }) => JSON.stringify(question.answer(state)) === text);
  }
}

test('no answer is older than what the feed of its host has told, whatever Redis and the relays do', async (context) => {
  const random = createRandom(context);
  await using database = await createTestDatabase();
  await database.pool.query(
    'create table t (k int primary key, grupo int not null, v int not null); alter table t replica identity full',
  );
  const oracle = new Oracle();
  await using recorder = createFeed({ connection: database.url });
  await recorder.start();
  recorder.on('commit', ({ position, changes }) => oracle.add(position, changes));
  await using feedProxy = await startTcpProxy(database.url);
  await using relayProxy = await startTcpProxy(redis.url);
  await using oneProxy = await startTcpProxy(redis.url);
  await using otherProxy = await startTcpProxy(redis.url);
  await standby.command('replicaof', '127.0.0.1', String(redis.port));
  await using admin = Object.assign(new Redis(redis.url, { maxRetriesPerRequest: 0, commandTimeout: 500 }), {
    async [Symbol.asyncDispose]() {
      admin.disconnect();
    },
  });
  admin.on('error', () => {});
  const shared = { database, redisUrl: redis.url, waitMaxMs: 40, leaseMs: 200, callTimeoutMs: 200 };
  await using one = await SharedHost.start({
    ...shared,
    redisUrl: oneProxy.through(redis.url),
    relayUrl: relayProxy.through(redis.url),
  });
  await using other = await SharedHost.start({
    ...shared,
    redisUrl: otherProxy.through(redis.url),
    feedUrl: feedProxy.through(database.url),
  });
  const hosts = [one, other];
  await until('an open epoch', () => hosts.some(({ relay }) => relay?.status.epoch !== undefined));

  const begin = performance.now();
  const from = { first: 0, second: 0, computed: 0, shared: 0 };
  const isOver = (): boolean => {
    const passedMs = performance.now() - begin;
    return passedMs > HISTORY_MAX_MS || (passedMs > HISTORY_MS && from.second > SECOND_MIN);
  };
  const asked: { question: Question; text: string; toldUpTo: bigint; from: string; host: number }[] = [];

  /** All writes up to here are visible. */
  let visibleUpTo = 0n;
  const write = async (): Promise<void> => {
    for (let v = 1; !isOver(); v++) {
      await database.pool.query(drawWrite(random, v));
      visibleUpTo = parsePosition(
        (await database.pool.query(`select ${INSERTED_POSITION_SQL} as position`)).rows[0].position,
      );
      if (random.next() < 0.7) await delay(random.integer(12));
    }
  };
  const read = async (at: number): Promise<void> => {
    const host = hosts[at] as SharedHost;
    while (!isOver()) {
      const question = random.pick(QUESTIONS);
      if (random.next() < 0.5) host.cache.purge(question.text);
      const told = host.feed.position;
      const toldUpTo = told < visibleUpTo ? told : visibleUpTo;
      const answer = await host.read(question.text);
      from[answer.from]++;
      asked.push({ question, text: answer.text, toldUpTo, from: answer.from, host: at });
      await delay(random.integer(3));
    }
  };
  const faults: Record<string, number> = {};
  const hurt = async (): Promise<void> => {
    await delay(100);
    while (!isOver()) {
      const name = random.pick(Object.keys(FAULTS) as FaultName[]);
      faults[name] = (faults[name] ?? 0) + 1;
      await FAULTS[name]({ random, hosts, relayProxy, feedProxy, proxies: [oneProxy, otherProxy], admin });
      await delay(random.integer(150));
      // Now and then all of it heals, so that there is something to hurt.
      if (random.next() < 0.5) continue;
      const healedAt = from.second + 5;
      for (let pauses = 0; pauses < 60 && from.second < healedAt && !isOver(); pauses++) await delay(50);
    }
  };
  await Promise.all([write(), hurt(), ...[0, 0, 0, 1, 1, 1].map(read)]);
  redis.resume();
  for (const proxy of [relayProxy, feedProxy, oneProxy, otherProxy]) proxy.resume();
  await until('all feeds are at the end', async () => {
    const { rows } = await database.pool.query(`select ${FLUSHED_POSITION_SQL} as position`);
    const position = parsePosition(rows[0].position);
    const feeds = [recorder, ...hosts.map(({ feed }) => feed)];
    return (await Promise.all(feeds.map((feed) => feed.waitFor(position, 2_000)))).every(Boolean);
  });
  context.diagnostic(`${JSON.stringify(from)} ${JSON.stringify(faults)}`);

  const wrong = asked.filter(({ question, text, toldUpTo }) => !oracle.allows(question, text, toldUpTo));
  assert.deepEqual(
    wrong.slice(0, 3).map(({ question, text, from, host }) => ({ question: question.text, text, from, host })),
    [],
    `${wrong.length} of ${asked.length} answers are older than what was told`,
  );
  assert.ok(from.second > SECOND_MIN, 'the second tier was not used enough to prove anything');

  const atRest = async (host: SharedHost): Promise<void> => {
    for (const question of QUESTIONS) {
      const { text, from } = await host.read(question.text);
      assert.deepEqual(JSON.parse(text), question.answer(oracle.last), `at rest, from ${from}: ${question.text}`);
    }
  };
  await until('Redis is back for both', () => hosts.every(({ tier }) => tier?.isAvailable));
  for (const host of hosts) await atRest(host);
  await until('a leader', () => hosts.some(({ relay }) => relay?.status.epoch !== undefined));
  await using fresh = await SharedHost.start(shared);
  await atRest(fresh);
});

function drawWrite(random: Random, v: number): string {
  const k = random.integer(KEYS);
  const grupo = random.integer(GROUPS);
  const choice = random.next();
  if (choice < 0.5)
    return `insert into t values (${k}, ${grupo}, ${v}) on conflict (k) do update set v = excluded.v, grupo = excluded.grupo`;
  if (choice < 0.75) return `update t set v = ${v} where k = ${k}`;
  if (choice < 0.85) return `update t set v = v + 1 where grupo = ${grupo}`;
  if (choice < 0.97) return `delete from t where k = ${k}`;
  return 'truncate t';
}

interface Scene {
  readonly random: Random;
  readonly hosts: readonly SharedHost[];
  readonly relayProxy: TcpProxy;
  readonly feedProxy: TcpProxy;
  /** The readers' way to Redis; that of the other host's relay, too. */
  readonly proxies: readonly TcpProxy[];
  readonly admin: Redis;
}

type FaultName = keyof typeof FAULTS;

const quietly = async (work: () => Promise<unknown>): Promise<void> => {
  await work().catch(() => {}); // Redis may be away just now, which is what is tried
};

async function evict({ random, admin }: Scene, share: number, pattern: string): Promise<void> {
  await quietly(async () => {
    const names = (await admin.keys(pattern)).filter(() => random.next() < share);
    if (names.length > 0) await admin.del(...names);
  });
}

const FAULTS = {
  'redis flushed': ({ admin }: Scene) => quietly(() => admin.flushall()),
  'redis restarted empty': () => redis.restart({ empty: true }),
  'redis goes back to what it was': async ({ random, admin }: Scene) => {
    await quietly(() => admin.save());
    await delay(random.integer(200));
    await redis.restart({ empty: false });
  },
  'redis frozen': async ({ random }: Scene) => {
    redis.pause();
    await delay(random.integer(250));
    redis.resume();
  },
  'tags evicted': (scene: Scene) => evict(scene, 0.3, '*}t:*'),
  'meta evicted': (scene: Scene) => evict(scene, 1, '*}meta'),
  'relay delayed': async ({ random, relayProxy }: Scene) => {
    relayProxy.pause();
    await delay(random.integer(400));
    relayProxy.resume();
  },
  'relay cut off': ({ relayProxy }: Scene) => Promise.resolve(relayProxy.drop()),
  'redis slow for a host': async ({ random, proxies }: Scene) => {
    const proxy = random.pick(proxies);
    proxy.delay(random.integer(130)); // there and back: less than a call may take, and more
    await delay(random.integer(400));
    proxy.resume();
  },
  'redis cut off from a host': async ({ random, proxies }: Scene) => {
    const proxy = random.pick(proxies);
    proxy.cut();
    await delay(random.integer(400));
    proxy.resume();
  },
  'a host stays with the old master': (scene: Scene) => split(scene, 'old'),
  'a host goes to a new master alone': (scene: Scene) => split(scene, 'new'),
  'feed delayed': async ({ random, feedProxy }: Scene) => {
    feedProxy.pause();
    await delay(random.integer(300));
    feedProxy.resume();
  },
  'feed lost': async ({ random, feedProxy }: Scene) => {
    feedProxy.cut();
    await delay(random.integer(200));
    feedProxy.resume();
  },
  'relay replaced': async ({ random, hosts }: Scene) => {
    const host = random.pick(hosts);
    await host.relay?.close();
    await delay(random.integer(100));
    await host.startRelay();
  },
  'two believe they lead': async ({ random, hosts, admin }: Scene) => {
    const known = await admin.hget(`${hosts[0]?.namespace}meta`, 'term').catch(() => null);
    await lead(random, random.pick(hosts), known ?? '0'.repeat(24));
  },
  'one leads that should no longer': ({ random, hosts }: Scene) => lead(random, random.pick(hosts), '0'.repeat(24)),
} as const;

/**
 * The standby becomes a master while the old one goes on, which is a partition with a failover; all have been told of the
 * old or of the new one at some time, and one of them stays. Both take writes, and afterwards those of one are lost.
 */
async function split({ random, proxies, relayProxy }: Scene, which: 'old' | 'new'): Promise<void> {
  const follow = (follower: typeof redis, master: typeof redis): Promise<unknown> =>
    quietly(() => follower.command('replicaof', '127.0.0.1', String(master.port)));
  const pointTo = (to: typeof redis, some: readonly TcpProxy[]): void => {
    for (const proxy of some) {
      proxy.pointTo(to.url);
      proxy.drop();
    }
  };
  const all = [...proxies, relayProxy];
  const alone = random.pick(all);
  await quietly(() => standby.command('replicaof', 'no', 'one'));
  pointTo(standby, which === 'old' ? all.filter((proxy) => proxy !== alone) : [alone]);
  await delay(100 + random.integer(900));
  // The partition ends: with the old master's data, or with the new one's, which the first server then takes.
  if (random.next() < 0.5) {
    await follow(redis, standby);
    await delay(random.integer(300));
    await quietly(() => redis.command('replicaof', 'no', 'one'));
  }
  pointTo(redis, all);
  await follow(standby, redis);
}

/** A relay that leads without having been chosen. */
async function lead(random: Random, host: SharedHost, term: string): Promise<void> {
  const relay: Relay = await host.createRelay({
    tryAcquire: async () => term,
    isHeld: async () => true,
    release: async () => {},
    terminateHolder: async () => false,
    async [Symbol.asyncDispose]() {},
  });
  await delay(random.integer(500));
  await relay.close();
}
