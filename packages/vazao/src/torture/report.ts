/** The report of a run, for people and for programs. */
import type { Account } from './account.ts';
import type { FaultKind } from './fault.ts';
import type { FaultRecord } from './faults.ts';
import type { Goal } from './goals.ts';
import type { Violation } from './history.ts';
import { PARTS, type Part } from './processor-time.ts';
import type { RestFigures } from './rest.ts';
import { AFTER_FAULT_MS, CLIENTS, type TortureOutcome } from './torture.ts';
import { add, BLOCKED_MS, type Counts, type Staleness } from './traffic.ts';

export interface TortureReport {
  readonly seed: number;
  readonly seconds: number;
  readonly reads: number;
  readonly readsPerSecond: number;
  readonly hitRate: number;
  readonly readsByKind: Readonly<Record<string, number>>;
  /** Of the reads: answered with 304. */
  readonly notModified: number;
  /** Of all clients together: how long they were held up, and how long they were there. */
  readonly clientSeconds: { readonly blocked: number; readonly all: number };
  /** Seconds of processor time of each part. */
  readonly processorSeconds: Readonly<Record<Part, number>>;
  readonly notStored: Readonly<Record<string, number>>;
  readonly failures: Readonly<Record<string, number>>;
  readonly writes: Readonly<Record<string, { readonly acknowledged: number; readonly unknown: number }>>;
  readonly unknownBecause: Readonly<Record<string, number>>;
  readonly stalenessMs: { readonly withoutFaults: Percentiles; readonly duringFaults: Percentiles };
  readonly faults: readonly FaultRow[];
  readonly notAvailable: Readonly<Record<string, string>>;
  readonly atRest: RestFigures | undefined;
  readonly violations: readonly Pick<Violation, 'kind' | 'what' | 'atMs'>[];
  readonly accounts: readonly Account[];
  /** Undefined for a run that is not measured by them. */
  readonly goals?: readonly Goal[] | undefined;
}

