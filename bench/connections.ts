/**
 * `npm run bench:connections`: so many users, each on a connection of their own that is kept, who think between requests; the
 * server's processes and PostgreSQL together in 512 MB. Prints Markdown, and exits with 1 when a goal was missed. 3 minutes.
 *
 *   --users 10000 --think 5 --seconds 60 --warm-up 30 --workers 2 --memory 464MB --seed 1
 *   BENCH_ADDRESSES=40   each row has as many addresses, so that the caches are full
 *   --reload               all workers are replaced (SIGHUP) when the warm-up is over
 *
 * `--memory` is the server's `MEMORY_LIMIT`; what is left of the 512 MB is PostgreSQL's. All of `/proc`'s PSS is counted, so
 * pages that processes share count once; the kernel's own memory for sockets is in no process, and is told apart.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runPlan } from '../packages/vazao/src/lab/plans/run-plan.ts';
import { runCommand } from '../packages/vazao/src/testing/cli.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { cpuSeconds, memoryBytes, treeOf } from './processes.ts';

const { values } = parseArgs({
  options: {
    users: { type: 'string', default: '10000' },
    think: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '60' },
    'warm-up': { type: 'string', default: '30' },
    workers: { type: 'string', default: '2' },
    memory: { type: 'string', default: '464MB' },
    seed: { type: 'string', default: '1' },
    reload: { type: 'boolean', default: false },
  },
});
const [users, thinkS, durationS, warmUpS, seed] = [
  values.users,
  values.think,
  values.seconds,
  values['warm-up'],
  values.seed,
].map(Number) as [number, number, number, number, number];
const MB = 2 ** 20;
const LIMIT_MB = 512;
const P99_MAX_MS = 100;
const SAMPLE_MS = 1_000;

const folder = mkdtempSync(join(tmpdir(), 'vazao-connections-'));
const others = new Set(treeOf(process.pid));
// As for a small machine: what PostgreSQL shares among its processes counts, too.
const postgres = await startTestServer({ shared_buffers: '16MB', max_connections: '40', jit: 'off' });
const postmaster = treeOf(process.pid).find((pid) => !others.has(pid)) ?? 0;
const run = runCommand(
  ['start', join(import.meta.dirname, 'serve/app.ts')],
  {
    NODE_ENV: 'production',
    VAZAO_SECRET: 'a secret of more than thirty-two characters',
    PORT: '0',
    WORKERS: values.workers,
    MEMORY_LIMIT: values.memory,
    LOG_LEVEL: 'warn',
    DATABASE_URL: postgres.url,
    VAZAO_DATA: join(folder, 'data'),
  },
  folder,
);
try {
  const target = await run.url;
  const supervisor = run.child.pid as number;
  const watch = watchMemory(supervisor);
  const cpuBefore = cpuOf(supervisor);
  const idle = watch.sample();
  const reload = setTimeout(() => values.reload && process.kill(supervisor, 'SIGHUP'), warmUpS * 1_000);
  const result = await runPlan({
    module: join(import.meta.dirname, 'connections/scenario.ts'),
    target,
    plan: 'load',
    users,
    thinkMs: thinkS * 1_000,
    durationS,
    warmUpS,
    seed,
    criteria: [],
  });
  watch.stop();
  clearTimeout(reload);
  const cpuS = cpuOf(supervisor) - cpuBefore;
  const { total, generator } = result;
  const errors = Object.values(total.errors).reduce((sum, count) => sum + count, 0);
  const kinds = Object.entries(total.errors).filter(([, count]) => count > 0);
  const peakMb = watch.peak.totalBytes / MB;
  // Without what it says of its start.
  const said = run.output.stderr
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('…'))
    .join('; ');

  console.log(
    `${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.versions.node}; ${users.toLocaleString('en')} users who think ${thinkS} s, ${durationS} s after ${warmUpS} s of warm-up; WORKERS=${values.workers} MEMORY_LIMIT=${values.memory}, PostgreSQL with shared_buffers=16MB; seed ${seed}.\n`,
  );
  const rows: [what: string, value: string, goal: string, isMet: boolean | undefined][] = [
    [
      'connections',
      generator.connections.toLocaleString('en'),
      users.toLocaleString('en'),
      generator.connections >= users,
    ],
    ['requests/s', total.throughput.toFixed(0), '', undefined],
    ['errors', kinds.map(([kind, count]) => `${count} ${kind}`).join(', ') || '0', '0', errors === 0],
    ['p50', `${total.latency.p50Ms.toFixed(1)} ms`, '', undefined],
    ['p99', `${total.latency.p99Ms.toFixed(1)} ms`, `${P99_MAX_MS} ms`, total.latency.p99Ms <= P99_MAX_MS],
    ['slowest', `${total.latency.maxMs.toFixed(0)} ms`, '', undefined],
    ['hits', `${((total.cacheHits / total.completed) * 100).toFixed(1)} %`, '', undefined],
    ['memory of all processes, most', `${peakMb.toFixed(0)} MB`, `${LIMIT_MB} MB`, peakMb <= LIMIT_MB],
    ['memory before the first connection', `${(idle.totalBytes / MB).toFixed(0)} MB`, '', undefined],
    ['processor of the server', `${(cpuS / (durationS + warmUpS)).toFixed(2)} cores`, '', undefined],
    ['processor of the generator', `${generator.cpuCores.toFixed(2)} cores`, '', undefined],
    ['generator', generator.void ? `void: ${generator.void.join(' ')}` : 'in time', 'in time', !generator.void],
    ['said by the server', said === '' ? 'nothing' : said, 'nothing', said === ''],
  ];
  console.log('| | | goal |\n|---|---|---|');
  for (const [what, value, goal, isMet] of rows) {
    console.log(`| ${what} | ${isMet === false ? `**${value}**` : value} | ${goal} |`);
  }
  console.log('\n| process, at the moment of most memory | MB |\n|---|---|');
  for (const [name, bytes] of watch.peak.byName) console.log(`| ${name} | ${(bytes / MB).toFixed(0)} |`);
  console.log(`\nSockets in the kernel, both ends, at most: ${(watch.kernelPeakBytes / MB).toFixed(0)} MB of buffers.`);
  if (rows.some(([, , , isMet]) => isMet === false)) process.exitCode = 1;
} finally {
  run.child.kill('SIGTERM');
  await run.ended;
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}

function cpuOf(supervisor: number): number {
  return treeOf(supervisor).reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}

interface Memory {
  readonly totalBytes: number;
  readonly byName: ReadonlyMap<string, number>;
}

function watchMemory(supervisor: number): {
  sample: () => Memory;
  readonly peak: Memory;
  readonly kernelPeakBytes: number;
  stop: () => void;
} {
  let peak: Memory = { totalBytes: 0, byName: new Map() };
  let kernelPeakBytes = 0;
  const sample = (): Memory => {
    const byName = new Map<string, number>();
    for (const pid of treeOf(supervisor))
      byName.set(`${pid === supervisor ? 'supervisor' : 'worker'} ${pid}`, memoryBytes(pid));
    const ofPostgres = treeOf(postmaster);
    byName.set(
      `PostgreSQL, ${ofPostgres.length} processes`,
      ofPostgres.reduce((sum, pid) => sum + memoryBytes(pid), 0),
    );
    const memory = { totalBytes: [...byName.values()].reduce((sum, bytes) => sum + bytes, 0), byName };
    if (memory.totalBytes > peak.totalBytes) peak = memory;
    kernelPeakBytes = Math.max(kernelPeakBytes, kernelBytes());
    return memory;
  };
  const timer = setInterval(sample, SAMPLE_MS);
  return {
    sample,
    get peak() {
      return peak;
    },
    get kernelPeakBytes() {
      return kernelPeakBytes;
    },
    stop: () => clearInterval(timer),
  };
}

function kernelBytes(): number {
  try {
    return Number(/^TCP:.* mem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'utf8'))?.[1] ?? 0) * 4_096;
  } catch {
    return 0;
  }
}
