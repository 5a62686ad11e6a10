/**
 * The feed for databases that allow neither replication nor triggers: it knows what this process wrote, and nothing of any
 * other writer. So it is no guarantee, and {@link Feed.ttlDefaultMs} bounds how old an answer may get without one.
 *
 * Which rows a statement wrote is not known, nor what triggers and foreign keys of the database wrote besides; so each write
 * of this process counts as a change of every table.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Change } from '../readset/change.ts';
import { Announcer } from './announcer.ts';
import { backoffMs } from './backoff.ts';
import { createClient, destroyClient, endClient } from './connection.ts';
import { FeedError, toFeedError } from './errors.ts';
import type { EpochReason, FeedEvents } from './events.ts';
import type { Feed } from './feed.ts';
import type { ResolvedFeedOptions } from './options.ts';
import { FLUSHED_POSITION_SQL, formatPosition, parsePosition, UNKNOWN_POSITION } from './position.ts';
import { checkServer } from './preconditions.ts';
import { nameOf } from './publication-plan.ts';
import { parseSnapshot } from './snapshot.ts';
import { FIND_SCHEMA_FINGERPRINT_SQL, type SchemaFingerprint } from './sql/find-schema-fingerprint.ts';
import { FIND_TABLES_SQL, type TableRow } from './sql/find-tables.ts';
import type { FeedState, FeedStatus } from './status.ts';
import type { WriteSink } from './write-sink.ts';

/** How old an answer without a `ttl` may get. */
export const APP_TTL_DEFAULT_MS = 5_000;
const LOOK_MS = 1_000;
/** The feed is fresh while its last look at the schema is no older. */
const UNSEEN_MAX_MS = 3_000;

const LOOK_SQL = `select pg_catalog.pg_current_snapshot()::text as snapshot,
  ${FLUSHED_POSITION_SQL} as position,
  ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int4 as timeline`;

