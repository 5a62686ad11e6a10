/** All metrics: `docs/metrics.md` is compared with this table by a test. */
import { type Family, type Sample, writeExposition } from './exposition.ts';
import type { ProcessFigures } from './process-figures.ts';

/** A worker's figures, and where it sits: who takes its place goes on with its label. */
export interface SeatFigures {
  readonly seat: number;
  /** How long ago it told them. */
  readonly ageMs: number;
  readonly figures: ProcessFigures;
}

export interface Metric extends Omit<Family, 'samples'> {
  /** Labels beside `worker`. */
  readonly labels: readonly string[];
  readonly read: (worker: SeatFigures) => readonly Sample[];
}

const STATUS_CLASSES = [1, 2, 3, 4, 5];

export const METRICS: readonly Metric[] = [
  gauge(
    'worker_figures_age_seconds',
    'How long ago the worker told its figures; one that hangs tells none.',
    (worker) => seconds(worker.ageMs),
  ),
  labelled('gauge', 'feed_info', 'Where the changes of the database come from; always 1.', ['source'], ({ feed }) => [
    { labels: { source: feed.source }, value: 1 },
  ]),
  gauge('feed_fresh', 'Whether answers may be given from memory: 1, or 0.', ({ figures }) =>
    Number(figures.feed.isFresh),
  ),
  gauge('feed_lag_seconds', 'How far the feed is behind the database.', ({ figures }) => seconds(figures.feed.lagMs)),
  counter(
    'feed_epochs_total',
    'Beginnings of the feed; each but the first empties the cache.',
    ({ feed }) => feed.epoch,
  ),
  counter('cache_hits_total', 'Answers that were hits.', ({ answers }) => sum(answers.hit)),
  counter('cache_misses_total', 'Answers of cached routes that were no hits.', ({ answers }) => sum(answers.miss)),
  counter('cache_stored_total', 'Computed answers that were kept.', ({ cache }) => cache.stored),
  counter('cache_not_stored_total', 'Computed answers that were not kept.', ({ cache }) => cache.notStored),
  counter('cache_dropped_total', 'Entries that a change ended.', ({ cache }) => cache.dropped),
  counter('cache_evicted_total', 'Entries that had to make room.', ({ cache }) => cache.evicted),
  gauge('cache_entries', 'Entries in memory.', ({ figures }) => figures.cache.entries),
  gauge('cache_size_bytes', 'Memory that entries take.', ({ figures }) => figures.cache.sizeBytes),
  gauge('cache_size_max_bytes', 'Memory that entries may take.', ({ figures }) => figures.cache.sizeMaxBytes),
  counter('audit_samples_total', 'Hits that were computed again.', ({ audit }) => audit.sampled),
  counter('audit_wrong_total', 'Hits that were not what the database says. Must be 0.', ({ audit }) => audit.wrong),
  labelled('gauge', 'second_tier_available', 'Whether Redis is used: 1, or 0. Only with REDIS_URL.', [], (figures) =>
    figures.isSecondTierAvailable === undefined ? [] : [{ labels: {}, value: Number(figures.isSecondTierAvailable) }],
  ),
  gauge('pool_connections', 'Connections to the database.', ({ figures }) => figures.pool.total),
  gauge('pool_connections_idle', 'Connections that nobody uses.', ({ figures }) => figures.pool.idle),
  gauge('pool_waiting', 'How many wait for a connection.', ({ figures }) => figures.pool.waiting),
  labelled('counter', 'requests_total', 'Requests that were answered.', ['kind', 'status'], ({ answers }) =>
    Object.entries(answers).flatMap(([kind, counts]) =>
      STATUS_CLASSES.map((digit) => ({ labels: { kind, status: `${digit}xx` }, value: counts[digit] ?? 0 })),
    ),
  ),
  labelled('counter', 'refusals_total', 'Requests that the limits refused.', ['code'], ({ refused }) =>
    Object.entries(refused).map(([code, value]) => ({ labels: { code }, value })),
  ),
  gauge('event_loop_delay_seconds', 'The longest wait for a turn, in the last half minute or whole one.', (worker) =>
    seconds(worker.figures.eventLoopDelayMs),
  ),
  gauge('resident_memory_bytes', 'Memory of the process.', ({ figures }) => figures.rssBytes),
];

/** The figures of all workers, in the text format of Prometheus. */
export function writeMetrics(workers: readonly SeatFigures[]): string {
  return writeExposition(
    METRICS.map(({ name, type, help, read }) => ({
      name,
      type,
      help,
      samples: workers.flatMap((worker) =>
        read(worker).map(({ labels, value }) => ({ labels: { worker: String(worker.seat), ...labels }, value })),
      ),
    })),
  );
}

function gauge(name: string, help: string, read: (worker: SeatFigures) => number): Metric {
  return {
    name: `vazao_${name}`,
    type: 'gauge',
    help,
    labels: [],
    read: (worker) => [{ labels: {}, value: read(worker) }],
  };
}

function counter(name: string, help: string, read: (figures: ProcessFigures) => number): Metric {
  return { ...gauge(name, help, ({ figures }) => read(figures)), type: 'counter' };
}

function labelled(
  type: Metric['type'],
  name: string,
  help: string,
  labels: readonly string[],
  read: (figures: ProcessFigures) => readonly Sample[],
): Metric {
  return { name: `vazao_${name}`, type, help, labels, read: ({ figures }) => read(figures) };
}

function seconds(ms: number): number {
  return ms / 1_000;
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
