/**
 * Heartbeats: a message written to the WAL by an ordinary connection, that comes back through the stream.
 *
 *   emitted ──(control connection)──► WAL ──(decoding, stream)──► returned
 *
 * The stream is ordered, so when a heartbeat returns, everything that committed before it was emitted has been delivered.
 * That is the proof of freshness, and it fails closed: without a control connection, or without a stream, none returns.
 *
 * The message carries the snapshot of the statement that wrote it. When it returns, each transaction that this snapshot
 * sees has been delivered, and no later snapshot sees less.
 *
 * One heartbeat at a time is under way on the control connection. A server that answers slowly gets fewer, never a queue.
 */
import type pg from 'pg';
import { destroyClient } from './connection.ts';
import { type FeedError, toFeedError } from './errors.ts';
import { KeptClient } from './kept-client.ts';
import type { ResolvedFeedOptions } from './options.ts';
import { parseSnapshot, type Snapshot } from './snapshot.ts';
import { emitHeartbeatSql } from './sql/emit-heartbeat.ts';
import { FIND_SCHEMA_FINGERPRINT_SQL, type SchemaFingerprint } from './sql/find-schema-fingerprint.ts';

export const HEARTBEAT_PREFIX = 'vazao.heartbeat';

export interface ReturnedHeartbeat {
  /** By the monotonic clock, just before the statement was sent. */
  readonly emittedAtMs: number;
  readonly snapshot: Snapshot;
}

export interface HeartbeatHandler {
  /** The control connection failed; it is opened again with the next heartbeat. */
  problem(error: FeedError): void;
  /** The fingerprint of the schema is another than before. Comes only when it is watched. */
  schemaChanged(what: 'schema' | 'publication'): void;
  lag(lagMs: number): void;
}

interface Pending {
  readonly emittedAtMs: number;
  /** When the statement returned, and when the message did. The lag is known when both are. */
  answeredAtMs?: number;
  returnedAtMs?: number;
}

/** Emitted and not returned. A stream so far behind is given up for its silence long before. */
const PENDING_MAX = 1_000;
const FINGERPRINT_INTERVAL_MS = 1_000;

export class Heartbeats {
  readonly #options: ResolvedFeedOptions;
  readonly #id: string;
  readonly #handler: HeartbeatHandler;
  readonly #sql: string;
  readonly #pending = new Map<number, Pending>();
  readonly #client: KeptClient;
  #beat: Promise<void> | undefined;
  #sequence = 0;
  /** As last seen; `undefined` when it is not watched. */
  #fingerprint: SchemaFingerprint | undefined;
  #fingerprintAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    options: ResolvedFeedOptions,
    id: string,
    server: { readonly version: number; readonly fingerprint: SchemaFingerprint | undefined },
    handler: HeartbeatHandler,
  ) {
    this.#options = options;
    this.#client = new KeptClient(options, 'vazao feed (heartbeat)');
    this.#id = id;
    this.#handler = handler;
    this.#fingerprint = server.fingerprint;
    this.#sql = emitHeartbeatSql(server.version);
  }

  /** When the oldest heartbeat was written that has not returned. By the monotonic clock. */
  get overdueSinceMs(): number | undefined {
    for (const pending of this.#pending.values()) {
      if (pending.answeredAtMs !== undefined) return pending.answeredAtMs;
    }
    return undefined;
  }

  /** Emits a heartbeat, unless one is being emitted. */
  beat(): void {
    if (this.#beat || this.#client.isClosed || this.#pending.size >= PENDING_MAX) return;
    this.#beat = this.#emit()
      .catch((error: unknown) => {
        this.#client.drop();
        if (!this.#client.isClosed) this.#handler.problem(toFeedError(error));
      })
      .finally(() => {
        this.#beat = undefined;
      });
  }

  /** Takes a heartbeat message of the stream; `undefined` when it is another feed's. */
  returned(content: string): ReturnedHeartbeat | undefined {
    const [id, sequenceText, snapshotText] = content.split(' ');
    if (id !== this.#id || snapshotText === undefined) return undefined;
    const sequence = Number(sequenceText);
    const pending = this.#pending.get(sequence);
    if (!pending) return undefined;
    pending.returnedAtMs = this.#options.clock.monotonicMs();
    this.#settle(sequence, pending);
    return { emittedAtMs: pending.emittedAtMs, snapshot: parseSnapshot(snapshotText) };
  }

  async stop(): Promise<void> {
    await this.#client.close();
    await this.#beat;
  }

  async #emit(): Promise<void> {
    const { clock, silenceMs } = this.#options;
    const client = await this.#client.connected();
    const sequence = ++this.#sequence;
    const pending: Pending = { emittedAtMs: clock.monotonicMs() };
    this.#pending.set(sequence, pending);
    // A statement that hangs (a network that swallows packets) must not stop the heartbeats for good.
    const deadline = setTimeout(() => destroyClient(client), silenceMs);
    try {
      await client.query({
        name: 'vazao-heartbeat',
        text: this.#sql,
        values: [HEARTBEAT_PREFIX, `${this.#id} ${sequence} `],
      });
      pending.answeredAtMs = clock.monotonicMs();
      this.#settle(sequence, pending);
      if (this.#fingerprint) await this.#compareFingerprint(client);
    } catch (error) {
      if (pending.answeredAtMs === undefined) this.#pending.delete(sequence);
      throw error;
    } finally {
      clearTimeout(deadline);
    }
  }

  #settle(sequence: number, pending: Pending): void {
    if (pending.answeredAtMs === undefined || pending.returnedAtMs === undefined) return;
    this.#pending.delete(sequence);
    // On one host the message often returns before the answer of the statement that wrote it: no lag.
    this.#handler.lag(Math.max(0, pending.returnedAtMs - pending.answeredAtMs));
  }

  async #compareFingerprint(client: pg.Client): Promise<void> {
    const now = this.#options.clock.monotonicMs();
    if (now - this.#fingerprintAtMs < FINGERPRINT_INTERVAL_MS) return;
    this.#fingerprintAtMs = now;
    const { rows } = await client.query<SchemaFingerprint>(FIND_SCHEMA_FINGERPRINT_SQL);
    const before = this.#fingerprint;
    const fingerprint = rows[0];
    if (!fingerprint || !before) return;
    this.#fingerprint = fingerprint;
    if (before.schema !== fingerprint.schema) this.#handler.schemaChanged('schema');
    else if (before.publication !== fingerprint.publication) this.#handler.schemaChanged('publication');
  }
}
