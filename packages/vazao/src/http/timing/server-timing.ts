/** The `Server-Timing` field (W3C Server Timing): what browsers and `curl -i` show of the stages. */
import type { Stages } from '../../db/index.ts';

/** `cache;dur=0.31, q1;dur=1.2;desc="select campanhas", handler;dur=2.4, total;dur=3` */
export function formatServerTiming(stages: Stages): string {
  const metrics = stages.list.map(({ name, durationMs }) => `${name};dur=${formatMs(durationMs)}`);
  for (const [at, { name, durationMs }] of stages.statements.entries()) {
    metrics.push(`q${at + 1};dur=${formatMs(durationMs)};desc=${quote(name)}`);
  }
  const { count, durationMs } = stages.more;
  if (count > 0) metrics.push(`q;dur=${formatMs(durationMs)};desc="${count} more"`);
  metrics.push(`total;dur=${formatMs(stages.totalMs)}`);
  return metrics.join(', ');
}

function formatMs(ms: number): string {
  return String(Number(ms.toPrecision(3)));
}

/** A quoted-string (RFC 9110, 5.6.4). A table's name may hold anything; a field may not. */
function quote(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;
}