export class AppFeed implements Feed {
  readonly ttlDefaultMs: number = APP_TTL_DEFAULT_MS;
  readonly writes: WriteSink = { wrote: (write) => this.#wrote(write), lost: () => this.#beginEpoch('stream lost') };
  readonly suspects: ReadonlySet<bigint> = new Set();
  readonly #options: ResolvedFeedOptions;
  readonly #events: Announcer;
  readonly #closing = new AbortController();
  #state: FeedState = 'stopped';
  #client: pg.Client | undefined;
  #starting: Promise<void> | undefined;
  #loop: Promise<void> | undefined;
  #epoch = 0;
  #position = 0n;
  #timeline = 0;
  #serverVersion: number | undefined;
  #sequence = 0;
  #lagMs = 0;
  #freshUntilMs = Number.NEGATIVE_INFINITY;
  #fingerprint: string | undefined;
  #tables: readonly TableRow[] = [];
  #published: ReadonlySet<number> = new Set();
  #changes: readonly Change[] = [];

  constructor(options: ResolvedFeedOptions) {
    this.#options = options;
    this.#events = new Announcer(options.clock);
  }

  get position(): bigint {
    return this.#position;
  }

  get epoch(): number {
    return this.#epoch;
  }

  get timeline(): number {
    return this.#timeline;
  }

  get lagMs(): number {
    return this.#lagMs;
  }

  get published(): ReadonlySet<number> {
    return this.#published;
  }

  isFresh(): boolean {
    return this.#options.clock.monotonicMs() <= this.#freshUntilMs;
  }

  on<Name extends keyof FeedEvents>(name: Name, listener: (...args: FeedEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  async start(): Promise<void> {
    if (this.#state !== 'stopped') {
      throw new FeedError('ERR_FEED_CLOSED', `A feed starts once; this one is ${this.#state}.`);
    }
    this.#starting = this.#startFirst();
    await this.#starting;
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    this.#freshUntilMs = Number.NEGATIVE_INFINITY;
    this.#closing.abort();
    if (this.#client) destroyClient(this.#client);
    // Its error has gone to the caller of start(). A client that is told to end while it connects would never say that it failed.
    await this.#starting?.catch(() => {});
    await this.#loop;
    await this.#disconnect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Whatever this source will ever tell of a commit, it told before the writer learned of it. */
  waitFor(position: bigint): Promise<boolean> {
    if (position === UNKNOWN_POSITION) return Promise.resolve(false);
    if (this.#state !== 'streaming') return Promise.resolve(position <= this.#position);
    this.#advance(position);
    return Promise.resolve(true);
  }

  status(): FeedStatus {
    return {
      state: this.#state,
      source: 'app',
      fresh: this.isFresh(),
      epoch: this.#epoch,
      position: formatPosition(this.#position),
      lagMs: this.#lagMs,
      slot: undefined,
      publication: this.#options.publication,
      tables: this.#tables.filter((row) => row.kind === 'ordinary' && this.#published.has(row.oid)).map(nameOf),
      leftOut: [],
      schemaWatch: 'fingerprint',
      schemaInStep: true,
      serverVersion: this.#serverVersion,
      systemId: undefined,
      timeline: this.#timeline,
      commits: this.#sequence,
      suspects: 0,
      waiters: 0,
      lastError: this.#events.lastError,
    };
  }

  async #startFirst(): Promise<void> {
    this.#setState('connecting');
    try {
      await this.#look();
      this.#setState('streaming');
      this.#loop = this.#keepLooking();
    } catch (error) {
      await this.#disconnect();
      this.#setState('stopped');
      throw this.#closing.signal.aborted
        ? new FeedError('ERR_FEED_CLOSED', 'The feed was closed.')
        : toFeedError(error);
    }
  }

  #wrote({ position, marker }: { readonly position: bigint; readonly marker: bigint }): void {
    const now = this.#options.clock.wallMs();
    const sequence = ++this.#sequence;
    this.#events.emit('commit', {
      sequence,
      position,
      xid: marker,
      committedAtMs: now,
      receivedAtMs: now,
      changes: this.#changes,
      schemaChanged: false,
    });
    this.#advance(position);
  }

  async #keepLooking(): Promise<void> {
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted; ) {
      const pauseMs = failures === 0 ? LOOK_MS : backoffMs(failures, this.#options);
      // Rejects when the feed is closed, which ends the loop.
      await delay(pauseMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#look();
        this.#setState('streaming');
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        this.#setState('waiting');
        await this.#disconnect();
        this.#events.problem(error);
      }
    }
  }

  /** Looks at the schema: a change of it is an epoch, since nobody announces it. */
  async #look(): Promise<void> {
    const { clock, leaseMs, silenceMs } = this.#options;
    const sentAtMs = clock.monotonicMs();
    const client = await this.#connected();
    const deadline = setTimeout(() => destroyClient(client), silenceMs);
    try {
      const fingerprints = await client.query<SchemaFingerprint>(FIND_SCHEMA_FINGERPRINT_SQL);
      const fingerprint = fingerprints.rows[0]?.schema ?? '';
      const { rows: found } = await client.query<{ snapshot: string; position: string; timeline: number }>(LOOK_SQL);
      const row = found[0];
      if (!row) throw new FeedError('ERR_FEED_PROTOCOL', 'The database answered nothing.');
      const before = this.#fingerprint;
      const isOther = before !== undefined && row.timeline !== this.#timeline;
      if (before !== fingerprint || isOther) {
        const { rows: tables } = await client.query<TableRow>(FIND_TABLES_SQL, ['']);
        this.#fingerprint = fingerprint;
        this.#timeline = row.timeline;
        this.#take(tables);
        if (isOther || before === undefined) this.#position = parsePosition(row.position);
        this.#beginEpoch(before === undefined ? 'start' : isOther ? 'new timeline' : 'schema changed');
        if (before !== undefined) this.#events.emit('schema');
      }
      this.#lagMs = clock.monotonicMs() - sentAtMs;
      this.#advance(parsePosition(row.position));
      this.#freshUntilMs = sentAtMs + Math.max(leaseMs, UNSEEN_MAX_MS);
      this.#events.emit('freshness', this.#freshUntilMs);
      this.#events.emit('snapshot', parseSnapshot(row.snapshot));
    } finally {
      clearTimeout(deadline);
    }
  }

  #take(tables: readonly TableRow[]): void {
    this.#tables = tables;
    const followed = tables.filter((row) => row.kind !== 'foreign' && row.permanent);
    this.#published = new Set(followed.map((row) => row.oid));
    this.#changes = followed.map(({ oid, schema, name }) => ({
      kind: 'all',
      relation: { oid, schema, name, columns: [] },
    }));
  }

  #beginEpoch(reason: EpochReason): void {
    this.#epoch++;
    this.#events.emit('epoch', this.#epoch, reason);
  }

  #advance(position: bigint): void {
    if (position <= this.#position) return;
    this.#position = position;
    this.#events.emit('advance', position);
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client) return this.#client;
    const client = createClient(this.#options, { applicationName: 'vazao feed (app)', settings: {} });
    this.#client = client;
    await client.connect();
    client.once('end', () => {
      if (this.#client === client) this.#client = undefined;
    });
    this.#serverVersion = (await checkServer(client)).version;
    return client;
  }

  async #disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (client) await endClient(client);
  }

  #setState(state: FeedState): void {
    if (this.#state !== 'closed') this.#state = state;
  }
}
