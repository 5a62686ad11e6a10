/** What the generator itself costs: requests per core, memory of many users, `node:net` beside `undici`. */
import { Client } from 'undici';
import { Connection } from '../../packages/vazao/src/lab/engine/connection.ts';
import { runPlan } from '../../packages/vazao/src/lab/plans/run-plan.ts';
import type { RunResult } from '../../packages/vazao/src/lab/run-result.ts';
import { median, printTable, startServer, writeOneStep } from './start-server.ts';

const MB = 2 ** 20;
const PER_CORE_GOAL = 15_000;
const USERS = 10_000;
const MEMORY_GOAL_MB = 400;

/** False: too few requests per core, or too much memory for many users. */
export async function measureCapacity(): Promise<boolean> {
  await using server = await startServer(['raw']);
  using scenario = writeOneStep();
  const base = { module: scenario.path, target: server.origin, plan: 'load', warmUpS: 2 } as const;
  const rows: string[][] = [
    [
      'load',
      'requests/s',
      'CPU of the generator, cores',
      'requests/s per core',
      'busy',
      'memory',
      'p50',
      'p99',
      'void',
    ],
  ];
  const row = (name: string, run: RunResult, cpuCores: number): string[] => {
    const { throughput, latency } = run.total;
    const { eventLoopUtilisation, rssMaxBytes } = run.generator;
    return [
      name,
      throughput.toFixed(0),
      cpuCores.toFixed(2),
      (throughput / cpuCores).toFixed(0),
      `${(eventLoopUtilisation * 100).toFixed(0)} %`,
      `${(rssMaxBytes / MB).toFixed(0)} MB`,
      `${latency.p50Ms.toFixed(2)} ms`,
      `${latency.p99Ms.toFixed(2)} ms`,
      run.generator.void ? 'yes' : 'no',
    ];
  };
  const measure = async (name: string, load: Partial<Parameters<typeof runPlan>[0]>): Promise<Measured> => {
    // All threads of this process, those that wake and those that merge among them; from the first measured second to the last.
    const spent: { atMs: number; cpuMs: number }[] = [];
    const run = await runPlan({
      ...base,
      durationS: 10,
      ...load,
      onProgress: ({ second }) => {
        const { user, system } = process.cpuUsage();
        if (second.phase === 'load') spent.push({ atMs: performance.now(), cpuMs: (user + system) / 1_000 });
      },
    });
    const [first, last] = [spent[0], spent.at(-1)];
    const cpuCores = first && last ? (last.cpuMs - first.cpuMs) / (last.atMs - first.atMs) : Number.NaN;
    rows.push(row(name, run, cpuCores));
    return { perCore: run.total.throughput / cpuCores, memoryMb: run.generator.rssMaxBytes / MB };
  };
  const { perCore } = await measure('64 users who do not think, 1 thread', { users: 64, thinkMs: 0 });
  await measure('15,000/s at random, 1 thread', { rate: 15_000, connectionsMax: 200 });
  await measure('5,000/s at random, 1 thread', { rate: 5_000, connectionsMax: 200 });
  const { memoryMb } = await measure(`${USERS.toLocaleString('en')} users who think 5 s, 1 thread`, {
    users: USERS,
    thinkMs: 5_000,
    durationS: 20,
    warmUpS: 10,
  });
  printTable(rows);
  const goals = [
    `at least ${PER_CORE_GOAL.toLocaleString('en')} requests/s per core (${perCore.toFixed(0)}: ${perCore >= PER_CORE_GOAL ? 'met' : '**missed**'})`,
    `${USERS.toLocaleString('en')} users in at most ${MEMORY_GOAL_MB} MB (${memoryMb.toFixed(0)}: ${memoryMb <= MEMORY_GOAL_MB ? 'met' : '**missed**'})`,
  ];
  console.log(`Goals: ${goals.join(', ')}.\n`);
  await compareWithUndici(server.origin);
  return perCore >= PER_CORE_GOAL && memoryMb <= MEMORY_GOAL_MB;
}

interface Measured {
  readonly perCore: number;
  readonly memoryMb: number;
}

const CONNECTIONS = 64;
const ROUND_MS = 3_000;
const ROUNDS = 5;

/** The same loop on both, in this process, in turns: requests per second of its CPU time. */
async function compareWithUndici(origin: string): Promise<void> {
  const url = new URL(origin);
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(await perCpuSecond((endsAt) => driveSockets(url, endsAt)));
    theirs.push(await perCpuSecond((endsAt) => driveUndici(origin, endsAt)));
  }
  printTable([
    ['client', 'requests per second of CPU', 'ratio'],
    ['`node:net` and our parser', median(ours).toFixed(0), (median(ours) / median(theirs)).toFixed(2)],
    ['`undici` (Client.dispatch, bodies dropped)', median(theirs).toFixed(0), '1'],
  ]);
}

async function perCpuSecond(drive: (endsAt: number) => Promise<number>): Promise<number> {
  const before = process.cpuUsage();
  const requests = await drive(performance.now() + ROUND_MS);
  const { user, system } = process.cpuUsage(before);
  return requests / ((user + system) / 1e6);
}

async function driveSockets(url: URL, endsAt: number): Promise<number> {
  const buffer = Buffer.allocUnsafeSlow(256 * 1024);
  const request = { method: 'GET', bytes: `GET / HTTP/1.1\r\nhost: ${url.host}\r\n\r\n`, keepsBody: false };
  let requests = 0;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, () => {
      const done = Promise.withResolvers<void>();
      const options = { host: url.hostname, port: Number(url.port), bodyBytesMax: 1e6, buffer };
      const connection = new Connection(options, () => done.resolve());
      const send = (): void =>
        connection.send(request, () => {
          requests += 1;
          if (performance.now() < endsAt && connection.isOpen) send();
          else {
            connection.close();
            done.resolve();
          }
        });
      send();
      return done.promise;
    }),
  );
  return requests;
}

async function driveUndici(origin: string, endsAt: number): Promise<number> {
  let requests = 0;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const client = new Client(origin);
      while (performance.now() < endsAt) {
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        client.dispatch(
          { path: '/', method: 'GET' },
          {
            onRequestStart() {},
            onResponseStart() {},
            onResponseData() {},
            onResponseEnd: () => resolve(),
            onResponseError: (_controller, error) => reject(error),
          },
        );
        await promise;
        requests += 1;
      }
      await client.close();
    }),
  );
  return requests;
}
