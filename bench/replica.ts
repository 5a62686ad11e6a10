/**
 * `node bench/replica.ts`: what a fill costs on a replica beside one on the primary, alternating, on one host; and which
 * share of the fills a replica takes while the primary has 200 commits a second, with the ways that there are to wait for it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from '../packages/vazao/src/db/index.ts';
import {
  createReplicatedDatabase,
  type ReplicatedDatabase,
} from '../packages/vazao/src/testing/replicated-database.ts';
import { median } from './load.ts';

const RUNS = 1_000;
const COMMITS_PER_S = 200;
const LOAD_MS = 5_000;

await using base = await createReplicatedDatabase();
const { db, cache, feed, cluster } = base;
const primary = new Pool({ connectionString: cluster.primary.urlOf('app'), max: 5, cache, feed });
try {
  await primary.prepare();
  await base.settled();
  console.log(`Node ${process.versions.node}; ms, median and 99th of 100 of alternating runs, one host`);
  await compare();
  // As PostgreSQL has it by itself; without a conflict with the replay at each turn, that is.
  await cluster.node('replica').set({ max_standby_streaming_delay: '30s', hot_standby_feedback: 'on' });
  for (const delayMs of [0, 2, 20]) await underLoad(delayMs);
} finally {
  await primary.end();
}

/** One fill, as the plugin does it, until its answer may leave. */
async function fillOnce(pool: Pool, id: number, statements: number): Promise<{ ms: number; onReplica: boolean }> {
  const startedAt = performance.now();
  const work = async (): Promise<number> => {
    for (let n = 0; n < statements; n++) await pool.query('select v from t where id = $1', [id]);
    return id;
  };
  const { snapshot } = await base.fill(`/${id}`, work, pool);
  return { ms: performance.now() - startedAt, onReplica: snapshot !== undefined && 'replayedTo' in snapshot };
}

async function compare(): Promise<void> {
  for (const statements of [1, 3]) {
    const times: Record<string, number[]> = { primary: [], replica: [] };
    for (let run = -100; run < RUNS; run++) {
      for (const [name, pool] of [
        ['primary', primary],
        ['replica', db],
      ] as const) {
        const { ms, onReplica } = await fillOnce(pool, (run + 1_000) % 1_000, statements);
        if (run >= 0 && onReplica === (name === 'replica')) times[name]?.push(ms);
      }
    }
    for (const [name, list] of Object.entries(times)) {
      console.log(
        `  ${statements} statement(s), ${name.padEnd(8)} ${describe(list)}  (${list.length} of ${RUNS} there)`,
      );
    }
  }
}

async function underLoad(delayMs: number): Promise<void> {
  await cluster.setApplyDelay(cluster.node('replica'), delayMs);
  await delay(500);
  const until = performance.now() + LOAD_MS;
  const writes = write(base, until);
  const before = db.replicas()[0]?.refused ?? {};
  const times: number[] = [];
  let onReplica = 0;
  while (performance.now() < until) {
    const filled = await fillOnce(db, 500 + (times.length % 400), 1);
    times.push(filled.ms);
    if (filled.onReplica) onReplica++;
    await delay(Math.random() * 4); // else the fills follow the beat of the writes
  }
  const commits = await writes;
  const share = ((100 * onReplica) / times.length).toFixed(1);
  const refused = Object.entries(db.replicas()[0]?.refused ?? {})
    .map(([reason, count]) => `${reason} ${count - (before[reason as keyof typeof before] ?? 0)}`)
    .join(', ');
  console.log(
    `  ${Math.round((commits * 1_000) / LOAD_MS)} commits/s, replica ${delayMs} ms behind: ${share} % of ${times.length} fills on it, ${describe(times)}  refused: ${refused || 'none'}`,
  );
}

/** One writer that keeps to its beat. */
async function write({ writer }: ReplicatedDatabase, until: number): Promise<number> {
  const startedAt = performance.now();
  let commits = 0;
  while (performance.now() < until) {
    await writer.query('update t set v = v + 1 where id = $1', [(commits % 400) + 1]);
    commits++;
    const aheadMs = (commits * 1_000) / COMMITS_PER_S - (performance.now() - startedAt);
    if (aheadMs > 0) await delay(aheadMs);
  }
  return commits;
}

function describe(times: number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  return `${median(times).toFixed(3)}  ${(sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN).toFixed(3)}`;
}
