/**
 * `npm run bench:hit`: what a hit costs, beside (a) a bare `node:http` server that sends the same bytes and (b) the same
 * route of Conectades without the cache. The three take turns in one run, each on one core (with `taskset` where the
 * machine has it), driven from another. Requests per second suffer from whatever else the machine does; the processor time
 * that the server took per request (from /proc, on Linux) suffers less.
 */
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { load, median } from './load.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 7);
const DURATION_MS = Number(process.env.BENCH_MS ?? 2_000);
const CONNECTIONS = Number(process.env.BENCH_CONNECTIONS ?? 32);
const PATHS = ['/api/campanhas/listar/', '/api/campanhas/1/'];

const here = dirname(fileURLToPath(import.meta.url));
const dataFolder = process.env.VAZAO_DATA ?? join(here, '..', '.vazao', 'bench');
const cores = availableParallelism();
const canPin = spawnSync('taskset', ['--version']).status === 0 && cores > 1;
if (canPin) spawnSync('taskset', ['-cp', '1', String(process.pid)]);
const children: ChildProcess[] = [];
const pids = new Map<number, number>();

try {
  const ours = await start(join(here, '../packages/vazao/src/cli/main.ts'), ['dev', 'conectades'], 8_481, {
    LOG_LEVEL: 'silent',
  });
  const databaseUrl = (await readFile(join(dataFolder, 'conectades', 'url'), 'utf8')).trim();
  const uncached = await start(join(here, 'hit-servers.ts'), ['uncached', '8482', databaseUrl], 8_482);
  console.log(
    `${cpus()[0]?.model.trim()}, ${cores} cores, Node ${process.versions.node}; ${ROUNDS} rounds of ${DURATION_MS} ms, ${CONNECTIONS} connections${canPin ? ', servers on core 0, generator on core 1' : ''}`,
  );
  let barePort = 8_483;
  for (const path of PATHS) {
    await fetch(`http://127.0.0.1:${ours}${path}`);
    const answer = await fetch(`http://127.0.0.1:${ours}${path}`);
    if (!answer.headers.get('cache-status')?.includes('; hit'))
      throw new Error(`${path} is no hit: ${answer.headers.get('cache-status')}`);
    const body = await answer.text();
    const fields = [...answer.headers].filter(([name]) => !['connection', 'date', 'keep-alive'].includes(name)).flat();
    const bare = await start(
      join(here, 'hit-servers.ts'),
      ['bare', String(barePort), JSON.stringify({ fields, body })],
      barePort++,
    );
    const rates: Record<string, number[]> = { bare: [], hit: [], uncached: [], notModified: [] };
    const p99: Record<string, number[]> = { bare: [], hit: [], uncached: [], notModified: [] };
    const cpu: Record<string, number[]> = { bare: [], hit: [], uncached: [], notModified: [] };
    const etag = answer.headers.get('etag') as string;
    const candidates = [
      { name: 'bare', port: bare },
      { name: 'hit', port: ours },
      { name: 'notModified', port: ours, headers: { 'if-none-match': etag } },
      { name: 'uncached', port: uncached },
    ];
    for (let round = -1; round < ROUNDS; round++) {
      for (const { name, port, headers } of round % 2 ? candidates : candidates.toReversed()) {
        const before = cpuSeconds(port);
        const result = await load({ port, path, headers, connections: CONNECTIONS, durationMs: DURATION_MS });
        if (round < 0) continue; // warm-up
        rates[name]?.push(result.perSecond);
        p99[name]?.push(result.p99);
        cpu[name]?.push(((cpuSeconds(port) - before) * 1e6) / result.requests);
      }
    }
    const ratios = rates.hit?.map((rate, round) => rate / (rates.bare?.[round] as number)) ?? [];
    const gains = rates.hit?.map((rate, round) => rate / (rates.uncached?.[round] as number)) ?? [];
    console.log(`\n${path} (${body.length} bytes)`);
    for (const { name } of candidates) {
      console.log(
        `  ${name.padEnd(12)} ${median(rates[name] ?? [])
          .toFixed(0)
          .padStart(
            7,
          )} requests/s   p99 ${median(p99[name] ?? []).toFixed(2)} ms   ${median(cpu[name] ?? []).toFixed(1)} µs of processor per request`,
      );
    }
    console.log(
      `  hit ÷ bare     ${median(ratios).toFixed(3)} (${Math.min(...ratios).toFixed(3)}–${Math.max(...ratios).toFixed(3)})`,
    );
    const costs = cpu.bare?.map((cost, round) => cost / (cpu.hit?.[round] as number)) ?? [];
    console.log(
      `  the same by processor time ${median(costs).toFixed(3)} (${Math.min(...costs).toFixed(3)}–${Math.max(...costs).toFixed(3)})`,
    );
    console.log(`  hit ÷ uncached ${median(gains).toFixed(1)}`);
  }
} finally {
  for (const child of children) child.kill('SIGTERM');
}

async function start(
  file: string,
  words: string[],
  port: number,
  environment: Record<string, string> = {},
): Promise<number> {
  const child = fork(file, words, {
    env: { ...process.env, PORT: String(port), VAZAO_DATA: dataFolder, ...environment },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  if (canPin) spawnSync('taskset', ['-acp', '0', String(child.pid)]);
  children.push(child);
  pids.set(port, child.pid as number);
  const deadline = Date.now() + 120_000;
  while (Date.now() < deadline && child.exitCode === null) {
    const answers = await fetch(`http://127.0.0.1:${port}/health`).then(
      () => true,
      () => false,
    );
    if (answers) return port;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${file} ${words[0]} did not start`);
}

/** User and system time of the server so far; NaN where there is no /proc. */
function cpuSeconds(port: number): number {
  try {
    const fields =
      readFileSync(`/proc/${pids.get(port)}/stat`, 'utf8')
        .split(') ')[1]
        ?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100; // in ticks of 10 ms
  } catch {
    return Number.NaN;
  }
}
