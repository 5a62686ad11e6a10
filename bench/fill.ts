/**
 * `node bench/fill.ts`: what a fill costs over the bare statements, and what other ways to open its transaction would.
 * One connection, alternating, medians; a throw-away server on this host, so that a round trip costs little: the share of
 * the round trips is shown by a second table, through a proxy that delays each way by a millisecond.
 */
import pg from 'pg';
import { Fill } from '../packages/vazao/src/cache/fill.ts';
import { Cache } from '../packages/vazao/src/cache/index.ts';
import { Pool, runInContext } from '../packages/vazao/src/db/index.ts';
import { createFeed, setReplicaIdentityFull } from '../packages/vazao/src/feed/index.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { startTcpProxy } from '../packages/vazao/src/testing/tcp-proxy.ts';
import { median } from './load.ts';

const ONE = 'select * from t where id = $1';
const SNAPSHOT = 'select pg_current_snapshot()::text, pg_current_wal_flush_lsn()::text';
const BEGIN = 'begin isolation level repeatable read read only';

const server = await startTestServer();
const feed = createFeed({ connection: server.url });
try {
  const admin = new pg.Client(server.url);
  await admin.connect();
  await admin.query(
    'create table t (id int primary key, v int); insert into t select n, n from generate_series(1, 10000) n',
  );
  await setReplicaIdentityFull(admin, ['t']);
  await admin.end();
  await feed.start();
  console.log(`Node ${process.versions.node}; ms, median of alternating runs`);
  await compare('local socket', server.url, 3_000);
  const proxy = await startTcpProxy(server.url);
  proxy.delay(1);
  await compare('1 ms each way', proxy.through(server.url), 300);
  await proxy[Symbol.asyncDispose]();
} finally {
  await feed.close();
  await server.stop();
}

async function compare(title: string, url: string, runs: number): Promise<void> {
  const cache = new Cache<unknown>({ feed });
  const db = new Pool({ connectionString: url, max: 1, cache, feed });
  await db.prepare();
  const plain = new pg.Pool({ connectionString: url, max: 1 });
  const piped = new pg.Client({ connectionString: url, pipeline: true } as pg.ClientConfig);
  await piped.connect();
  let n = 0;
  const next = (): [number] => [(n++ % 10_000) + 1];
  const start = { atMs: 0, epoch: 1, generation: 0, neededAfter: 0, suspects: new Set<bigint>(), isUntold: false };
  const fill = async (work: () => Promise<unknown>): Promise<void> => {
    const session = db.openSession(new Fill<unknown>('/', start));
    await runInContext({ fill: session, position: 0n }, work);
    session.close();
  };
  const ways: Record<string, () => Promise<unknown>> = {
    'bare, 1': () => plain.query(ONE, next()),
    'fill, 1': () => fill(() => db.query(ONE, next())),
    'bare, 2': async () => {
      await plain.query(ONE, next());
      await plain.query(ONE, next());
    },
    'fill, 2': () =>
      fill(async () => {
        await db.query(ONE, next());
        await db.query(ONE, next());
      }),
    // The same on a bare client, to see what each part costs.
    'BEGIN, snapshot, 1, COMMIT: one after the other': async () => {
      await piped.query(BEGIN);
      await piped.query(SNAPSHOT);
      await piped.query(ONE, next());
      await piped.query('commit');
    },
    'the same, pipelined, COMMIT awaited': async () => {
      const rest = [piped.query(`${BEGIN};${SNAPSHOT}`), piped.query(ONE, next())];
      await Promise.all([...rest, piped.query('commit')]);
    },
    'BEGIN and a prepared snapshot, pipelined': async () => {
      const rest = [piped.query(BEGIN), piped.query({ name: 's', text: SNAPSHOT })];
      await Promise.all([...rest, piped.query(ONE, next()), piped.query('commit')]);
    },
    'BEGIN without a snapshot, pipelined': async () => {
      await Promise.all([piped.query(BEGIN), piped.query(ONE, next()), piped.query('commit')]);
    },
  };
  const times = new Map(Object.keys(ways).map((name) => [name, [] as number[]]));
  for (let run = -50; run < runs; run++) {
    for (const [name, way] of Object.entries(ways)) {
      while (db.idleCount < db.totalCount) await new Promise(setImmediate); // its COMMIT is on the way
      const startedAt = performance.now();
      await way();
      if (run >= 0) times.get(name)?.push(performance.now() - startedAt);
    }
  }
  const base = { 1: median(times.get('bare, 1') ?? []), 2: median(times.get('bare, 2') ?? []) };
  console.log(title);
  for (const [name, list] of times) {
    const ms = median(list);
    const bare = name.endsWith(', 2') ? base[2] : base[1];
    console.log(`  ${name.padEnd(50)} ${ms.toFixed(3)}  ${(ms / bare).toFixed(2)} × bare`);
  }
  await Promise.all([db.end(), plain.end(), piped.end()]);
}