export interface Percentiles {
  readonly reads: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface Phase {
  readonly readsPerSecond: number;
  /** From 0 to 1. */
  readonly hitRate: number;
  readonly errors: number;
  readonly timeouts: number;
}

export interface FaultRow {
  readonly kind: string;
  readonly count: number;
  readonly meanMs: number;
  readonly before: Phase;
  readonly during: Phase;
  readonly after: Phase;
}

/** @param missing - kinds that were asked for, and the part that each lacks */
export function makeReport(outcome: TortureOutcome, missing: ReadonlyMap<FaultKind, string>): TortureReport {
  const { startedAtMs, endedAtMs, traffic, writes, checker, faults } = outcome;
  const seconds = (endedAtMs - startedAtMs) / 1_000;
  const names = new Set([...writes.acknowledged.keys(), ...writes.lost.keys()]);
  const kinds = [...new Set(faults.records.map(({ kind }) => kind))].sort();
  return {
    seed: outcome.seed,
    seconds,
    reads: traffic.reads,
    readsPerSecond: traffic.reads / seconds,
    hitRate: traffic.byKind.hit / Math.max(1, traffic.reads),
    readsByKind: traffic.byKind,
    notModified: traffic.notModified,
    clientSeconds: { blocked: traffic.blockedMs / 1_000, all: CLIENTS * seconds },
    processorSeconds: outcome.processorTime.seconds,
    notStored: Object.fromEntries(traffic.notStored),
    failures: Object.fromEntries(traffic.failures),
    writes: Object.fromEntries(
      [...names].map((name) => [
        name,
        { acknowledged: writes.acknowledged.get(name) ?? 0, unknown: writes.lost.get(name) ?? 0 },
      ]),
    ),
    unknownBecause: Object.fromEntries(writes.reasons),
    stalenessMs: {
      withoutFaults: percentiles(outcome.stalenessQuiet),
      duringFaults: percentiles(outcome.stalenessFaulty),
    },
    faults: kinds.map((kind) =>
      describeKind(
        faults.records.filter((record) => record.kind === kind),
        outcome,
      ),
    ),
    notAvailable: Object.fromEntries([...missing].map(([{ name }, part]) => [name, part])),
    atRest: outcome.rest,
    violations: checker.violations.map(({ kind, what, atMs }) => ({ kind, what, atMs: atMs - startedAtMs })),
    accounts: outcome.accounts,
  };
}

function percentiles(staleness: Staleness): Percentiles {
  const at = (share: number): number => staleness.quantileMs(share);
  return { reads: staleness.count, p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: staleness.maxMs };
}

function describeKind(records: readonly FaultRecord[], { traffic, endedAtMs }: TortureOutcome): FaultRow {
  const sums = [empty(), empty(), empty()] as const;
  const lengthsMs = [0, 0, 0];
  for (const { startedAtMs, endedAtMs: faultEnd } of records) {
    const end = Math.min(faultEnd, endedAtMs);
    const spans = [
      [startedAtMs - AFTER_FAULT_MS, startedAtMs],
      [startedAtMs, end],
      [end, end + AFTER_FAULT_MS],
    ] as const;
    for (const [index, [from, to]] of spans.entries()) {
      add(sums[index] as Counts, traffic.between(from, to));
      // Slots are counted whole.
      lengthsMs[index] = (lengthsMs[index] as number) + (Math.floor(to / 100) - Math.floor(from / 100) + 1) * 100;
    }
  }
  const phase = (index: number): Phase => {
    const { reads, hits, errors, timeouts } = sums[index] as Counts;
    const seconds = (lengthsMs[index] as number) / 1_000;
    return { readsPerSecond: reads / Math.max(0.1, seconds), hitRate: hits / Math.max(1, reads), errors, timeouts };
  };
  const totalMs = records.reduce((sum, record) => sum + Math.min(record.endedAtMs, endedAtMs) - record.startedAtMs, 0);
  return {
    kind: records[0]?.kind ?? '',
    count: records.length,
    meanMs: totalMs / Math.max(1, records.length),
    before: phase(0),
    during: phase(1),
    after: phase(2),
  };
}

function empty(): Counts {
  return { reads: 0, hits: 0, errors: 0, timeouts: 0 };
}

/** For people; the violations themselves were told when they were found. */
export function formatReport(report: TortureReport): string {
  const lines = [
    `seed ${report.seed}: ${whole(report.reads)} reads in ${report.seconds.toFixed(0)} s (${whole(report.readsPerSecond)}/s), ${percent(report.hitRate)} hits`,
    `answers   ${list(report.readsByKind)}; ${whole(report.notModified)} of them with status 304`,
  ];
  if (Object.keys(report.notStored).length > 0)
    lines.push(`          not stored, not cached: ${list(report.notStored)}`);
  if (Object.keys(report.failures).length > 0) lines.push(`failures  ${list(report.failures)}`);
  lines.push(...formatLimits(report));
  lines.push(
    'writes    acknowledged, and with an unknown outcome that was then found out',
    ...Object.entries(report.writes).map(
      ([name, { acknowledged, unknown }]) =>
        `  ${name.padEnd(34)}${whole(acknowledged).padStart(8)}${whole(unknown).padStart(8)}`,
    ),
    'staleness as a reader without a token sees it: when it asked, for how long had the answer been out of date',
    ...formatStaleness('without faults', report.stalenessMs.withoutFaults),
    ...formatStaleness('during faults', report.stalenessMs.duringFaults),
  );
  if (report.faults.length > 0) {
    lines.push(
      'faults    others overlap; errors and time-outs count requests',
      `  ${'kind'.padEnd(20)}${'times'.padStart(6)}${'mean'.padStart(9)}   reads/s before, during, after   hits before, during, after   errors, time-outs`,
      ...report.faults.map(formatFault),
    );
  }
  for (const [name, part] of Object.entries(report.notAvailable))
    lines.push(`  ${name.padEnd(20)} not available: ${part}`);
  if (report.atRest) {
    const { workers, answers, fromRedis } = report.atRest;
    lines.push(
      `at rest   ${whole(answers)} answers of ${workers} processes compared with the application without a cache, ${whole(fromRedis)} of them from Redis`,
    );
  }
  const byKind: Record<string, number> = {};
  for (const { kind } of report.violations) byKind[kind] = (byKind[kind] ?? 0) + 1;
  lines.push(`violations ${report.violations.length}${report.violations.length > 0 ? `: ${list(byKind)}` : ''}`);
  return `${lines.join('\n')}\n`;
}

/** What kept the clients from reading more. */
function formatLimits({ clientSeconds: { blocked, all }, processorSeconds, seconds }: TortureReport): string[] {
  const total = PARTS.reduce((sum, part) => sum + processorSeconds[part], 0);
  const parts = PARTS.map((part) => `${part} ${processorSeconds[part].toFixed(1)}`).join(', ');
  return [
    `clients   ${whole(blocked)} of ${whole(all)} client-seconds blocked (answers after more than ${BLOCKED_MS} ms)`,
    `processor ${total.toFixed(1)} s, ${(total / seconds).toFixed(2)} at a time: ${parts}`,
  ];
}

function formatStaleness(name: string, { reads, p50, p90, p99, p999, max }: Percentiles): string[] {
  if (reads === 0) return [];
  const ms = (value: number): string => `${value.toFixed(2)} ms`;
  return [
    `  ${name.padEnd(15)} p50 ${ms(p50)}, p90 ${ms(p90)}, p99 ${ms(p99)}, p99.9 ${ms(p999)}, max ${ms(max)} (${whole(reads)} reads)`,
  ];
}

function formatFault({ kind, count, meanMs, before, during, after }: FaultRow): string {
  const phases = [before, during, after];
  const rates = phases.map(({ readsPerSecond }) => whole(readsPerSecond).padStart(7)).join('');
  const hits = phases.map(({ hitRate }) => percent(hitRate).padStart(8)).join('');
  const failures = `${whole(during.errors)}, ${whole(during.timeouts)}`;
  return `  ${kind.padEnd(20)}${String(count).padStart(6)}${`${whole(meanMs)} ms`.padStart(9)}${rates.padStart(32)}${hits.padStart(30)}${failures.padStart(20)}`;
}

function list(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${whole(count)}`)
    .join(', ');
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
