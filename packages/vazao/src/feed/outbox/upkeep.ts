/**
 * What has to be done besides polling, on a connection of its own: the lease is renewed, what everybody has read is deleted,
 * and the schema is looked at where it does not announce its changes.
 */
import type pg from 'pg';
import { createClient, destroyClient, endClient } from '../connection.ts';
import { type FeedError, toFeedError } from '../errors.ts';
import type { ResolvedFeedOptions } from '../options.ts';
import type { Snapshot } from '../snapshot.ts';
import { FIND_SCHEMA_FINGERPRINT_SQL, type SchemaFingerprint } from '../sql/find-schema-fingerprint.ts';
import { renewLease } from './install.ts';
import { TRIGGER_FINGERPRINT_SQL } from './sql/find-triggers.ts';

const TICK_MS = 1_000;
const LEASE_RENEW_MS = 10_000;
const DELETE_ROWS_MAX = 50_000;

/**
 * Every feed may delete, and says under which snapshot: whoever had not seen all that it sees begins an epoch. A later one
 * wins; two at once wait for each other at the single row of `outbox_state`.
 */
const DELETE_SQL = `
  with moved as (
    update vazao.outbox_state set deleted = $1
    where deleted is null or split_part(deleted, ':', 2)::xid8 < $2::text::xid8
    returning 1
  )
  delete from vazao.outbox where exists (select from moved) and ctid = any (array(
    select ctid from vazao.outbox where xid < $2::text::xid8 and xid <> all ($3::text::xid8[]) limit ${DELETE_ROWS_MAX}))`;

export interface UpkeepHandler {
  problem(error: FeedError): void;
  schemaChanged(): void;
}

export class Upkeep {
  readonly #options: ResolvedFeedOptions;
  readonly #handler: UpkeepHandler;
  readonly #samples: { readonly atMs: number; readonly snapshot: Snapshot }[] = [];
  /** `undefined` where the schema announces its changes. */
  #fingerprint: string | undefined;
  /** When the schema was last known to be what it was, by the monotonic clock. */
  #schemaSeenAtMs: number;
  #client: pg.Client | undefined;
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> | undefined;
  #renewedAtMs: number;
  #stopped = false;

  /** The lease has just been renewed. */
  constructor(options: ResolvedFeedOptions, fingerprint: string | undefined, handler: UpkeepHandler) {
    this.#options = options;
    this.#handler = handler;
    this.#fingerprint = fingerprint;
    this.#renewedAtMs = options.clock.monotonicMs();
    this.#schemaSeenAtMs = this.#renewedAtMs;
  }

  get schemaSeenAtMs(): number {
    return this.#fingerprint === undefined ? Number.POSITIVE_INFINITY : this.#schemaSeenAtMs;
  }

  get fingerprint(): string | undefined {
    return this.#fingerprint;
  }

  /** Takes the fingerprint of a schema that the triggers are in step with. */
  set fingerprint(fingerprint: string | undefined) {
    this.#fingerprint = fingerprint;
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), Math.min(TICK_MS, this.#options.outbox.retentionMs));
  }

  /** Tells of a poll, so that it is known later what everybody has read. */
  polled(snapshot: Snapshot): void {
    const atMs = this.#options.clock.monotonicMs();
    const { retentionMs } = this.#options.outbox;
    const last = this.#samples.at(-1);
    if (last && atMs - last.atMs < retentionMs / 60) return;
    this.#samples.push({ atMs, snapshot });
    // Of those that are old enough only the last is needed.
    while ((this.#samples[1]?.atMs ?? Number.POSITIVE_INFINITY) <= atMs - retentionMs) this.#samples.shift();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    const client = this.#client;
    this.#client = undefined;
    if (client) destroyClient(client);
    await this.#work;
  }

  #tick(): void {
    if (this.#work || this.#stopped) return;
    this.#work = this.#run()
      .catch((error: unknown) => {
        if (this.#client) destroyClient(this.#client);
        this.#client = undefined;
        if (!this.#stopped) this.#handler.problem(toFeedError(error));
      })
      .finally(() => {
        this.#work = undefined;
      });
  }

  async #run(): Promise<void> {
    const { clock, silenceMs, outbox } = this.#options;
    const client = await this.#connected();
    const deadline = setTimeout(() => destroyClient(client), silenceMs);
    try {
      const now = clock.monotonicMs();
      if (now - this.#renewedAtMs >= LEASE_RENEW_MS) {
        await renewLease(client);
        this.#renewedAtMs = now;
      }
      if (this.#fingerprint !== undefined) {
        const sentAtMs = clock.monotonicMs();
        const fingerprint = await readFingerprint(client);
        this.#schemaSeenAtMs = sentAtMs;
        if (fingerprint !== this.#fingerprint) {
          this.#fingerprint = fingerprint;
          this.#handler.schemaChanged();
        }
      }
      const oldest = this.#samples[0];
      if (oldest && oldest.atMs <= now - outbox.retentionMs) {
        const { xmin, xmax, running } = oldest.snapshot;
        const list = [...running].join(',');
        await client.query(DELETE_SQL, [`${xmin}:${xmax}:${list}`, String(xmax), `{${list}}`]);
      }
    } finally {
      clearTimeout(deadline);
    }
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client) return this.#client;
    const client = createClient(this.#options, { applicationName: 'vazao feed (upkeep)', settings: {} });
    try {
      await client.connect();
    } catch (error) {
      destroyClient(client);
      throw error;
    }
    if (this.#stopped) {
      await endClient(client);
      throw new Error('stopped');
    }
    client.once('end', () => {
      if (this.#client === client) this.#client = undefined;
    });
    this.#client = client;
    return client;
  }
}

/** Of the schema, and of the triggers on it. */
export async function readFingerprint(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query<SchemaFingerprint>(FIND_SCHEMA_FINGERPRINT_SQL);
  const { rows: triggers } = await client.query<{ triggers: string }>(TRIGGER_FINGERPRINT_SQL);
  return `${rows[0]?.schema} ${triggers[0]?.triggers}`;
}
