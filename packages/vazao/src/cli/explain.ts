/** `vazao explain <url>`: asks the running server, and prints what it says for people. */

import type { ExplainedDrop, ExplainedStatement } from '../cache/index.ts';
import type { ExplainedEntry, Explanation } from '../http/index.ts';
import { describeError, RuntimeError } from '../runtime/errors.ts';
import { urlOf } from '../runtime/listen.ts';
import { readDevelopment } from './read-development.ts';

const TIMEOUT_MS = 5_000;
const STATEMENT_LENGTH_MAX = 2_000;

export async function explain(word: string, json: boolean): Promise<number> {
  const { origin, path } = resolveTarget(word);
  const explanation = await ask(origin, path);
  process.stdout.write(json ? `${JSON.stringify(explanation, null, 2)}\n` : formatExplanation(explanation));
  return 0;
}

/** A path is of the server of this configuration; a full URL names its own. */
function resolveTarget(word: string): { origin: string; path: string } {
  if (URL.canParse(word) && /^https?:/.test(word)) {
    const { origin, pathname, search } = new URL(word);
    return { origin, path: pathname + search };
  }
  const { host, port } = readDevelopment();
  return { origin: urlOf(host, port), path: word.startsWith('/') ? word : `/${word}` };
}

async function ask(origin: string, path: string): Promise<Explanation> {
  let response: Response;
  try {
    const url = `${origin}/.vazao/explain?url=${encodeURIComponent(path)}`;
    response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    const cause = (error as { cause?: unknown }).cause ?? error;
    const why =
      (error as Error).name === 'TimeoutError' ? `did not answer in ${TIMEOUT_MS / 1_000} s` : describeError(cause);
    throw new RuntimeError(
      'ERR_RUNTIME_APPLICATION',
      `No server answers at ${origin} (${why}). Start one with \`vazao dev <app>\`, or set HOST and PORT to where it runs.`,
      { cause: error },
    );
  }
  const isJson = response.headers.get('content-type')?.includes('json') ?? false;
  const body = isJson ? await response.json() : undefined;
  if (response.ok && body && Array.isArray((body as Explanation).entries)) return body as Explanation;
  throw new RuntimeError(
    'ERR_RUNTIME_APPLICATION',
    `The server at ${origin} does not explain (status ${response.status}). Only \`vazao dev\` does, and only to callers on its own machine.`,
  );
}

/** For people. */
export function formatExplanation({ url, lastAnswer, feed, entries }: Explanation): string {
  const lines = [lastAnswer?.route ? `${url}  (route ${lastAnswer.route})` : url];
  if (!lastAnswer && entries.length === 0) {
    lines.push('  nothing is known of this URL yet: ask for it once (`curl`), then explain it');
  }
  if (lastAnswer && !lastAnswer.route) lines.push('  no route: there is nothing to cache');
  else if (lastAnswer?.notStored) {
    lines.push(`  the last answer was not kept: ${lastAnswer.notStored.detail} (${lastAnswer.notStored.code})`);
    for (const statement of lastAnswer.statements) lines.push(...formatStatement(statement));
  }
  if (!feed.fresh) {
    lines.push('  the feed is behind: every read goes to the database until it has caught up (`vazao doctor`)');
  }
  for (const entry of entries) lines.push('', ...formatEntry(entry));
  return `${lines.join('\n')}\n`;
}

const STATES: Readonly<Record<ExplainedEntry['state'], string>> = {
  fresh: 'cached, and exactly what the database says',
  stale: 'out of date, served while it is computed again',
  expired: 'older than its `ttl`: the next reader computes it again',
  unsure: 'cached, and not served while the feed is behind',
  bypass: 'not cached',
  dropped: 'dropped: the next reader computes it again',
};

function formatEntry(entry: ExplainedEntry): string[] {
  const facets = Object.entries(entry.facets).map(([name, value]) => `${name} = ${value}`);
  const lines = [`  ${STATES[entry.state] ?? entry.state}${entry.reason ? `: ${entry.reason}` : ''}`];
  lines.push(`    key       the URL${facets.length > 0 ? `, ${facets.join(', ')}` : ' alone: shared by all callers'}`);
  if (entry.status !== undefined) {
    lines.push(`    answer    ${entry.status}, ${bytes(entry.bodyBytes)} (${bytes(entry.sizeBytes)} in the cache)`);
    lines.push(`    computed  in ${ms(entry.fillMs)}, ${ms(entry.ageMs)} ago; ${entry.hits} hits since`);
  }
  for (const statement of entry.statements) lines.push(...formatStatement(statement));
  if (entry.lastDrop) lines.push(...formatDrop(entry.lastDrop));
  return lines;
}

function formatStatement(statement: ExplainedStatement): string[] {
  const text = statement.text.replaceAll(/\s+/g, ' ').trim().slice(0, STATEMENT_LENGTH_MAX);
  const lines = [`    statement ${text}`, `              ${ms(statement.durationMs)}, ${statement.rows} rows`];
  if (statement.refusal) lines.push(`      refused ${statement.refusal.detail} (${statement.refusal.code})`);
  for (const term of statement.terms) {
    const rows = {
      row: 'the row where',
      predicate: 'the rows where',
      table: 'the whole table',
    }[term.grain];
    const predicates = term.predicates.length > 0 ? ` ${term.predicates.join(' and ')}` : '';
    const columns = term.columns === 'all' ? 'all columns' : term.columns.join(', ') || 'whether they exist';
    lines.push(`      reads   ${term.table}: ${rows}${predicates}; ${columns}`);
    if (term.coarse) lines.push(`              coarse: ${term.coarse}`);
  }
  return lines;
}

function formatDrop(drop: ExplainedDrop): string[] {
  const what = drop.table === undefined ? drop.reason : `${drop.change ?? drop.reason} of ${drop.table}`;
  const row = Object.entries(drop.row ?? {}).map(([column, value]) => `${column} = ${value ?? 'null'}`);
  const after = drop.msAfterCommit === undefined ? '' : `, ${ms(drop.msAfterCommit)} after commit`;
  const position = drop.position === undefined ? '' : ` at position ${drop.position}`;
  return [
    `    last ended by ${what}${row.length > 0 ? ` (${row.join(', ')})` : ''}${position}`,
    `              ${drop.at}${after}`,
  ];
}

function ms(value: number): string {
  if (value >= 10_000) return `${(value / 1_000).toFixed(0)} s`;
  return value >= 100 ? `${value.toFixed(0)} ms` : `${value.toFixed(2)} ms`;
}

function bytes(value: number): string {
  return value < 10_240 ? `${value} B` : `${(value / 1_024).toFixed(1)} KB`;
}
