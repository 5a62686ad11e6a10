/** The same load by this generator and by three others, in turns; and a stall whose percentiles can be computed. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runPlan } from '../../packages/vazao/src/lab/plans/run-plan.ts';
import { median, printTable, startServer, writeOneStep } from './start-server.ts';

const run = promisify(execFile);
const ROUNDS = 3;
const SECONDS = 10;
const CONNECTIONS = 20;
const RATE = 400;

interface Shown {
  /** Per second. */
  readonly throughput: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export async function measureHonesty(): Promise<void> {
  await compareWithOthers();
  await compareWithTheory();
}

/** `wrk` sends as fast as its connections are answered; h2load and Locust keep a rate. Each is compared with ours of its kind. */
async function compareWithOthers(): Promise<void> {
  await using server = await startServer(['delay']);
  using scenario = writeOneStep();
  const base = { module: scenario.path, target: server.origin, plan: 'load', durationS: SECONDS, warmUpS: 1 } as const;
  const ours = async (load: { rate: number; timing: 'even' } | { users: number; thinkMs: number }): Promise<Shown> => {
    const result = await runPlan({ ...base, ...load });
    if (result.generator.void) console.log(`Void: ${result.generator.void.join(' ')}\n`);
    const { p50Ms, p99Ms } = result.total.latency;
    return { throughput: result.total.throughput, p50Ms, p99Ms };
  };
  const closed = (): Promise<Shown> => ours({ users: CONNECTIONS, thinkMs: 0 });
  const open = (): Promise<Shown> => ours({ rate: RATE, timing: 'even' });
  const pairs: [name: string, theirs: () => Promise<Shown>, ours: () => Promise<Shown>][] = [
    [`wrk, ${CONNECTIONS} connections`, () => runWrk(server.origin), closed],
    [`h2load --h1, ${RATE}/s`, () => runH2load(server.origin), open],
    [`Locust, ${RATE}/s`, () => runLocust(server.origin), open],
  ];
  const rows = [['beside', 'throughput', 'p50', 'p99', 'ratio of throughput', 'of p50', 'of p99', 'within 5 %, 10 %']];
  for (const [name, theirs, own] of pairs) {
    const shown: [ours: Shown, theirs: Shown][] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const first = round % 2 === 0 ? await own() : undefined;
      const other = await theirs();
      shown.push([first ?? (await own()), other]);
    }
    const middle = (pick: (shown: Shown) => number, whose: 0 | 1): number =>
      median(shown.map((pair) => pick(pair[whose])));
    const figures = [(s: Shown) => s.throughput, (s: Shown) => s.p50Ms, (s: Shown) => s.p99Ms];
    const [throughput = 0, p50 = 0, p99 = 0] = figures.map((pick) => middle(pick, 0) / middle(pick, 1));
    const agrees = Math.abs(throughput - 1) <= 0.05 && Math.abs(p50 - 1) <= 0.1 && Math.abs(p99 - 1) <= 0.1;
    const both = (pick: (shown: Shown) => number, digits: number): string =>
      `${middle(pick, 0).toFixed(digits)} / ${middle(pick, 1).toFixed(digits)}`;
    rows.push([
      name,
      `${both(({ throughput: value }) => value, 1)} per s`,
      `${both(({ p50Ms }) => p50Ms, 2)} ms`,
      `${both(({ p99Ms }) => p99Ms, 2)} ms`,
      throughput.toFixed(3),
      p50.toFixed(3),
      p99.toFixed(3),
      agrees ? 'yes' : 'NO',
    ]);
  }
  console.log(
    `Ours / theirs; a server that takes 20 ms, every fiftieth time 100 ms; median of ${ROUNDS} rounds of ${SECONDS} s.\n`,
  );
  printTable(rows);
}

