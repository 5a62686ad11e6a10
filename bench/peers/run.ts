/**
 * `npm run bench`: caches side by side, on the same data, the same endpoint, in the same run. In each round every candidate is started,
 * with a Redis of its own where it takes one, measured and stopped, in another order each time; the table has medians over the
 * rounds. It is printed, and written into bench/RESULTS.md unless `--only` chose some. 5 minutes a round.
 *
 * Candidates, their Redis and PostgreSQL have core 0, the generator has core 1, where the machine has `taskset`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { zipf } from '../../packages/vazao/src/lab/scenario/data.ts';
import { median } from '../../packages/vazao/src/lab/statistics/quantile.ts';
import { createUniform, shuffle } from '../../packages/vazao/src/lab/statistics/random.ts';
import { startTestServer } from '../../packages/vazao/src/testing/server.ts';
import { memoryBytes, treeOf } from '../processes.ts';
import { writeSection } from '../results-file.ts';
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
  readonly memoryMb: number;
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
/** Watt takes two minutes beside thirty other programs. */
const FIRST_ANSWER_MAX_MS = 240_000;
/** Beyond it a rate says what the generator can do. */
const BUSY_MAX = 0.9;
const canPin = spawnSync('taskset', ['--version']).status === 0 && availableParallelism() > 1;
if (canPin) spawnSync('taskset', ['-acp', '0', String(process.pid)]); // PostgreSQL is started here, and inherits it
const postgres = await startTestServer();
if (canPin) spawnSync('taskset', ['-acp', '1', String(process.pid)]);
let postgresVersion = '';
const folder = mkdtempSync(join(tmpdir(), 'vazao-peers-'));
try {
  const admin = new pg.Client(postgres.url);
  await admin.connect();
  await admin.query(SCHEMA);
  await admin.query('alter table items replica identity full; alter table reviews replica identity full');
  postgresVersion = (await admin.query('show server_version')).rows[0].server_version;
  for (let round = 0; round < rounds; round++) {
    for (const candidate of shuffle(usable, uniform)) {
      process.stderr.write(`round ${round + 1} of ${rounds}: ${candidate.name}\n`);
      try {
        results.get(candidate)?.push(await measure(candidate, admin));
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

async function measure(candidate: Candidate, admin: pg.Client): Promise<Measured> {
  const [port, innerPort, redisPort] = [await findFreePort(), await findFreePort(), await findFreePort()];
  const parts = {
    port,
    innerPort,
    databaseUrl: postgres.url,
    redisUrl: `redis://127.0.0.1:${redisPort}`,
    folder: mkdtempSync(join(folder, 'c-')),
  };
  const { rows } = await admin.query<{ id: number; version: number }>('select id, version from items');
  const acknowledged = new Map(rows.map(({ id, version }) => [id, version]));
  const running: ChildProcess[] = [];
  try {
    if (candidate.needs === 'redis-server') running.push(await startRedis(redisPort, parts.folder));
    const startedAt = performance.now();
    running.push(...candidate.start(parts).map(start));
    const coldMs = (await firstAnswer(port, running)) - startedAt;
    const base = { port, connections, durationMs: seconds * 1_000, acknowledged, random: uniform };
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
      memoryMb:
        running.flatMap(({ pid }) => treeOf(pid ?? 0)).reduce((sum, pid) => sum + memoryBytes(pid), 0) / 2 ** 20,
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
  const [program, ...rest] = [...(canPin ? ['taskset', '-c', '0'] : []), file, ...words] as [string, ...string[]];
  const child = spawn(program, rest, {
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
  const giveUpAt = performance.now() + FIRST_ANSWER_MAX_MS;
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
  throw new Error(`it did not answer in ${FIRST_ANSWER_MAX_MS / 1_000} s`);
}

/** An empty one, and its memory counts as the candidate's. */
async function startRedis(port: number, folder: string): Promise<ChildProcess> {
  const words = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder];
  const child = start({ file: 'redis-server', words });
  const answers = (): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      }).on('error', () => resolve(false));
    });
  while (child.exitCode === null && !(await answers())) await new Promise((resolve) => setTimeout(resolve, 20));
  return child;
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
  const lines: string[] = [];
  const out = (line: string): void => void lines.push(line);
  const { dependencies } = JSON.parse(readFileSync(join(import.meta.dirname, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const versions = [
    `Node ${process.versions.node}`,
    `PostgreSQL ${postgresVersion}`,
    ...[versionOf('redis-server'), versionOf('nginx')].filter((one) => one !== undefined),
    ...Object.entries(dependencies).map(([name, version]) => `${name} ${version}`),
  ];
  const words = Object.entries(values).filter(([, value]) => value !== '');
  out(
    `${cpus().length} cores of ${cpus()[0]?.model.trim()}${canPin ? ': candidates, Redis and PostgreSQL on one, the generator on the other' : ''}. \`npm run bench -- ${words.map(([name, value]) => `--${name} ${value}`).join(' ')}\`: ${rounds} rounds of ${seconds} s a column, ${connections} connections; medians. Memory is of all processes that serve, Redis among them, without PostgreSQL.`,
  );
  out(`\nVersions: ${versions.join(', ')}.\n`);
  out(
    '| cache | hot hit | Zipf, 1,000 items | 95/5 reads/writes | p99 of it | stale per million | stale, written outside | first answer after | memory |',
  );
  out('|---|---|---|---|---|---|---|---|---|');
  for (const [{ name }, measured] of results)
    out(measured.length > 0 ? toRow(name, measured) : `| ${name} | did not run | | | | | | | |`);
  if (lines.some((line) => line.includes(' ≥ '))) {
    out(
      `\n≥: the generator was busy for more than ${BUSY_MAX * 100} % of the time, so the cache may be able to do more.`,
    );
  }
  for (const { name, needs } of chosen) {
    if (needs !== undefined && !isInstalled(needs)) out(`\n${name} was left out: ${needs} is not installed.`);
  }
  console.log(lines.join('\n'));
  if (values.only === '') writeSection('npm run bench', lines.join('\n'));
}

function toRow(name: string, measured: readonly Measured[]): string {
  const of = (pick: (one: Measured) => number): number => median(measured.map(pick));
  const rate = (pick: (one: Measured) => Driven): string =>
    `${of((one) => pick(one).busy) > BUSY_MAX ? '≥ ' : ''}${Math.round(of((one) => pick(one).perS)).toLocaleString('en')}/s`;
  // Over all rounds together: a rare thing has no median.
  const stale = (pick: (one: Measured) => Driven): string => {
    const sum = (count: (driven: Driven) => number): number =>
      measured.reduce((total, one) => total + count(pick(one)), 0);
    return Math.round((sum(({ staleReads }) => staleReads) / sum(({ reads }) => reads)) * 1e6).toLocaleString('en');
  };
  const errors = measured
    .flatMap(({ hot, zipf, mixed, outside }) => [hot, zipf, mixed, outside])
    .reduce((sum, driven) => sum + driven.errors, 0);
  const columns = [
    `${name}${errors > 0 ? ` (${errors} errors)` : ''}${measured.length < rounds ? ` (${measured.length} of ${rounds} rounds)` : ''}`,
    rate((one) => one.hot),
    rate((one) => one.zipf),
    rate((one) => one.mixed),
    `${of((one) => one.mixed.p99Ms).toFixed(1)} ms`,
    stale((one) => one.mixed),
    stale((one) => one.outside),
    `${(of((one) => one.coldMs) / 1_000).toFixed(2)} s`,
    `${of((one) => one.memoryMb).toFixed(0)} MB`,
  ];
  return `| ${columns.join(' | ')} |`;
}

/** `Redis server v=7.0.15 …`, and `nginx version: nginx/1.22.1` on the other stream. Undefined where it is not installed. */
function versionOf(program: 'redis-server' | 'nginx'): string | undefined {
  if (!isInstalled(program)) return undefined;
  const { stdout, stderr } = spawnSync(program, ['-v'], { encoding: 'utf8' });
  const version = /(?:v=|\/)(\d[\d.]*)/.exec(stdout + stderr)?.[1] ?? 'of an unknown version';
  return `${program === 'nginx' ? 'Nginx' : 'Redis'} ${version}`;
}
