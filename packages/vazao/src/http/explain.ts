/** Answers "why is this cached, or not; what is it made of; what ended it?" */
import type { FastifyInstance } from 'fastify';
import {
  type Entry,
  type ExplainedDrop,
  type ExplainedStatement,
  explainDrop,
  explainStatement,
} from '../cache/index.ts';
import { formatPosition } from '../feed/index.ts';
import type { CacheValue, HttpCache } from './lookup.ts';
import { isFromLoopback } from './loopback.ts';
import type { RecentAnswers } from './recent-answers.ts';

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
      if (!isFromLoopback(request.raw)) return reply.callNotFound();
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
