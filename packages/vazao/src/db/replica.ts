/**
 * One replica: its connections, and whether it is used.
 *
 *   unknown ──probed──► ready ──gone, behind, promoted, other settings──► left alone ──probed──► ready
 *      ▲                  │                                                  │
 *      └──────────────────┴───────────── a new epoch of the feed ◄───────────┘
 *
 * A fill uses a replica that is ready. What is wrong with one shows in a fill first; the probe sees the rest (another
 * timeline, a server that hangs), and finds out when it is good again. Probes come every two seconds while it is ready,
 * with pauses that double while it is left alone.
 */
import pg from 'pg';
import type { DatabaseSource } from '../feed/index.ts';
import { runWithoutContext } from './context.ts';
import { probeReplica, type ReplicaFacts } from './replica-probe.ts';
import { type PooledClient, TrackedClient } from './tracked-client.ts';

/** Why a replica was not used, or not to the end. */
export type ReplicaRefusal =
  /** The feed is not the server's log: how far a replica is can't be told from its position. */
  | 'source'
  /** It has not replayed yet what this host has shown. */
  | 'behind'
  /** All its connections are in use. */
  | 'busy'
  /** What it was replaying needed rows that the fill was reading, or locks that it held. */
  | 'conflict'
  /** It can't be reached, or ended the connection. */
  | 'gone'
  /** It follows another history than the feed: after a failover, until it follows too. */
  | 'timeline'
  /** It is no standby any longer. */
  | 'promoted'
  /** It is a copy of another server. */
  | 'other-server'
  /** Its settings, user or database would make answers look otherwise. */
  | 'settings';

export interface ReplicaFigures {
  /** Host and port. */
  readonly server: string;
  readonly state: 'unknown' | 'ready' | 'left alone';
  /** Why it is left alone. */
  readonly reason: ReplicaRefusal | undefined;
  /** By how much it was behind the feed when it was last probed; undefined when it did not catch up within a second. */
  readonly lagMs: number | undefined;
  /** Fills that began here. */
  readonly used: number;
  /** Fills that went to the primary, or went on there, by reason. */
  readonly refused: Readonly<Partial<Record<ReplicaRefusal, number>>>;
  /** What was said when it could not be reached. */
  readonly lastError: string | undefined;
  readonly connections: number;
}

/** What a replica is compared with. */
export interface ReplicaStandard {
  /** What reads the changes from the database. */
  readonly source: DatabaseSource | undefined;
  /** The server whose history the feed tells; undefined while it does not know. */
  readonly systemId: string | undefined;
  readonly timeline: number | undefined;
  readonly quickSettings: string;
  readonly serverSettings: string;
  /** What this host may have shown: see `replicas.ts`. */
  readonly needed: bigint;
}

/** A connection that is not there by then never will be; and a server that is silent for longer hangs. */
const TIMEOUT_MS = 1_000;
export const LAG_MAX_MS = 1_000;
/** What is replayed may hold an exclusive lock for as long as its transaction lasted; the primary is asked then. */
const LOCK_TIMEOUT_MS = 250;
const PROBE_READY_MS = 2_000;
const PROBE_MIN_MS = 250;
const PROBE_MAX_MS = 5_000;