/** 200 ms every 10 s: a fiftieth of the arrivals waits from 0 to 200 ms. */
async function compareWithTheory(): Promise<void> {
  const analytic = (quantile: number): number => Math.max(0, 200 * (1 - (1 - quantile) / 0.02));
  await using server = await startServer(['stall']);
  using scenario = writeOneStep();
  const base = { module: scenario.path, target: server.origin, plan: 'load', durationS: 40, warmUpS: 0 } as const;
  const open = (await runPlan({ ...base, rate: 500, timing: 'even' })).total.latency;
  const closed = (await runPlan({ ...base, users: 4, thinkMs: 0 })).total.latency;
  const wrk = await runWrk(server.origin, 40);
  console.log('A server that stands still for 200 ms every 10 s.\n');
  printTable([
    ['', 'p50', 'p99', 'p99.9'],
    ['analytic', '0', `${analytic(0.99).toFixed(0)} ms`, `${analytic(0.999).toFixed(0)} ms`],
    ['open model, 500/s', `${open.p50Ms.toFixed(2)} ms`, `${open.p99Ms.toFixed(1)} ms`, `${open.p999Ms.toFixed(1)} ms`],
    [
      'closed, 4 users',
      `${closed.p50Ms.toFixed(2)} ms`,
      `${closed.p99Ms.toFixed(1)} ms`,
      `${closed.p999Ms.toFixed(1)} ms`,
    ],
    [`wrk, ${CONNECTIONS} connections`, `${wrk.p50Ms.toFixed(2)} ms`, `${wrk.p99Ms.toFixed(1)} ms`, '–'],
  ]);
}

async function runWrk(origin: string, seconds: number = SECONDS): Promise<Shown> {
  const { stdout } = await run('wrk', ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '--latency', `${origin}/`]);
  const percentile = (which: string): number => {
    const [, value, unit] = new RegExp(`^\\s+${which}%\\s+([\\d.]+)(us|ms|s)$`, 'm').exec(stdout) ?? [];
    return Number(value) * { us: 0.001, ms: 1, s: 1_000 }[unit as 'us' | 'ms' | 's'];
  };
  const [, throughput] = /^Requests\/sec:\s+([\d.]+)/m.exec(stdout) ?? [];
  return { throughput: Number(throughput), p50Ms: percentile('50'), p99Ms: percentile('99') };
}

async function runH2load(origin: string): Promise<Shown> {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-h2load-'));
  try {
    const log = join(folder, 'log');
    const rps = String(RATE / CONNECTIONS);
    const words = [
      '--h1',
      '-t1',
      `-c${CONNECTIONS}`,
      `--rps=${rps}`,
      `--duration=${SECONDS}`,
      '--warm-up-time=1',
      `--log-file=${log}`,
    ];
    await run('h2load', [...words, `${origin}/`]);
    const lines = readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split('\t').map(Number));
    const starts = lines.map(([at = 0]) => at);
    const times = lines.map(([, , us = 0]) => us / 1_000).sort((a, b) => a - b);
    const spanS = (Math.max(...starts) - Math.min(...starts)) / 1e6;
    return { throughput: lines.length / spanS, p50Ms: at(times, 0.5), p99Ms: at(times, 0.99) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Locust rounds what it shows, so its users write their times down. */
async function runLocust(origin: string): Promise<Shown> {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-locust-'));
  try {
    const users = RATE / 10;
    const file = join(folder, 'locustfile.py');
    const log = join(folder, 'times');
    writeFileSync(
      file,
      `from locust import FastHttpUser, constant_throughput, events, task
times = []
@events.request.add_listener
def note(response_time, start_time, **_): times.append((start_time, response_time))
@events.quitting.add_listener
def write(**_): open(${JSON.stringify(log)}, "w").write("\\n".join("%.6f %.6f" % pair for pair in times))
class Visitor(FastHttpUser):
    wait_time = constant_throughput(10)
    @task
    def get(self): self.client.get("/")
`,
    );
    const words = [
      '-f',
      file,
      '--headless',
      '-u',
      String(users),
      '-r',
      String(users),
      '-t',
      `${SECONDS + 2}s`,
      '-H',
      origin,
    ];
    await run('locust', [...words, '--only-summary', '--loglevel', 'ERROR'], { cwd: folder });
    const lines = readFileSync(log, 'utf8')
      .split('\n')
      .map((line) => line.split(' ').map(Number));
    const from = Math.min(...lines.map(([start = 0]) => start)) + 1.5;
    // While all users are there.
    const measured = lines.filter(([start = 0]) => start >= from && start < from + SECONDS - 1);
    const times = measured.map(([, ms = 0]) => ms).sort((a, b) => a - b);
    return { throughput: measured.length / (SECONDS - 1), p50Ms: at(times, 0.5), p99Ms: at(times, 0.99) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function at(sorted: readonly number[], quantile: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? Number.NaN;
}
