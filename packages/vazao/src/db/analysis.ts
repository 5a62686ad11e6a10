/**
 * The analyzer that belongs to the database as it is now. A change of the schema takes it away at once; until it is
 * back, statements are of unknown effect and nothing is cached.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Cache } from '../cache/index.ts';
import { type Feed, parseSnapshot, sees } from '../feed/index.ts';
import { type Analyzer, createAnalyzer, loadParser } from '../readset/index.ts';
import type { PooledClient } from './fill-session.ts';
import { loadCatalog } from './load-catalog.ts';

/** What a statement may do: nothing but read, write, begin or end a transaction, change the session, or who knows. */
export type Effect = 'read' | 'write' | 'transaction' | 'session' | 'unknown';

/** The part of a feed that tells of changes of the schema. */
export type AnalysisFeed = Pick<Feed, 'on'>;

const RETRY_MS = [5, 20, 100, 500, 2_000] as const;

export class Analysis {
  /** Settings of a session that are compared at the beginning of each fill. */
  quickSettings = '';
  /** All settings of a session, compared when a client may have changed some. */
  allSettings = '';
  #analyzer: Analyzer | undefined;
  #schemaXid = 0n;
  #loading: Promise<void> | undefined;
  #again = false;
  #loaded = false;
  #closed = false;
  readonly #connect: () => Promise<PooledClient>;
  readonly #cache: Cache<unknown>;
  readonly #publication: string;

  constructor(connect: () => Promise<PooledClient>, cache: Cache<unknown>, feed: AnalysisFeed, publication: string) {
    this.#connect = connect;
    this.#cache = cache;
    this.#publication = publication;
    feed.on('commit', (commit) => {
      if (!commit.schemaChanged) return;
      this.#analyzer = undefined;
      this.#schemaXid = commit.xid;
    });
    feed.on('schema', () => this.#reload());
    feed.on('epoch', () => this.#reload());
  }

  /** Undefined while the catalog is being read. */
  get analyzer(): Analyzer | undefined {
    return this.#analyzer;
  }

  effectOf(text: string): Effect {
    const template = this.#analyzer?.template(text);
    if (!template) return 'unknown';
    if (template.pure) return 'read';
    switch (template.refusal?.code) {
      case 'transaction':
        return 'transaction';
      case 'session-setting':
        return 'session';
      case 'write':
        return 'write';
      default:
        return 'unknown';
    }
  }

  /** Reads the catalog; needed once before anything is cached. */
  async load(): Promise<void> {
    await loadParser();
    await this.#loadOnce();
    this.#loaded = true;
  }

  close(): void {
    this.#closed = true;
    this.#analyzer = undefined;
  }

  #reload(): void {
    this.#analyzer = undefined;
    if (!this.#loaded) return;
    if (this.#loading) {
      this.#again = true;
      return;
    }
    this.#loading = this.#loadUntilDone().finally(() => {
      this.#loading = undefined;
    });
  }

  async #loadUntilDone(): Promise<void> {
    for (let attempt = 0; !this.#closed; attempt++) {
      this.#again = false;
      try {
        await this.#loadOnce();
        if (!this.#again) return;
      } catch {
        // The database is away, or the change of the schema is not visible yet. Nothing is cached until it is.
        await delay(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)], undefined, { ref: false });
      }
    }
  }

  async #loadOnce(): Promise<void> {
    const schemaXid = this.#schemaXid;
    const client = await this.#connect();
    try {
      // The feed may tell of a commit before new snapshots see it: an older catalog would be taken for the new one.
      const { rows } = await client.send('select pg_current_snapshot()::text as snapshot');
      if (schemaXid > 0n && !sees(parseSnapshot(rows[0].snapshot), schemaXid))
        throw new Error('The change of the schema is not visible yet.');
      const settings = await client.send(`select ${QUICK_SETTINGS_SQL} as quick, (${ALL_SETTINGS_SQL}) as "all"`);
      const catalog = await loadCatalog(client as never, { publication: this.#publication });
      if (this.#again || this.#schemaXid !== schemaXid || this.#closed)
        throw new Error('The schema changed while it was read.');
      this.quickSettings = settings.rows[0].quick;
      this.allSettings = settings.rows[0].all;
      const lineages = new Map(catalog.tables.map((table) => [table.oid, [table.oid, ...table.ancestors]]));
      this.#cache.setLineage((oid) => lineages.get(oid));
      this.#analyzer = createAnalyzer(catalog);
      client.release();
    } catch (error) {
      client.release(true);
      throw error;
    }
  }
}

/** What changes the meaning of a statement most easily, and costs nothing to ask. */
export const QUICK_SETTINGS_SQL = `concat_ws('|', current_user, current_setting('search_path'), current_setting('TimeZone'),
  current_setting('DateStyle'), pg_my_temp_schema())`;

/** A fingerprint of everything a session can set; about 1 ms. */
export const ALL_SETTINGS_SQL = `select md5(string_agg(name || '=' || setting, ',' order by name)) from pg_settings
  where context in ('user', 'superuser') and name not in ('application_name', 'idle_in_transaction_session_timeout', 'idle_session_timeout',
    'lock_timeout', 'statement_timeout', 'transaction_deferrable', 'transaction_isolation', 'transaction_read_only', 'transaction_timeout')`;
