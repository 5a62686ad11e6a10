/** What three other generators say of a server. Debian has them as `wrk`, `nghttp2-client` and `python3-locust`. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Shown {
  /** Per second. */
  readonly throughput: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Each of Locust's users asks so often, in requests per second: a user waits for the answer, which takes a second at most. */
const LOCUST_USER_RATE = 0.5;
/** Until all users are there, evenly over the time between two requests of one. */
const LOCUST_START_S = 1 / LOCUST_USER_RATE;

/** The Debian package is the value. */
export const GENERATORS = { wrk: 'wrk', h2load: 'nghttp2-client', locust: 'python3-locust' } as const;

export function hasGenerator(program: keyof typeof GENERATORS): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

/** As fast as its connections are answered. */
export async function runWrk(origin: string, connections: number, seconds: number): Promise<Shown> {
  const { stdout } = await run('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', `${origin}/`]);
  const percentile = (which: string): number => {
    const [, value, unit] = new RegExp(`^\\s+${which}%\\s+([\\d.]+)(us|ms|s)\\s*$`, 'm').exec(stdout) ?? [];
    return Number(value) * { us: 0.001, ms: 1, s: 1_000 }[unit as 'us' | 'ms' | 's'];
  };
  const [, throughput] = /^Requests\/sec:\s+([\d.]+)/m.exec(stdout) ?? [];
  return { throughput: Number(throughput), p50Ms: percentile('50'), p99Ms: percentile('99') };
}

/** At a rate, evenly. */
export async function runH2load(origin: string, connections: number, rate: number, seconds: number): Promise<Shown> {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-h2load-'));
  try {
    const log = join(folder, 'log');
    const words = [
      '--h1',
      '-t1',
      `-c${connections}`,
      `--rps=${rate / connections}`,
      `--duration=${seconds}`,
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

/** At a rate. Locust rounds what it shows, so its users write their times down. */
export async function runLocust(origin: string, rate: number, seconds: number): Promise<Shown> {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-locust-'));
  try {
    const users = String(rate / LOCUST_USER_RATE);
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
    wait_time = constant_throughput(${LOCUST_USER_RATE})
    @task
    def get(self): self.client.get("/")
`,
    );
    const lasts = `${seconds + LOCUST_START_S + 1}s`;
    const words = ['-f', file, '--headless', '-u', users, '-r', String(rate), '-t', lasts, '-H', origin];
    await run('locust', [...words, '--only-summary', '--loglevel', 'ERROR'], { cwd: folder });
    const lines = readFileSync(log, 'utf8')
      .split('\n')
      .map((line) => line.split(' ').map(Number));
    const from = Math.min(...lines.map(([start = 0]) => start)) + LOCUST_START_S + 0.5;
    // While all users are there.
    const measured = lines.filter(([start = 0]) => start >= from && start < from + seconds - 1);
    const times = measured.map(([, ms = 0]) => ms).sort((a, b) => a - b);
    return { throughput: measured.length / (seconds - 1), p50Ms: at(times, 0.5), p99Ms: at(times, 0.99) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function at(sorted: readonly number[], quantile: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? Number.NaN;
}
