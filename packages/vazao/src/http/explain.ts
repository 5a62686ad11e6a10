/** Answers "why is this cached, or not; what is it made of; what ended it?" */
import type { FastifyInstance } from 'fastify';
import type { Drop, Entry, StatementRecord } from '../cache/index.ts';
import { formatPosition } from '../feed/index.ts';
import { describePredicate } from '../readset/index.ts';
import type { CacheValue, HttpCache } from './lookup.ts';
import type { RecentAnswers } from './recent-answers.ts';

export interface ExplainedStatement {
  readonly text: string;
  readonly durationMs: number;
  readonly rows: number;
  readonly refusal: { readonly code: string; readonly detail: string } | undefined;
  readonly terms: readonly {
    readonly table: string;
    readonly grain: 'row' | 'predicate' | 'table';
    /** A conjunction: a change matters only to rows that satisfy all of them. */
    readonly predicates: readonly string[];
    readonly columns: readonly string[] | 'all';
    /** What made the term the whole table. */
    readonly coarse: string | undefined;
  }[];
}

export interface ExplainedEntry {
  /** The parts of the request beside the URL that the answer depends on. */
  readonly facets: Readonly<Record<string, string>>;
  readonly state: 'fresh' | 'stale' | 'expired' | 'unsure' | 'bypass' | 'dropped';
  /** For `bypass`: why answers are not kept. */
  readonly reason: string | undefined;
  readonly status: number | undefined;
  readonly bodyBytes: number;
  readonly sizeBytes: number;
  readonly hits: number;
  readonly ageMs: number;
  readonly fillMs: number;
  readonly statements: readonly ExplainedStatement[];
  readonly lastDrop: ExplainedDrop | undefined;
}

export interface ExplainedAnswer {
  /** Pattern of the route; undefined when the URL led to none. */
  readonly route: string | undefined;
  /** The route says `config.cache`. */
  readonly cached: boolean;
  /** ISO 8601. */
  readonly at: string;
  /** Why the answer was not kept; undefined when it was. */
  readonly notStored: { readonly code: string; readonly detail: string } | undefined;
  readonly statements: readonly ExplainedStatement[];
}

export interface ExplainedDrop {
  readonly reason: Drop['reason'];
  /** ISO 8601. */
  readonly at: string;
  readonly table: string | undefined;
  readonly change: string | undefined;
  readonly row: Readonly<Record<string, string | null>> | undefined;
  readonly position: string | undefined;
  readonly msAfterCommit: number | undefined;
}

export interface Explanation {
  readonly url: string;
  /** The last time that the URL was computed; undefined when it has not been, lately. */
  readonly lastAnswer: ExplainedAnswer | undefined;
  readonly feed: { readonly fresh: boolean; readonly position: string };
  /** One for each combination of facets that the cache knows. */
  readonly entries: readonly ExplainedEntry[];
}

const ENTRIES_MAX = 20;

/** What the cache knows of a URL (path and query). */
export function explainUrl(cache: HttpCache, url: string): ExplainedEntry[] {
  const keys = cache.keys(`${url}\u0000`, ENTRIES_MAX);
  if (cache.get(url) || cache.lastDrop(url)) keys.unshift(url);
  for (const key of cache.droppedKeys(`${url}\u0000`, ENTRIES_MAX)) if (!keys.includes(key)) keys.push(key);
  return keys.map((key) => explainKey(cache, key)).filter((entry) => entry !== undefined);
}

export function registerExplain(app: FastifyInstance, cache: HttpCache, recent: RecentAnswers): void {
  app.get<{ Querystring: { url?: string } }>(
    '/.vazao/explain',
    { schema: { hide: true } as object },
    async (request, reply) => {
      const { remoteAddress } = request.socket;
      if (!remoteAddress || !['127.0.0.1', '::1', '::ffff:127.0.0.1'].includes(remoteAddress))
        return reply.callNotFound();
      const { url } = request.query;
      if (!url?.startsWith('/')) {
        return reply.code(400).send({
          type: 'about:blank',
          title: 'Bad Request',
          status: 400,
          detail: 'Name a path: /.vazao/explain?url=/path?query',
        });
      }
      const last = recent.find(url);
      const explanation: Explanation = {
        url,
        lastAnswer: last && {
          ...last,
          at: new Date(last.at).toISOString(),
          statements: last.statements.map(explainStatement),
        },
        feed: { fresh: cache.isFresh(), position: formatPosition(cache.feed.position) },
        entries: explainUrl(cache, url),
      };
      return explanation;
    },
  );
}

function explainKey(cache: HttpCache, key: string): ExplainedEntry | undefined {
  const entry = cache.get(key);
  if (entry?.value.kind === 'node') return undefined;
  const drop = cache.lastDrop(key);
  const facets = Object.fromEntries(
    key
      .split('\u0000')
      .slice(1)
      .map((part) => {
        const equals = part.indexOf('=');
        return [part.slice(0, equals), part.slice(equals + 1)];
      }),
  );
  return {
    facets,
    state: entry ? stateOf(cache, entry) : 'dropped',
    reason: entry?.value.kind === 'bypass' ? entry.value.reason : undefined,
    status: entry?.value.kind === 'response' ? entry.value.status : undefined,
    bodyBytes: entry?.value.kind === 'response' ? entry.value.body.length : 0,
    sizeBytes: entry?.sizeBytes ?? 0,
    hits: entry?.hits ?? 0,
    ageMs: entry ? cache.now() - entry.createdAtMs : 0,
    fillMs: entry?.fillMs ?? 0,
    statements: entry?.statements.map(explainStatement) ?? [],
    lastDrop: drop && explainDrop(drop),
  };
}

function stateOf(cache: HttpCache, entry: Entry<CacheValue>): ExplainedEntry['state'] {
  if (entry.value.kind === 'bypass') return 'bypass';
  if (entry.staleSinceMs !== Number.POSITIVE_INFINITY) return 'stale';
  if (!cache.isGood(entry)) return 'expired';
  return cache.isFresh() ? 'fresh' : 'unsure';
}

function explainStatement(statement: StatementRecord): ExplainedStatement {
  return {
    text: statement.text,
    durationMs: statement.durationMs,
    rows: statement.rows,
    refusal: statement.refusal,
    terms: statement.terms.map((term) => ({
      table: `${term.table.schema}.${term.table.name}`,
      grain: term.grain,
      predicates: term.predicates.map(describePredicate),
      columns: term.columns === 'all' ? 'all' : [...term.columns],
      coarse: term.coarse,
    })),
  };
}

function explainDrop(drop: Drop): ExplainedDrop {
  return {
    reason: drop.reason,
    at: new Date(drop.at).toISOString(),
    table: drop.table,
    change: drop.change,
    row: drop.row,
    position: drop.position === undefined ? undefined : formatPosition(drop.position),
    msAfterCommit: drop.msAfterCommit,
  };
}
