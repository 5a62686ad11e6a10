/** The result of a run as a text for the terminal. */
import { describeCriterion, formatMetric } from '../lab/plans/criteria.ts';
import { type Finding, findingsOf } from '../lab/report/findings.ts';
import { whatHelps } from '../lab/report/what-helps.ts';
import { explainLatency } from '../lab/report/why-slow.ts';
import type { Figures, RunResult } from '../lab/run-result.ts';

export function formatRun(run: RunResult): string {
  const lines: string[] = [];
  const many = run.phases.filter(({ warmUp }) => !warmUp).length > 1;
  const rows: [name: string, figures: Figures][] = [
    ...(run.steps.length > 1 ? run.steps.map((step): [string, Figures] => [step.name, step]) : []),
    ...(many ? run.phases.filter(({ warmUp }) => !warmUp).map((phase): [string, Figures] => [phase.name, phase]) : []),
    ['all', run.total],
  ];
  lines.push(...formatTable([HEAD, ...rows.map(([name, figures]) => formatRow(name, figures))]), '');
  const { total, generator } = run;
  const failures = Object.entries({ ...total.errors, unsent: total.unsent }).filter(([, count]) => count > 0);
  if (failures.length > 0) lines.push(`failed     ${failures.map(([kind, count]) => `${kind} ${count}`).join(', ')}`);
  if (run.seconds.some(({ waiting }) => waiting > 0)) {
    lines.push(
      `waiting    p99 ${ms(total.service.p99Ms)} from the actual send: the rest was waiting for a free connection`,
    );
  }
  lines.push(...formatServer(run), ...findingsOf(run).map(formatFinding));
  for (const verdict of run.criteria) {
    const value = verdict.value === undefined ? 'not measured' : formatMetric(verdict.metric, verdict.value);
    const phase = verdict.phase === undefined ? '' : ` (${verdict.phase})`;
    lines.push(
      `${verdict.outcome === 'passed' ? 'passed    ' : 'FAILED    '} ${describeCriterion(verdict)}: ${value}${phase}`,
    );
  }
  lines.push(...formatWhy(run));
  const late = `${(generator.timelyShare * 100).toFixed(2)} % sent in time, busy ${(generator.eventLoopUtilisation * 100).toFixed(0)} %`;
  lines.push(
    `generator  ${generator.threads} thread${generator.threads > 1 ? 's' : ''}, ${generator.connections} connections, ${late}, seed ${run.seed}`,
  );
  for (const reason of generator.void ?? []) lines.push(`VOID       ${reason}`);
  const ended = { complete: '', criteria: '', saturated: '', generator: '', interrupted: ', interrupted' }[run.ended];
  lines.push(`verdict    ${run.verdict === 'none' ? 'none: there are no criteria' : run.verdict}${ended}`);
  return `${lines.join('\n')}\n`;
}

const HEAD = ['', 'requests', 'per second', 'failed', 'mean', 'p50', 'p95', 'p99', 'max', 'hits'];

function formatRow(name: string, figures: Figures): string[] {
  const { latency, cacheHits, cacheMisses, offered, succeeded } = figures;
  const told = cacheHits + cacheMisses;
  return [
    name,
    String(offered),
    figures.throughput.toFixed(1),
    offered === 0 ? '–' : `${(100 * (1 - succeeded / offered)).toFixed(2)} %`,
    ...[latency.meanMs, latency.p50Ms, latency.p95Ms, latency.p99Ms, latency.maxMs].map((value) =>
      latency.count === 0 ? '–' : ms(value),
    ),
    told === 0 ? '–' : `${((100 * cacheHits) / told).toFixed(1)} %`,
  ];
}

function formatServer({ server, total }: RunResult): string[] {
  const max = (values: (number | undefined)[]): number | undefined => {
    const known = values.filter((value) => value !== undefined);
    return known.length === 0 ? undefined : Math.max(...known);
  };
  const rss = max(server.map(({ rssBytes }) => rssBytes));
  const cpu = server.map(({ cpuCores }) => cpuCores).filter((cores) => cores !== undefined);
  const parts = [
    cpu.length > 0 && `CPU ${(cpu.reduce((sum, cores) => sum + cores, 0) / cpu.length).toFixed(2)} cores`,
    rss !== undefined && `memory up to ${(rss / 2 ** 20).toFixed(0)} MB`,
    total.queriesPerRequest !== undefined && `${total.queriesPerRequest.toFixed(2)} queries a request`,
  ].filter(Boolean);
  return parts.length === 0 ? [] : [`server     ${parts.join(', ')}`];
}

/** Of the slowest hundredth, where the server tells its stages. */
function formatWhy(run: RunResult): string[] {
  if (!run.samples.some(({ stages }) => stages !== undefined)) return [];
  const slowest = explainLatency(run.samples).at(-1);
  return [
    ...(slowest ? [`why        ${slowest.sentence}`] : []),
    ...whatHelps(run).map((sentence) => `may help   ${sentence}`),
  ];
}

const MARKS = { passed: 'found     ', failed: 'FAILED    ', doubtful: 'DOUBTFUL  ' } as const;

function formatFinding({ outcome, sentence }: Finding): string {
  return `${MARKS[outcome]} ${sentence}`;
}

function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

function ms(value: number): string {
  return `${Number(value.toPrecision(3))} ms`;
}
