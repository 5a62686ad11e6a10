/**
 * Shows a run while it goes on. On a terminal a block of lines that is drawn anew each second; elsewhere (a log, CI) a line every
 * five seconds.
 */
import type { RunProgress } from '../lab/plans/run-plan.ts';

const LINE_EVERY_S = 5;
const BAR_WIDTH = 30;
const BARS = '▁▂▃▄▅▆▇█';
const SPARKS_MAX = 60;

export interface LabView {
  update(progress: RunProgress): void;
  /** Removes the block; lines stay. */
  end(): void;
}

export function createLabView(stream: NodeJS.WriteStream, title: string): LabView {
  const throughputs: number[] = [];
  const latencies: number[] = [];
  let drawn = 0;
  let isTitled = false;
  const erase = (): void => {
    if (drawn > 0) stream.write(`\x1b[${drawn}A\r\x1b[0J`);
    drawn = 0;
  };
  return {
    update(progress) {
      keep(throughputs, progress.second.succeeded);
      keep(latencies, progress.second.latency.p99Ms);
      if (stream.isTTY) {
        const lines = drawBlock(title, progress, throughputs, latencies);
        const width = Math.max(20, (stream.columns || 80) - 1);
        erase();
        stream.write(lines.map((line) => `${line.slice(0, width)}\n`).join(''));
        drawn = lines.length;
      } else if (Math.round(progress.elapsedS) % LINE_EVERY_S === 0) {
        stream.write(`${isTitled ? '' : `${title}\n`}${drawLine(progress)}\n`);
        isTitled = true;
      }
    },
    end: erase,
  };
}

/** One character for each value, the largest the highest. */
export function sparkline(values: readonly number[]): string {
  const top = Math.max(...values);
  if (!(top > 0)) return BARS.charAt(0).repeat(values.length);
  return values.map((value) => BARS.charAt(Math.min(7, Math.floor((value / top) * 8)))).join('');
}

function drawLine({ second, elapsedS, plannedS }: RunProgress): string {
  const { latency, succeeded, phase } = second;
  return `${elapsedS} of ${Math.ceil(plannedS)} s  ${phase}  ${succeeded} requests/s  p50 ${ms(latency.p50Ms)}  p99 ${ms(latency.p99Ms)}${drawFailures(second)}`;
}

function drawBlock(
  title: string,
  progress: RunProgress,
  throughputs: readonly number[],
  latencies: readonly number[],
): string[] {
  const { second, server, elapsedS, plannedS } = progress;
  const share = Math.min(1, elapsedS / plannedS);
  const done = Math.round(share * BAR_WIDTH);
  const { latency } = second;
  const seen = [
    server.hitRate !== undefined && `hits ${(server.hitRate * 100).toFixed(0)} %`,
    server.cpuCores !== undefined && `CPU ${server.cpuCores.toFixed(2)} cores`,
    server.rssBytes !== undefined && `memory ${(server.rssBytes / 2 ** 20).toFixed(0)} MB`,
    server.connections !== undefined && `${server.connections} connections`,
    server.health !== undefined && `health ${server.health}`,
  ].filter(Boolean);
  return [
    `${title}  ${'█'.repeat(done)}${'░'.repeat(BAR_WIDTH - done)} ${Math.min(elapsedS, Math.ceil(plannedS))} of ${Math.ceil(plannedS)} s  ${second.phase}`,
    `requests/s  ${sparkline(throughputs)} ${second.succeeded}`,
    `p99         ${sparkline(latencies)} ${ms(latency.p99Ms)}`,
    `latency     p50 ${ms(latency.p50Ms)}  p95 ${ms(latency.p95Ms)}  p99 ${ms(latency.p99Ms)}  max ${ms(latency.maxMs)}`,
    `generator   ${second.inFlight} in flight, ${second.waiting} waiting${second.users ? `, ${second.users} users` : ''}${drawFailures(second)}`,
    ...(seen.length > 0 ? [`server      ${seen.join('  ')}`] : []),
  ];
}

function drawFailures({ errors, unsent }: RunProgress['second']): string {
  const counts = Object.entries({ ...errors, unsent }).filter(([, count]) => count > 0);
  return counts.length === 0 ? '' : `  failed: ${counts.map(([kind, count]) => `${kind} ${count}`).join(', ')}`;
}

function keep(values: number[], value: number): void {
  values.push(value);
  if (values.length > SPARKS_MAX) values.shift();
}

function ms(value: number): string {
  return `${Number(value.toPrecision(3))} ms`;
}
