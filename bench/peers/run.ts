/**
 * `npm run bench`: caches side by side, on the same data, the same endpoint, in the same run. In each round every candidate is started,
 * measured and stopped, in another order each time; the table has medians over the rounds.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { zipf } from '../../packages/vazao/src/lab/scenario/data.ts';
import { median } from '../../packages/vazao/src/lab/statistics/quantile.ts';
import { createUniform, shuffle } from '../../packages/vazao/src/lab/statistics/random.ts';
import { startTestServer } from '../../packages/vazao/src/testing/server.ts';
import { CANDIDATES, type Candidate, type Command, isInstalled } from './candidates.ts';
import { ITEMS, SCHEMA } from './data.ts';
import { type Driven, drive } from './drive.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '32' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
  },
});
const [rounds, seconds, connections, seed] = [values.rounds, values.seconds, values.connections, values.seed].map(
  Number,
) as [number, number, number, number];

interface Measured {
  readonly coldMs: number;
  readonly hot: Driven;
  readonly zipf: Driven;
  readonly mixed: Driven;
  readonly outside: Driven;
  readonly rssMb: number;
}

const uniform = createUniform(seed);
const pickZipf = zipf(ITEMS, 1);
const random = { next: uniform } as Parameters<typeof pickZipf>[0];
const chosen = CANDIDATES.filter(({ name }) => values.only === '' || values.only.split(';').includes(name));
const usable = chosen.filter(({ needs }) => needs === undefined || isInstalled(needs));
const results = new Map<Candidate, Measured[]>(usable.map((candidate) => [candidate, []]));
const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
const postgres = await startTestServer();
const folder = mkdtempSync(join(tmpdir(), 'vazao-peers-'));
try {
  const admin = new pg.Client(postgres.url);
  await admin.connect();
  await admin.query(SCHEMA);
  await admin.query('alter table items replica identity full; alter table reviews replica identity full');
  const redisPort = await findFreePort();
  if (isInstalled('redis-server')) {
    start({
      file: 'redis-server',
      words: ['--port', String(redisPort), '--bind', '127.0.0.1', '--save', '', '--dir', folder],
    });
  }
  for (let round = 0; round < rounds; round++) {
    for (const candidate of shuffle(usable, uniform)) {
      process.stderr.write(`round ${round + 1} of ${rounds}: ${candidate.name}\n`);
      try {
        results.get(candidate)?.push(await measure(candidate, admin, redisPort));
      } catch (error) {
        process.stderr.write(`  failed: ${(error as Error).message}\n`);
      }
    }
  }
  await admin.end();
  print();
} finally {
  await Promise.all([...children].map(stop));
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function measure(candidate: Candidate, admin: pg.Client, redisPort: number): Promise<Measured> {
  const [port, innerPort] = [await findFreePort(), await findFreePort()];
  const parts = {
    port,
    innerPort,
    databaseUrl: postgres.url,
    redisUrl: `redis://127.0.0.1:${redisPort}`,
    folder: mkdtempSync(join(folder, 'c-')),
  };
  const { rows } = await admin.query<{ id: number; version: number }>('select id, version from items');
  const acknowledged = new Map(rows.map(({ id, version }) => [id, version]));
  const startedAt = performance.now();
  const running = candidate.start(parts).map(start);
  try {
    const coldMs = (await firstAnswer(port, running)) - startedAt;
    const base = { port, connections, durationMs: seconds * 1_000, acknowledged };
    const skewed = (): number => pickZipf(random);
    await drive({ ...base, durationMs: Math.min(2_000, base.durationMs), pick: skewed }); // warm-up
    const hot = await drive({ ...base, pick: () => 1 });
    const zipfed = await drive({ ...base, pick: skewed });
    const mixed = await drive({ ...base, pick: skewed, writes: 0.05 });
    // The same share of writes, by another program: psql, another service, a job.
    const stopping = new AbortController();
    const writing = writeOutside(admin, acknowledged, skewed, mixed.perS * 0.05, stopping.signal);
    const outside = await drive({ ...base, pick: skewed });
    stopping.abort();
    await writing;
    return {
      coldMs,
      hot,
      zipf: zipfed,
      mixed,
      outside,
      rssMb: running.reduce((sum, child) => sum + rssMb(child.pid), 0),
    };
  } finally {
    await Promise.all(running.map(stop));
  }
}

/** At most as many a second as the application was asked for; one after the other. */
async function writeOutside(
  admin: pg.Client,
  acknowledged: Map<number, number>,
  pick: () => number,
  perS: number,
  signal: AbortSignal,
): Promise<void> {
  const startedAt = performance.now();
  for (let written = 0; !signal.aborted; written++) {
    const aheadMs = (written / perS) * 1_000 - (performance.now() - startedAt);
    if (aheadMs > 1) await new Promise((resolve) => setTimeout(resolve, aheadMs));
    const id = pick();
    const { rows } = await admin.query('update items set version = version + 1 where id = $1 returning version', [id]);
    acknowledged.set(id, rows[0].version);
  }
}

