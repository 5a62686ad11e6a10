import type { FastifyServerOptions } from 'fastify';
import type { Configuration } from './configuration.ts';
import { redactLine } from './redact.ts';

/** JSON lines on the standard output in production; in development, lines for people on the standard error. Without secrets: see redact.ts. */
export function loggerOptions({ environment, logLevel }: Configuration): FastifyServerOptions['logger'] {
  const hooks = { streamWrite: redactLine };
  if (environment === 'production') return { level: logLevel, hooks };
  return { level: logLevel, hooks, stream: { write: (line: string) => process.stderr.write(formatLine(line)) } };
}

interface Line {
  readonly level: number;
  readonly msg?: string;
  readonly err?: { readonly message?: string; readonly stack?: string };
  readonly req?: { readonly method?: string; readonly url?: string };
  readonly res?: { readonly statusCode?: number };
  readonly responseTime?: number;
}

const LABELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** One line of the logger's JSON, for people. */
export function formatLine(text: string): string {
  const line = JSON.parse(text) as Line;
  const parts = [
    (LABELS[line.level] ?? String(line.level)).padEnd(5),
    line.req && `${line.req.method} ${line.req.url}`,
    line.res && `→ ${line.res.statusCode}`,
    line.responseTime !== undefined && `${line.responseTime.toFixed(1)} ms`,
    line.msg,
  ];
  const stack = line.err?.stack ? `\n${line.err.stack.replaceAll(/^/gm, '      ')}` : '';
  return `${parts.filter(Boolean).join(' ')}${stack}\n`;
}
