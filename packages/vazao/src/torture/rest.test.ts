import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import { Checker } from './checker.ts';
import { CompiledReader } from './compiled-reader.ts';
import type { Violation } from './history.ts';
import { compareAtRest, type RestFigures, type RestingHost } from './rest.ts';

/** What is asked for: each of the URLs as nobody, and as Ana. */
const ASKED = ['/a as nobody', '/a as ana', '/b as nobody', '/b as ana'];
const USERS = [undefined, 'ana'];
const HOSTS = ['host A', 'host B'];
const WORKERS_PER_HOST = 2;

type Answers = Map<string, string>;

/** Workers of two hosts that keep what they have answered, before a Redis that all of them share. */
class Setting {
  /** What the application answers without a cache: the register r of each URL is at version 1. */
  readonly truth: Answers = new Map(ASKED.map((asked) => [asked, `1 ${asked}`]));
  readonly redis: Answers = new Map(this.truth);
  /** By worker's process id; those of host A are 11 and 12, of host B 21 and 22, and after a new start the next two. */
  readonly workers: Map<number, Answers> = new Map<number, Answers>();
  /** Hosts that were started anew, with what was added to their environment. */
  readonly started: [host: string, environment: Readonly<Record<string, string>>][] = [];
  /** Connections are accepted by the first worker alone until then, by `performance.now`. */
  startingUntilMs = 0;
  /** Which hosts use Redis. */
  sharing: readonly string[] = HOSTS;
  readonly hosts: RestingHost[] = [];
  readonly #closing: (() => Promise<void>)[] = [];

