import type { FastifyInstance } from 'fastify';
import type { CacheFigures } from '../cache/index.ts';
import type { RelayFigures, SecondTierFigures } from '../cache/redis/index.ts';
import type { Pool, ReplicaFigures } from '../db/index.ts';
import type { Feed } from '../feed/index.ts';
import type { LiveFigures } from '../http/index.ts';
import { readVersion } from './version.ts';

const DATABASE_TIMEOUT_MS = 1_000;

export interface HealthParts {
  readonly db: Pool;
  readonly feed: Feed;
  readonly cache: { figures(): CacheFigures };
  readonly findWorkers: () => WorkerFigures;
  /** Absent without `REDIS_URL`. */
  readonly secondTier: { figures(): SecondTierFigures } | undefined;
}

/** The workers of a host. */
export interface HostFigures {
  /** Workers that serve. */
  readonly alive: number;
  readonly wanted: number;
  /** Why some are not started at the moment. */
  readonly waiting_for?: 'database';
  /** Absent where the host has no relay. */
  readonly relay?: RelayFigures | undefined;
}

/** The process that answers, and those like it on this host. */
export interface WorkerFigures extends HostFigures {
  readonly pid: number;
}

/**
 * `GET /health`. 200 while requests can be answered: also with `degraded`, when the feed is behind and every read goes to
 * the database. 503 when the database does not answer. It tells no name, address or reason that outsiders could use.
 */
export function registerHealth(app: FastifyInstance, { db, feed, cache, findWorkers, secondTier }: HealthParts): void {
  const startedAt = performance.now();
  const version = readVersion();
  app.get('/health', { logLevel: 'silent', schema: { hide: true } as object }, async (_request, reply) => {
    const database = await ping(db);
    const fresh = feed.isFresh();
    const { relay, ...workers } = findWorkers();
    const { entries, sizeBytes, sizeMaxBytes, evicted } = cache.figures();
    reply.code(database.reachable ? 200 : 503).header('cache-control', 'no-store');
    return {
      status: database.reachable ? (fresh ? 'ok' : 'degraded') : 'unavailable',
      version,
      workers,
      uptime_seconds: Math.round((performance.now() - startedAt) / 1_000),
      database,
      ...(db.replicas().length > 0 && { replicas: db.replicas().map(replicaFigures) }),
      feed: { fresh, ...feedFigures(feed) },
      cache: { entries, size_bytes: sizeBytes, size_max_bytes: sizeMaxBytes, evicted },
      ...(secondTier && { second_tier: tierFigures(secondTier.figures(), relay) }),
      ...(app.audit && { audit: app.audit }),
      ...(app.live && { live: liveFigures(app.live) }),
    };
  });
}

function tierFigures(
  { isAvailable, hits, misses, out, stored, notStored }: SecondTierFigures,
  relay: RelayFigures | undefined,
): object {
  const figures = { available: isAvailable, hits, misses, out, stored, not_stored: notStored };
  return relay ? { ...figures, relay: { leads: relay.leads, lag_ms: relay.lagMs } } : figures;
}

function replicaFigures({ state, reason, lagMs, used, refused }: ReplicaFigures): object {
  return { state, reason, lag_ms: lagMs, used, refused };
}

function liveFigures({ streams, answers, computations, cutOff }: LiveFigures): object {
  return { streams, answers, computations, cut_off: cutOff };
}

async function ping(db: Pool): Promise<{ reachable: boolean; milliseconds: number }> {
  const startedAt = performance.now();
  const { promise: timeout, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(resolve, DATABASE_TIMEOUT_MS, false);
  const answered = db.query('select 1').then(
    () => true,
    () => false,
  );
  const reachable = await Promise.race([answered, timeout]);
  clearTimeout(timer);
  return { reachable, milliseconds: Math.round((performance.now() - startedAt) * 100) / 100 };
}

function feedFigures(feed: Feed): object {
  const { state, source, passedOver = [], epoch, position, lagMs } = feed.status();
  const stronger = passedOver.map(({ source, code }) => ({ source, code }));
  return { state, source, not_offered: stronger, epoch, position, lag_ms: lagMs };
}
