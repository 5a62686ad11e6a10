/** Servers that count together, as `vazao start` runs them, and what their clients see while the store of the counts is gone. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type CommandRun, complaintsOf, runCommand, writeApplication } from '../testing/cli.ts';
import { createTestDatabase } from '../testing/database.ts';
import { startRedisServer } from '../testing/redis.ts';
import { type Answer, ask, until } from '../testing/running-host.ts';
import { startTcpProxy } from '../testing/tcp-proxy.ts';

const REQUESTS_MAX = 40;
const base = mkdtempSync(join(tmpdir(), 'vazao-limit-stores-'));
after(() => rmSync(base, { recursive: true, force: true }));
const file = writeApplication(
  join(base, 'little'),
  '',
  'create table a (n int);',
  `app.get('/counted', { config: { limit: { requests: ${REQUESTS_MAX}, window: '1h' } } }, async () => ({}));`,
);

/** A store behind a link that can be broken. */
interface Store {
  readonly env: Record<string, string>;
  /** Who is connected to it, as the store itself sees them. */
  readonly listSessions: () => Promise<readonly string[]>;
  readonly faults: Readonly<Record<string, { begin(): unknown; end(): unknown }>>;
  /** What becomes of a server that is started during a fault. */
  readonly assertStart: (run: CommandRun) => Promise<void>;
}

async function openPostgres(acquired: AsyncDisposableStack): Promise<Store> {
  const database = acquired.use(await createTestDatabase());
  const proxy = acquired.use(await startTcpProxy(database.url));
  const isOfStore = (startup: string): boolean => startup.includes('vazao limits');
  const end = (): void => proxy.resume();
  return {
    env: { DATABASE_URL: proxy.through(database.url), VAZAO_LIMIT_STORE: 'postgres' },
    async listSessions() {
      const { rows } = await database.pool.query(
        `select pid::text from pg_stat_activity where datname = $1 and application_name = 'vazao limits'`,
        [database.name],
      );
      return rows.map(({ pid }) => pid);
    },
    faults: {
      silent: { begin: () => proxy.pause(isOfStore), end },
      'cut off': { begin: () => proxy.cut(isOfStore), end },
    },
    // The table is made at the start.
    async assertStart({ ended, output }) {
      assert.equal(await ended, 1);
      assert.match(output.stderr, /The database can't hold the counts of the limits: .*VAZAO_LIMIT_STORE/);
    },
  };
}

async function openRedis(acquired: AsyncDisposableStack): Promise<Store> {
  const database = acquired.use(await createTestDatabase());
  const redis = acquired.use(await startRedisServer());
  const proxy = acquired.use(await startTcpProxy(redis.url));
  const end = (): void => proxy.resume();
  return {
    env: {
      DATABASE_URL: database.url,
      VAZAO_LIMIT_STORE: 'redis',
      VAZAO_STATE_REDIS_URL: proxy.through(redis.url),
    },
    async listSessions() {
      if (!redis.isRunning) return [];
      const clients = (await redis.command('client', 'list'))
        .split('\n')
        .filter((line) => !line.includes('cmd=client'));
      return clients.map((line) => /^id=(\d+)/.exec(line)?.[1] ?? line);
    },
    faults: {
      silent: { begin: () => proxy.pause(), end },
      'cut off': { begin: () => proxy.cut(), end },
      killed: { begin: () => redis.kill(), end: () => redis.restart({ empty: true }) },
    },
    async assertStart(run) {
      await assertAnswersAndLimits(await run.url);
      run.child.kill('SIGTERM');
      assert.deepEqual([await run.ended, complaintsOf(run)], [0, '']);
    },
  };
}

let lastClient = 0;
/** An address that nobody has counted yet. */
function createClient(): string {
  lastClient++;
  return `10.1.${lastClient >> 8}.${lastClient & 255}`;
}

const askAs = (client: string, url: string): Promise<Answer> =>
  ask(`${url}/counted`, { headers: { 'x-forwarded-for': client } });

async function remainingFor(client: string, url: string): Promise<number> {
  const { headers } = await askAs(client, url);
  return Number(/"GET \/counted";r=(\d+)/.exec(String(headers.ratelimit))?.[1]);
}

/** Both servers ask the store, and it has the counts of both. */
async function untilShared([one, other]: readonly [string, string]): Promise<void> {
  await until(async () => {
    const client = createClient();
    const left = [await remainingFor(client, one), await remainingFor(client, other)];
    return left[0] === REQUESTS_MAX - 1 && left[1] === REQUESTS_MAX - 2;
  }, 'two servers count together');
}

/** More than a client may ask, several at a time. A request that was held up would be a 503 in the end. */
async function assertAnswersAndLimits(url: string): Promise<void> {
  const client = createClient();
  const statuses: number[] = [];
  for (let batch = 0; batch < REQUESTS_MAX / 4; batch++) {
    const answers = await Promise.all(Array.from({ length: 5 }, () => askAs(client, url)));
    statuses.push(...answers.map(({ status }) => status));
  }
  const count = (wanted: number): number => statuses.filter((status) => status === wanted).length;
  assert.deepEqual([count(200), count(429), statuses.length], [REQUESTS_MAX, REQUESTS_MAX / 4, 50]);
}

for (const [name, open] of Object.entries({ PostgreSQL: openPostgres, Redis: openRedis })) {
  test(`${name}: a store of the limits that is gone holds nobody up, each server limits by itself, and later they count together again`, {
    timeout: 480_000,
  }, async () => {
    await using acquired = new AsyncDisposableStack();
    const { env, listSessions, faults, assertStart } = await open(acquired);
    const runs: CommandRun[] = [];
    const start = (): CommandRun => {
      const run = runCommand(
        ['start', file],
        {
          PORT: '0',
          WORKERS: '1',
          VAZAO_DATA: join(base, 'data'),
          VAZAO_SECRET: randomBytes(20).toString('hex'),
          VAZAO_TRUST_PROXY: '127.0.0.1',
          LOG_LEVEL: 'error',
          ...env,
        },
        base,
      );
      runs.push(run);
      return run;
    };
    try {
      const urls = (await Promise.all([start().url, start().url])) as [string, string];
      for (const [fault, { begin, end }] of Object.entries(faults)) {
        await untilShared(urls);
        const held = await listSessions();
        assert.ok(held.length > 0, fault);
        await begin();
        await Promise.all(urls.map(assertAnswersAndLimits));
        await assertStart(start());
        runs.pop();
        // TCP by itself would believe in a silent link for a quarter of an hour.
        await until(async () => {
          for (const url of urls) assert.equal((await askAs(createClient(), url)).status, 200);
          const still = await listSessions();
          return !held.some((session) => still.includes(session));
        }, `connections to a store that is ${fault} are given up`);
        await end();
      }
      await untilShared(urls);
    } finally {
      for (const { child } of runs) child.kill('SIGTERM');
      for (const run of runs) assert.deepEqual([await run.ended, complaintsOf(run)], [0, '']);
    }
  });
}