  async close(): Promise<void> {
    for (const close of this.#closing) await close();
  }

  static async create(): Promise<Setting> {
    const setting = new Setting();
    for (const [index, name] of HOSTS.entries()) setting.hosts.push(await setting.#createHost(name, (index + 1) * 10));
    return setting;
  }

  async #createHost(name: string, base: number): Promise<RestingHost> {
    let pids: number[] = [];
    let last = base;
    const start = (): void => {
      pids = Array.from({ length: WORKERS_PER_HOST }, () => ++last);
      for (const pid of pids) this.workers.set(pid, new Map());
    };
    start();
    for (const pid of pids) this.workers.set(pid, new Map(this.truth));
    // As the kernel does, for each connection.
    const accepting = new WeakMap<Socket, number>();
    let connections = 0;
    const server = createServer((request, response) =>
      this.#respond(accepting.get(request.socket) as number, name)(request, response),
    );
    server.on('connection', (socket) => {
      const next = performance.now() < this.startingUntilMs ? 0 : connections++ % pids.length;
      accepting.set(socket, pids[next] as number);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.#closing.push(async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    return {
      name,
      port: (server.address() as AddressInfo).port,
      pid: base,
      logFile: 'its log',
      get workers() {
        return pids;
      },
      stop: async () => void pids.splice(0),
      start: async (environment = {}) => {
        this.started.push([name, environment]);
        start();
      },
    };
  }

  #respond(pid: number, host: string): RequestListener {
    const isSharing = this.sharing.includes(host);
    const own = this.workers.get(pid) as Answers;
    return ({ url, headers }, response) => {
      if (url === '/health') {
        const tier = isSharing ? { second_tier: { available: true } } : {};
        response.end(JSON.stringify({ feed: { fresh: true }, workers: { pid }, ...tier }));
        return;
      }
      const asked = `${url} as ${headers.authorization ?? 'nobody'}`;
      const [status, answer = 'none'] = own.has(asked)
        ? ['vazao; hit; detail="lag=0.00ms"', own.get(asked)]
        : isSharing && this.redis.has(asked)
          ? ['vazao; hit; detail="tier=redis"', this.redis.get(asked)]
          : ['vazao; fwd=uri-miss; stored', this.truth.get(asked)];
      own.set(asked, answer);
      response.writeHead(200, { 'cache-status': status }).end(answer);
    };
  }
}

interface Compared {
  readonly figures: RestFigures;
  readonly violations: readonly Pick<Violation, 'kind' | 'what'>[];
}

/** Two registers, one of each URL, each with one write that was acknowledged. */
async function compare(setting: Setting): Promise<Compared> {
  const checker = new Checker({ registers: ['/a', '/b'], clients: 1, leaseMs: 1_000, slackMs: 0 });
  for (const register of [0, 1]) {
    const write = { writer: 'w', registers: [register], empties: [], client: undefined };
    checker.acknowledge(checker.invoke(write, 0), 1);
  }
  const indexes = new Map([
    ['/a', 0],
    ['/b', 1],
  ]);
  const readers = ['/a', '/b'].map(
    (url) =>
      new CompiledReader(
        { url, user: 'ana', shows: [url], read: (body) => ({ versions: [[url, Number.parseInt(body, 10)]] }) },
        indexes,
      ),
  );
  try {
    const figures = await compareAtRest({
      checker,
      hosts: setting.hosts,
      readers,
      users: USERS,
      proof: (user): Readonly<Record<string, string>> => (user === undefined ? {} : { authorization: user }),
      reference: {
        get: async (url, { authorization = 'nobody' }) => {
          const body = setting.truth.get(`${url} as ${authorization}`);
          return body === undefined ? { status: 500, body: 'gone' } : { status: 200, body };
        },
      },
      clock: () => 100,
      environment: { RULE: 'broken' },
    });
    return { figures, violations: checker.violations.map(({ kind, what }) => ({ kind, what })) };
  } finally {
    await setting.close();
  }
}

test('where every cache has what the database has there is no violation, and one host is asked again for what is in Redis', async () => {
  const setting = await Setting.create();
  const { figures, violations } = await compare(setting);
  assert.deepEqual(violations, []);
  assert.deepEqual(setting.started, [['host B', { RULE: 'broken' }]]);
  // Four workers twice, all from their own memory; then the two of the host that was started anew once, all from Redis.
  const perWorker = ASKED.length;
  const restarted = WORKERS_PER_HOST * perWorker;
  assert.deepEqual(figures, { workers: 6, answers: 4 * 2 * perWorker + restarted, fromRedis: restarted });
});

test("one worker's wrong answer differs, each time that it is given", async () => {
  const setting = await Setting.create();
  setting.workers.get(12)?.set('/b as ana', '0 old');
  const { violations } = await compare(setting);
  const what = 'At rest worker 12 of host A answers /b (ana) with 200 0 old, and without a cache it is 200 1 /b as ana';
  assert.deepEqual(violations, [
    { kind: 'differs', what },
    { kind: 'differs', what },
  ]);
});

test('what is wrong in Redis differs, although every worker has it right in its own memory', async () => {
  const setting = await Setting.create();
  setting.redis.set('/a as nobody', '0 old');
  const { violations } = await compare(setting);
  const what = (pid: number): string =>
    `At rest worker ${pid} of host B answers /a (undefined) from Redis with 200 0 old, and without a cache it is 200 1 /a as nobody`;
  assert.deepEqual(violations, [
    { kind: 'differs', what: what(23) },
    { kind: 'differs', what: what(24) },
  ]);
});

test('a worker that is still starting, while another one answers for the host, is waited for', async () => {
  const setting = await Setting.create();
  setting.startingUntilMs = performance.now() + 1_000;
  assert.equal((await compare(setting)).figures.workers, 6);
});

test('a host that does not use Redis is not started anew: another is, or none', async () => {
  const first = await Setting.create();
  first.sharing = ['host A'];
  assert.equal((await compare(first)).figures.fromRedis, WORKERS_PER_HOST * ASKED.length);
  assert.deepEqual(
    first.started.map(([host]) => host),
    ['host A'],
  );
  const none = await Setting.create();
  none.sharing = [];
  assert.deepEqual((await compare(none)).figures, { workers: 4, answers: 4 * 2 * ASKED.length, fromRedis: 0 });
  assert.deepEqual(none.started, []);
});

test('a database that lacks an acknowledged write has lost it, and so has one whose answer is an error', async () => {
  const setting = await Setting.create();
  setting.truth.set('/a as ana', '0 old');
  setting.redis.set('/a as ana', '0 old');
  setting.truth.delete('/b as ana');
  const { violations } = await compare(setting);
  assert.deepEqual(
    violations.filter(({ kind }) => kind === 'lost').map(({ what }) => what),
    [
      'At rest the database shows /a 0 (/a), and 1 was acknowledged',
      'At rest the application answers /b with 500: gone',
    ],
  );
});
