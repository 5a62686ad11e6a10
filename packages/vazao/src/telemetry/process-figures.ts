/** What one process that serves can tell of itself: plain data, so that another process may show it. */
import type { FastifyInstance } from 'fastify';
import type { CacheFigures } from '../cache/index.ts';
import type { RelayFigures, SecondTierFigures } from '../cache/redis/index.ts';
import type { Pool, ReplicaFigures } from '../db/index.ts';
import type { Feed, FeedSource } from '../feed/index.ts';
import type { AnswerFigures, AuditFigures, LiveFigures } from '../http/index.ts';
import { EventLoopDelay } from './event-loop-delay.ts';

export interface FigureSources {
  /** With the plugin of cached routes. */
  readonly app: Pick<FastifyInstance, 'answered' | 'audit' | 'limits' | 'live'>;
  readonly feed: Pick<Feed, 'status' | 'isFresh'>;
  readonly cache: { figures(): CacheFigures };
  readonly db: Pick<Pool, 'totalCount' | 'idleCount' | 'waitingCount' | 'replicas'>;
  /** Absent without `REDIS_URL`. */
  readonly secondTier: { figures(): SecondTierFigures } | undefined;
  /** Of the host. Absent where nobody is to be asked. */
  readonly findRelay?: (() => RelayFigures | undefined) | undefined;
}

export interface ProcessFigures {
  readonly pid: number;
  readonly feed: {
    readonly source: FeedSource;
    readonly isFresh: boolean;
    readonly lagMs: number;
    readonly epoch: number;
  };
  readonly cache: CacheFigures;
  readonly answers: AnswerFigures;
  /** Requests that the limits have refused, by code. */
  readonly refused: Readonly<Record<string, number>>;
  readonly audit: Pick<AuditFigures, 'sampled' | 'wrong'>;
  /** Undefined where there are no streams to be had. */
  readonly live: LiveFigures | undefined;
  readonly secondTier: SecondTierFigures | undefined;
  /** Of the host, as this process was last told; undefined where it has none. */
  readonly relay: RelayFigures | undefined;
  readonly replicas: readonly ReplicaFigures[];
  readonly pool: { readonly total: number; readonly idle: number; readonly waiting: number };
  readonly eventLoopDelayMs: number;
  readonly rssBytes: number;
}

export interface Collector extends Disposable {
  collect(): ProcessFigures;
}

const NOTHING_AUDITED = { sampled: 0, wrong: 0 };

/** Begins to watch the event loop; dispose of it at the end. */
export function createCollector({ app, feed, cache, db, secondTier, findRelay }: FigureSources): Collector {
  const delay = new EventLoopDelay();
  const collect = (): ProcessFigures => {
    const { source, lagMs, epoch } = feed.status();
    return {
      pid: process.pid,
      feed: { source, isFresh: feed.isFresh(), lagMs, epoch },
      cache: cache.figures(),
      answers: app.answered,
      refused: app.limits?.figures().refused ?? {},
      audit: app.audit ?? NOTHING_AUDITED,
      live: app.live,
      secondTier: secondTier?.figures(),
      relay: findRelay?.(),
      replicas: db.replicas(),
      pool: { total: db.totalCount, idle: db.idleCount, waiting: db.waitingCount },
      eventLoopDelayMs: delay.maxMs,
      rssBytes: process.memoryUsage.rss(),
    };
  };
  return { collect, [Symbol.dispose]: () => delay.close() };
}