function start({ file, words, environment = {} }: Command): ChildProcess {
  const child = spawn(file, words, {
    env: { ...process.env, NODE_ENV: 'production', ...environment },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  child.on('error', () => {});
  children.add(child);
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  children.delete(child);
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  const killer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(killer);
}

/** When the first item was answered. */
async function firstAnswer(port: number, running: readonly ChildProcess[]): Promise<number> {
  const giveUpAt = performance.now() + 90_000;
  while (performance.now() < giveUpAt) {
    const ended = running.find(({ exitCode }) => exitCode !== null);
    if (ended) throw new Error(`it ended with ${ended.exitCode} before it answered`);
    const isThere = await fetch(`http://127.0.0.1:${port}/items/1`).then(
      async (answer) => (await answer.text()).includes('"version"'),
      () => false,
    );
    if (isThere) return performance.now();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('it did not answer in 90 s');
}

/** Of the process and all that it started. */
function rssMb(pid: number | undefined): number {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
    const below = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number);
    return (pages * 4_096) / 1024 ** 2 + below.reduce((sum, child) => sum + rssMb(child), 0);
  } catch {
    return 0;
  }
}

function findFreePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}

function print(): void {
  const versions = Object.entries(
    JSON.parse(readFileSync(join(import.meta.dirname, 'package.json'), 'utf8')).dependencies,
  );
  const out = (line: string): void => console.log(line);
  out(
    `${cpus().length} cores of ${cpus()[0]?.model.trim()}, Node ${process.versions.node}; ${rounds} rounds of ${seconds} s a column, ${connections} connections, seed ${seed}; medians.`,
  );
  out(`Versions: ${versions.map(([name, version]) => `${name} ${version}`).join(', ')}.\n`);
  out(
    '| cache | hot hit | Zipf, 1,000 items | 95/5 reads/writes | p99 of it | stale per million | stale, written outside | first answer after | memory |',
  );
  out('|---|---|---|---|---|---|---|---|---|');
  for (const [{ name }, measured] of results) {
    const of = (pick: (one: Measured) => number): number => median(measured.map(pick));
    const rate = (pick: (one: Measured) => Driven): string =>
      `${Math.round(of((one) => pick(one).perS)).toLocaleString('en')}/s`;
    // Over all rounds together: a rare thing has no median.
    const stale = (pick: (one: Measured) => Driven): string => {
      const sum = (of: (driven: Driven) => number): number => measured.reduce((total, one) => total + of(pick(one)), 0);
      return Math.round((sum(({ staleReads }) => staleReads) / sum(({ reads }) => reads)) * 1e6).toLocaleString('en');
    };
    const errors = measured.reduce(
      (sum, { hot, zipf, mixed, outside }) => sum + hot.errors + zipf.errors + mixed.errors + outside.errors,
      0,
    );
    if (measured.length === 0) out(`| ${name} | did not run | | | | | | | |`);
    else
      out(
        `| ${name}${errors > 0 ? ` (${errors} errors)` : ''} | ${rate((one) => one.hot)} | ${rate((one) => one.zipf)} | ${rate((one) => one.mixed)} | ${of((one) => one.mixed.p99Ms).toFixed(1)} ms | ${stale((one) => one.mixed)} | ${stale((one) => one.outside)} | ${(of((one) => one.coldMs) / 1_000).toFixed(2)} s | ${of((one) => one.rssMb).toFixed(0)} MB |`,
      );
  }
  for (const { name, needs } of chosen) {
    if (needs !== undefined && !isInstalled(needs)) out(`\n${name} was left out: ${needs} is not installed.`);
  }
}
