/**
 * What the feeds of several hosts cost at 1,000 commits a second: each with a replication slot of its own, and one with a slot
 * that writes the stream in Redis for the others. Processor time of the walsenders, of the process with the feed of each host
 * (without workers), and of Redis. It needs Linux and `redis-server`.
 *
 *   npx node bench/feed-hosts.ts
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { createStreamReader, createStreamWriter } from '../packages/vazao/src/cache/redis/index.ts';
import { createFeed, createStreamedFeed, FanOut } from '../packages/vazao/src/feed/index.ts';
import { startRedisServer } from '../packages/vazao/src/testing/redis.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';

type Role = 'own' | 'leader' | 'stream';

interface Start {
  readonly role: Role;
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly systemId: string;
}

const SETTINGS: Readonly<Record<string, readonly Role[]>> = {
  'one host with a slot': ['own'],
  'four hosts with a slot each': ['own', 'own', 'own', 'own'],
  'one host with a slot, three on the stream': ['leader', 'stream', 'stream', 'stream'],
};
const COMMITS_PER_SECOND = 1_000;
const SECONDS = 10;
const CLIENTS = 8;
const ROWS = 10_000;
const TICKS_PER_SECOND = 100;
const NAMESPACE = '{bench}';
const SECRET = 'x'.repeat(32);

if (process.send) await follow();
else for (const [name, roles] of Object.entries(SETTINGS)) await measure(name, roles);

async function measure(name: string, roles: readonly Role[]): Promise<void> {
  const server = await startTestServer();
  await using redis = await startRedisServer();
  const pool = new pg.Pool({ connectionString: server.url, max: CLIENTS });
  pool.on('error', () => {}); // the server is stopped under it
  const children: ChildProcess[] = [];
  try {
    await pool.query(`create table rows (id int primary key, v int not null, text text);
      alter table rows replica identity full;
      insert into rows select i, 0, repeat('x', 100) from generate_series(1, ${ROWS}) i`);
    const { rows } = await pool.query('select system_identifier::text as id from pg_control_system()');
    for (const role of roles) {
      const child = fork(import.meta.filename, { serialization: 'advanced' });
      children.push(child);
      child.send({ role, databaseUrl: server.url, redisUrl: redis.url, systemId: rows[0].id } satisfies Start);
      await once(child, 'message');
    }
    await write(pool, 2); // warm
    const senders = await pool.query("select pid from pg_stat_replication where application_name like 'vazao%'");
    const pids = senders.rows.map(({ pid }) => pid as number);
    const sum = (ids: readonly (number | undefined)[]): number =>
      ids.reduce((total: number, pid) => total + cpuMs(pid), 0);
    const hosts = children.map(({ pid }) => pid);
    const before = [sum(pids), sum(hosts), cpuMs(redis.pid)];
    const commits = await write(pool, SECONDS);
    const spent = [sum(pids), sum(hosts), cpuMs(redis.pid)].map(
      (after, index) => ((after - (before[index] as number)) * 1_000) / commits,
    );
    const last = children.at(-1) as ChildProcess;
    last.send('delay');
    const [delayMs] = (await once(last, 'message')) as [number];
    const delay = roles.includes('stream')
      ? `; half of all commits were told on the stream within ${delayMs.toFixed(1)} ms of the feed that read the log`
      : '';
    const [sending, following, relaying] = spent.map((ms) => `${ms.toFixed(0)} ms`);
    process.stdout.write(
      `${name}: per 1,000 commits (${Math.round(commits / SECONDS)}/s) ${pids.length} walsenders ${sending}, ${hosts.length} hosts ${following}, Redis ${relaying}${delay}\n`,
    );
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await pool.end();
    await server.stop();
  }
}

/** At a steady rate. Resolves to the commits. */
async function write(pool: pg.Pool, seconds: number): Promise<number> {
  const startedAtMs = performance.now();
  let count = 0;
  const lane = async (): Promise<void> => {
    for (;;) {
      const elapsedMs = performance.now() - startedAtMs;
      if (elapsedMs > seconds * 1_000) return;
      if ((count * 1_000) / COMMITS_PER_SECOND > elapsedMs) {
        await pause(1);
        continue;
      }
      const id = 1 + (count++ % ROWS);
      await pool.query({ name: 'write', text: 'update rows set v = v + 1 where id = $1', values: [id] });
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, lane));
  return count;
}

function cpuMs(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND;
}

/** A host: its feed, and nothing on it. */
async function follow(): Promise<void> {
  const [{ role, databaseUrl, redisUrl: url, systemId }] = (await once(process, 'message')) as [Start];
  const shared = { url, namespace: NAMESPACE, secret: SECRET };
  const feed =
    role === 'stream'
      ? createStreamedFeed({ connection: databaseUrl, systemId, channel: await createStreamReader(shared) })
      : createFeed({ connection: databaseUrl, source: 'wal' });
  const fanOut = new FanOut({ source: feed });
  // The hosts are on one machine here, so their clocks can be compared.
  const delaysMs: number[] = [];
  feed.on('commit', ({ receivedAtMs }) => {
    delaysMs.push(performance.timeOrigin + performance.now() - receivedAtMs);
  });
  process.on('message', () => {
    delaysMs.sort((one, other) => one - other);
    process.send?.(delaysMs[Math.floor(delaysMs.length * 0.5)] ?? 0);
  });
  await feed.start();
  if (role === 'leader') await createStreamWriter({ ...shared, fanOut, findTerm: () => '0'.repeat(24) });
  process.send?.('ready');
}