export class Replica {
  readonly server: string;
  readonly #connection: pg.ClientConfig;
  readonly #pool: pg.Pool;
  readonly #standard: () => ReplicaStandard;
  /** Open, in use or not. */
  readonly #clients = new Set<PooledClient>();
  #state: ReplicaFigures['state'] = 'unknown';
  #reason: ReplicaRefusal | undefined;
  #lagMs: number | undefined;
  #timeline = 0;
  #lastError: string | undefined;
  #used = 0;
  readonly #refused: Partial<Record<ReplicaRefusal, number>> = {};
  #behindSinceMs: number | undefined;
  #failures = 0;
  /** Grows when what was found out before no longer counts. */
  #generation = 0;
  #probe: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(connection: pg.PoolConfig, standard: () => ReplicaStandard) {
    this.#connection = connection;
    this.#standard = standard;
    this.#pool = new pg.Pool({
      ...connection,
      connectionTimeoutMillis: TIMEOUT_MS,
      lock_timeout: LOCK_TIMEOUT_MS,
      Client: TrackedClient,
    } as unknown as pg.PoolConfig);
    const { hostname, port } = new URL(connection.connectionString as string);
    this.server = `${hostname}:${port || 5432}`;
    this.#pool.on('error', () => {}); // an idle connection was lost: the next fill, or probe, meets the reason
    this.#pool.on('connect', (client) => this.#clients.add(client as unknown as PooledClient));
    this.#pool.on('remove', (client) => this.#clients.delete(client as unknown as PooledClient));
  }

  /** That it replays, as of the last probe. */
  get timeline(): number {
    return this.#timeline;
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  /** Connections that are in use. */
  get busy(): number {
    return this.#pool.totalCount - this.#pool.idleCount + this.#pool.waitingCount;
  }

  get isFull(): boolean {
    return this.busy >= this.#pool.options.max;
  }

  connect(): Promise<PooledClient> {
    return runWithoutContext(() => this.#pool.connect()) as unknown as Promise<PooledClient>;
  }

  countUse(): void {
    this.#used++;
    this.#behindSinceMs = undefined;
  }

  /** Counts a fill that goes to the primary instead, and leaves the replica alone where it would be no use to others. */
  refuse(reason: ReplicaRefusal, error?: Error): void {
    this.#refused[reason] = (this.#refused[reason] ?? 0) + 1;
    if (reason === 'busy' || reason === 'conflict') return;
    if (reason === 'behind') {
      const now = performance.now();
      this.#behindSinceMs ??= now;
      if (now - this.#behindSinceMs <= LAG_MAX_MS) return;
    }
    this.#leaveAlone(reason, error);
  }

  /** What was found out may be of another server by now. */
  restart(): void {
    this.#generation++;
    this.#state = 'unknown';
    this.#reason = undefined;
    this.#failures = 0;
    this.#behindSinceMs = undefined;
    void this.probe();
  }

  /** Finds out whether it can be used. Never rejects. */
  probe(): Promise<void> {
    clearTimeout(this.#timer);
    this.#probe ??= this.#probeOnce().finally(() => {
      this.#probe = undefined;
      this.#schedule();
    });
    return this.#probe;
  }

  figures(): ReplicaFigures {
    return {
      server: this.server,
      state: this.#state,
      reason: this.#reason,
      lagMs: this.#lagMs,
      used: this.#used,
      refused: { ...this.#refused },
      lastError: this.#lastError,
      connections: this.#pool.totalCount,
    };
  }

  async end(): Promise<void> {
    this.#closed = true;
    this.#state = 'left alone';
    clearTimeout(this.#timer);
    await this.#pool.end();
    await this.#probe;
  }

  async #probeOnce(): Promise<void> {
    const generation = this.#generation;
    const standard = this.#standard();
    let reason: ReplicaRefusal | undefined;
    let error: Error | undefined;
    try {
      const facts = await probeReplica({
        connection: this.#connection,
        position: standard.needed,
        timeoutMs: TIMEOUT_MS,
        lagMaxMs: LAG_MAX_MS,
      });
      this.#lagMs = facts.lagMs;
      this.#timeline = facts.timeline;
      reason = judgeReplica(facts, standard);
    } catch (cause) {
      error = cause as Error;
      reason = 'gone';
      // Fills that wait for its answers would wait as long as the network likes; so they go on, on the primary.
      for (const client of this.#clients) client.destroy();
    }
    if (this.#closed || generation !== this.#generation) return;
    if (reason) {
      this.#leaveAlone(reason, error);
      return;
    }
    this.#state = 'ready';
    this.#reason = undefined;
    this.#failures = 0;
    this.#behindSinceMs = undefined;
  }

  #leaveAlone(reason: ReplicaRefusal, error?: Error): void {
    this.#state = 'left alone';
    this.#reason = reason;
    if (error) this.#lastError = error.message;
    this.#failures++;
    if (!this.#probe) this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    const backOffMs = Math.min(PROBE_MAX_MS, PROBE_MIN_MS * 2 ** Math.min(this.#failures - 1, 10));
    const delayMs = this.#state === 'ready' ? PROBE_READY_MS : backOffMs;
    // Spread, so that the workers of many hosts don't ask together.
    const spreadMs = delayMs * (0.75 + 0.5 * Math.random());
    this.#timer = runWithoutContext(() => setTimeout(() => void this.probe(), spreadMs));
    this.#timer.unref();
  }
}

/** Why the server can't be used as a replica; undefined when it can. */
export function judgeReplica(facts: ReplicaFacts, standard: ReplicaStandard): ReplicaRefusal | undefined {
  if (standard.source !== 'wal') return 'source';
  if (facts.systemId !== standard.systemId) return 'other-server';
  if (!facts.inRecovery) return 'promoted';
  // On an older timeline it may have replayed what the failover has undone; on a newer one, what the feed does not know.
  if (facts.timeline !== standard.timeline) return 'timeline';
  if (facts.quickSettings !== standard.quickSettings || facts.serverSettings !== standard.serverSettings)
    return 'settings';
  return facts.lagMs === undefined ? 'behind' : undefined;
}
