/** Runs of the lab as they would come from servers of known behaviour, without running any. */
import { build, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import type { Figures, LatencySummary, RunResult, SecondFigures } from '../lab/run-result.ts';
import { createRandom } from '../torture/random.ts';

export interface ExampleServer {
  readonly seed?: number;
  readonly seconds?: number;
  /** Requests a second that are answered. */
  readonly perS?: number;
  /** Requests a second that the schedule asks for. @defaultValue 500 */
  readonly offeredPerS?: number;
  readonly p50Ms?: number;
  /** Share of requests that time out after ten seconds. */
  readonly timeouts?: number;
  /** Share of answers from the cache. @defaultValue 0.9 */
  readonly hits?: number;
  readonly architecture?: string;
  readonly name?: string;
}

/** An open-model load whose latencies are log-normal with σ = 0.5. */
export function exampleRun(server: ExampleServer = {}): RunResult {
  const { seed = 1, seconds = 30, perS = 500, p50Ms = 8, timeouts = 0, hits = 0.9 } = server;
  const { offeredPerS = 500, architecture, name = 'Conectades' } = server;
  const random = createRandom(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const draw = (): number => p50Ms * Math.exp(0.5 * normal());
  const all: number[] = [];
  const perSecond = Array.from({ length: seconds }, (_, atS): SecondFigures => {
    const completed = Math.max(1, Math.round(perS + 0.05 * perS * normal()));
    const timeout = Math.round((completed * timeouts) / (1 - timeouts));
    const latencies = Array.from({ length: Math.min(completed, 200) }, draw);
    all.push(...latencies);
    return {
      ...counts(completed, timeout, hits),
      atS,
      phase: 'load',
      latency: summary(latencies),
      inFlight: Math.round((perS * p50Ms) / 1_000),
      waiting: 0,
    };
  });
  const completed = perSecond.reduce((sum, second) => sum + second.completed, 0);
  const histogram = encode(all);
  const total: Figures = {
    ...counts(completed, Math.round((completed * timeouts) / (1 - timeouts)), hits),
    durationS: seconds,
    throughput: completed / seconds,
    latency: summary(all),
    histogram,
    service: summary(all),
    serviceHistogram: histogram,
    queriesPerRequest: 0.4,
  };
  const samples = Array.from({ length: 400 }, (_, index) => {
    const latencyMs = draw();
    const stages = {
      cache: 0.1,
      handler: latencyMs * 0.8,
      queries: latencyMs * 0.5,
      pool: index % 100 === 0 ? latencyMs * 0.2 : 0,
    };
    return {
      atS: index / 20,
      step: 'list',
      latencyMs,
      serviceMs: latencyMs * 0.98,
      firstByteMs: latencyMs * 0.95,
      status: 200,
      stages,
      statements: { 'select campanhas': latencyMs * 0.4, 'select doacoes': latencyMs * 0.1 },
    };
  });
  return {
    format: 'vazao-lab-run/1',
    scenario: { name, steps: ['list', 'one'] },
    target: 'http://127.0.0.1:3000',
    architecture,
    plan: { kind: 'load', model: 'open' },
    seed,
    startedAt: '2026-11-22T08:00:00.000Z',
    durationS: seconds,
    ended: 'complete',
    machine: {
      cpu: 'Example CPU',
      cores: 2,
      memoryBytes: 8 * 1024 ** 3,
      system: 'Linux',
      node: '26.10.0',
      loadAverage: 0.2,
    },
    generator: {
      threads: 1,
      connections: 64,
      timelyShare: 1,
      lateness: summary([0.1]),
      eventLoopDelayP99Ms: 1,
      eventLoopUtilisation: 0.3,
      cpuCores: 0.3,
      rssMaxBytes: 90 * 1024 ** 2,
    },
    total,
    phases: [
      {
        ...total,
        name: 'load',
        fromS: 0,
        toS: seconds,
        warmUp: false,
        served: total.succeeded,
        offeredRate: offeredPerS,
      },
    ],
    steps: [{ ...total, name: 'list' }],
    seconds: perSecond,
    samples,
    slowest: [...samples].sort((a, b) => b.latencyMs - a.latencyMs).slice(0, 20),
    server: perSecond.map(({ atS }) => ({
      atS,
      cpuCores: 0.0004 * perS + 0.01 * random.next(),
      rssBytes: (200 + 5 * random.next()) * 1024 ** 2,
      hitRate: 0.9,
      stages: { handler: p50Ms * 0.8, queries: p50Ms * 0.5 },
    })),
    criteria: [
      {
        metric: 'throughput',
        min: 500,
        value: completed / seconds,
        outcome: completed / seconds >= 500 ? 'passed' : 'failed',
      },
      { metric: 'rssMax', max: 3 * 1024 ** 3, outcome: 'unknown' },
    ],
    findings: {},
    verdict: 'failed',
  };
}

function counts(
  completed: number,
  timeout: number,
  hits: number,
): Omit<SecondFigures, 'atS' | 'phase' | 'latency' | 'inFlight' | 'waiting'> {
  return {
    offered: completed + timeout,
    sent: completed + timeout,
    unsent: 0,
    completed,
    succeeded: completed,
    errors: { timeout, connect: 0, reset: 0, malformed: 0, status: 0, check: 0 },
    bytesReceived: completed * 2_000,
    cacheHits: Math.round(completed * hits),
    cacheMisses: completed - Math.round(completed * hits),
  };
}

function summary(latencies: readonly number[]): LatencySummary {
  const sorted = [...latencies].sort((a, b) => a - b);
  const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
  const sum = sorted.reduce((total, value) => total + value, 0);
  return {
    count: sorted.length,
    minMs: at(0),
    meanMs: sum / Math.max(1, sorted.length),
    p50Ms: at(0.5),
    p90Ms: at(0.9),
    p95Ms: at(0.95),
    p99Ms: at(0.99),
    p999Ms: at(0.999),
    maxMs: at(1),
  };
}

function encode(latencies: readonly number[]): string {
  const histogram = build({ highestTrackableValue: 3_600_000_000, numberOfSignificantValueDigits: 3 });
  for (const ms of latencies) histogram.recordValue(Math.max(1, Math.round(ms * 1_000)));
  return encodeIntoCompressedBase64(histogram);
}
