/** All metrics: `docs/metrics.md` is compared with this table by a test. */
import type { SecondTierFigures } from '../cache/redis/index.ts';
import type { ReplicaFigures } from '../db/index.ts';
import type { LiveFigures } from '../http/index.ts';
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
  labelled(
    'gauge',
    'feed_info',
    'Where the changes of the database come from (`wal`, `outbox`, `app`, `stream`); always 1.',
    ['source'],
    ({ feed }) => [{ labels: { source: feed.source }, value: 1 }],
  ),
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
  ofTier('gauge', 'available', 'Whether Redis is used: 1, or 0. Only with REDIS_URL.', (tier) =>
    Number(tier.isAvailable),
  ),
  ofTier('gauge', 'breaker_open', 'Whether Redis is left alone for its failures: 1, or 0.', (tier) =>
    Number(tier.isBreakerOpen),
  ),
  ofTier('counter', 'hits_total', 'Answers that Redis had.', ({ hits }) => hits),
  ofTier('counter', 'misses_total', 'Answers that Redis did not have.', ({ misses }) => misses),
  ofTier(
    'counter',
    'unanswered_total',
    'Answers that Redis was asked for in vain, or not asked for.',
    ({ out }) => out,
  ),
  ofTier('counter', 'errors_total', 'Calls of Redis that failed or came too late.', ({ errors }) => errors),
  ofTier('counter', 'stored_total', 'Answers that Redis took.', ({ stored }) => stored),
  ofTier('counter', 'not_stored_total', 'Answers that Redis did not take.', ({ notStored }) => notStored),
  labelled(
    'gauge',
    'second_tier_relay_leads',
    'Whether this host tells Redis of changes, for all hosts: 1, or 0.',
    [],
    ({ relay }) => (relay ? [{ labels: {}, value: Number(relay.leads) }] : []),
  ),
  labelled(
    'gauge',
    'second_tier_relay_lag_seconds',
    'Of the host that leads: how long Redis has not been told everything.',
    [],
    ({ relay }) => (relay?.lagMs === undefined ? [] : [{ labels: {}, value: seconds(relay.lagMs) }]),
  ),
  ofLive('gauge', 'streams', 'Streams of events that are open.', ({ streams }) => streams),
  ofLive('gauge', 'answers', 'Answers that they follow.', ({ answers }) => answers),
  ofLive('counter', 'computations_total', 'Answers that were computed for them.', (live) => live.computations),
  ofLive('counter', 'events_sent_total', 'States that were written, once for each stream.', ({ sent }) => sent),
  ofLive(
    'counter',
    'events_skipped_total',
    'States that a slow client was not sent, for a newer one.',
    (live) => live.skipped,
  ),
  ofLive('counter', 'cut_off_total', 'Streams that were ended because the client did not read.', (live) => live.cutOff),
  gauge('pool_connections', 'Connections to the database.', ({ figures }) => figures.pool.total),
  gauge('pool_connections_idle', 'Connections that nobody uses.', ({ figures }) => figures.pool.idle),
  gauge('pool_waiting', 'How many wait for a connection.', ({ figures }) => figures.pool.waiting),
  ofReplicas('gauge', 'ready', 'Whether the replica is read from: 1, or 0.', [], ({ state }) => [
    { labels: {}, value: Number(state === 'ready') },
  ]),
  ofReplicas('gauge', 'left_alone', 'Why the replica is not read from; always 1.', ['reason'], ({ state, reason }) =>
    state === 'left alone' && reason !== undefined ? [{ labels: { reason }, value: 1 }] : [],
  ),
  ofReplicas('gauge', 'lag_seconds', 'How far it was behind the feed when it was last asked.', [], ({ lagMs }) =>
    lagMs === undefined ? [] : [{ labels: {}, value: seconds(lagMs) }],
  ),
  ofReplicas('counter', 'reads_total', 'Answers whose computation began on the replica.', [], ({ used }) => [
    { labels: {}, value: used },
  ]),
  ofReplicas('counter', 'refusals_total', 'Answers that the primary computed instead.', ['reason'], ({ refused }) =>
    Object.entries(refused).map(([reason, value]) => ({ labels: { reason }, value })),
  ),
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

/** Of a process with a second tier. */
function ofTier(type: Metric['type'], name: string, help: string, read: (tier: SecondTierFigures) => number): Metric {
  return labelled(type, `second_tier_${name}`, help, [], ({ secondTier }) =>
    secondTier ? [{ labels: {}, value: read(secondTier) }] : [],
  );
}

/** Of a process that has streams of events. */
function ofLive(type: Metric['type'], name: string, help: string, read: (live: LiveFigures) => number): Metric {
  return labelled(type, `live_${name}`, help, [], ({ live }) => (live ? [{ labels: {}, value: read(live) }] : []));
}

/** With the label `replica`, its host and port. */
function ofReplicas(
  type: Metric['type'],
  name: string,
  help: string,
  labels: readonly string[],
  read: (replica: ReplicaFigures) => readonly Sample[],
): Metric {
  return labelled(type, `replica_${name}`, help, ['replica', ...labels], ({ replicas }) =>
    replicas.flatMap((each, at) => {
      const replica = nameReplica(replicas, at);
      return read(each).map(({ labels, value }) => ({ labels: { replica, ...labels }, value }));
    }),
  );
}

/** Who names a server twice has two replicas there, and two samples of one name would make the whole answer unreadable. */
function nameReplica(replicas: readonly ReplicaFigures[], at: number): string {
  const { server } = replicas[at] as ReplicaFigures;
  const before = replicas.slice(0, at).filter((other) => other.server === server).length;
  return before === 0 ? server : `${server} (${before + 1})`;
}

function seconds(ms: number): number {
  return ms / 1_000;
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
