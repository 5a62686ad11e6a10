/**
 * The analyzer that belongs to the database as it is now. A change of the schema takes it away at once; until it is
 * back, statements are of unknown effect and nothing is cached.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Cache } from '../cache/index.ts';
import { type Feed, originOf, parsePosition, parseSnapshot, sees, UNKNOWN_POSITION } from '../feed/index.ts';
import {
  type Analyzer,
  assertDeclared,
  type Catalog,
  createAnalyzer,
  type DeclaredFunction,
  loadParser,
  SESSION_SETTINGS,
} from '../readset/index.ts';
import { catalogDigestSql } from './catalog-digest.ts';
import { COMMITTED_POSITION_SQL } from './committed-position.ts';
import { HeldClient } from './held-client.ts';
import { loadCatalog } from './load-catalog.ts';
import { type LocalSession, LocalSessions } from './local-sessions.ts';
import { LongStatements } from './long-statements.ts';
import { describeSchema, type Schema } from './schema.ts';
import { ALL_SETTINGS_SQL, QUICK_SETTINGS_SQL, SERVER_SETTINGS_SQL } from './session-settings.ts';
import type { PooledClient } from './tracked-client.ts';

/** What a statement may do: nothing but read, write, begin or end a transaction, change the session, or who knows. */
export type Effect = 'read' | 'write' | 'transaction' | 'session' | 'unknown';

/** `begin; insert …; commit` controls a transaction, and writes. Too often true where a comment follows, which does no harm. */
const SEVERAL = /;\s*\S/;
/** `COMMIT PREPARED` commits what another connection, perhaps, has written. */
const PREPARED = /\bprepared\b/i;

/** The part of a feed that tells of changes of the schema, and which tables it follows. */
export type AnalysisFeed = Pick<Feed, 'on'> & Partial<Pick<Feed, 'published' | 'status' | 'writes'>>;

const RETRY_MS = [5, 20, 100, 500, 2_000] as const;

type AnalysisCache = Pick<Cache<unknown>, 'setLineage' | 'noteUntold'>;

export interface AnalysisOptions {
  readonly cache: AnalysisCache;
  readonly feed: AnalysisFeed;
  readonly publication: string;
  readonly declaredFunctions: readonly DeclaredFunction[];
  readonly onWrite: ((position: bigint) => void) | undefined;
}

/** What has been made of a catalog. */
interface Reading {
  /** Of all that it was made from. */
  readonly key: string;
  readonly analyzer: Analyzer;
  readonly locals: LocalSessions;
  readonly schema: Omit<Schema, 'position'>;
  /** Of each table itself and those above it. */
  readonly lineages: ReadonlyMap<number, readonly number[]>;
}

export class Analysis {
  /** Settings of a session that are compared at the beginning of each fill. */
  quickSettings = '';
  /** All settings of a session, compared when a client may have changed some. */
  allSettings = '';
  /** A plain `BEGIN` is one at READ COMMITTED. */
  beginsReadCommitted = false;
  /** Settings of the server that its replicas must have too. */
  serverSettings = '';
  /** The session's own values of what a transaction may set for itself. */
  ownSettings: ReadonlyMap<string, string> = new Map();
  /** Everything that the catalog shows was committed before this position; 0 until it has been read. */
  position = 0n;
  /** Undefined while the catalog is being read. */
  schema: Schema | undefined;
  #analyzer: Analyzer | undefined;
  #locals: LocalSessions | undefined;
  /** What was made of the catalog when it was last read; of use again where it has not changed. */
  #reading: Reading | undefined;
  /** Changes of the schema that the catalog, when it was last read, might not have shown. */
  #schemaXids: ReadonlySet<bigint> = new Set();
  /** Grows with each change: a catalog that was read under another is not taken for the present one. */
  #version = 0;
  /** The catalog is being read, by whom, until it is that of the present version. */
  #isLoading = false;
  #loaded = false;
  readonly #closing = new AbortController();
  readonly #longStatements = new LongStatements();
  readonly #connect: () => Promise<PooledClient>;
  readonly #cache: AnalysisCache;
  readonly #feed: AnalysisFeed;
  readonly #publication: string;
  readonly #declaredFunctions: readonly DeclaredFunction[];
  /** Told where the log stood after each write of this process; undefined where nobody asks. */
  readonly onWrite: ((position: bigint) => void) | undefined;

  constructor(connect: () => Promise<PooledClient>, options: AnalysisOptions) {
    const { cache, feed, publication, declaredFunctions } = options;
    assertDeclared(declaredFunctions);
    this.#connect = connect;
    this.#cache = cache;
    this.#feed = feed;
    this.#publication = publication;
    this.#declaredFunctions = declaredFunctions;
    this.onWrite = options.onWrite;
    feed.on('commit', (commit) => {
      if (!commit.schemaChanged) return;
      this.#schemaXids = new Set([...this.#schemaXids, commit.xid]);
      this.#forget();
    });
    feed.on('schema', () => this.#reload());
    feed.on('epoch', () => this.#reload());
  }

  /** Undefined while the catalog is being read. */
  get analyzer(): Analyzer | undefined {
    return this.#analyzer;
  }

  /** What statements mean where a transaction has set this for them; undefined while that is being asked, or the schema is being read. */
  findLocal(settings: ReadonlyMap<string, string>): LocalSession | 'refused' | undefined {
    return this.#locals?.find(settings);
  }

  /** Where to tell of writes; undefined where the feed sees them by itself. */
  get writes(): Feed['writes'] {
    return this.#feed.writes;
  }

  /** Nobody knows what became of a write. */
  noteUnknownWrite(): void {
    this.#cache.noteUntold(UNKNOWN_POSITION);
  }

  effectOf(text: string): Effect {
    const template = this.#analyzer?.template(text);
    if (!template) return 'unknown';
    if (template.pure) return 'read';
    switch (template.refusal?.code) {
      case 'transaction':
        return SEVERAL.test(text) || PREPARED.test(text) ? 'unknown' : 'transaction';
      case 'session-setting':
        return 'session';
      case 'write':
        return 'write';
      default:
        return 'unknown';
    }
  }

  /** Reads the catalog; needed once before anything is cached. Throws when the database can't be asked. */
  async load(): Promise<void> {
    await loadParser();
    this.#loaded = true;
    this.#isLoading = true;
    try {
      await this.#loadUntilDone((error) => error instanceof OutdatedCatalog);
    } finally {
      this.#isLoading = false;
    }
  }

  close(): void {
    this.#closing.abort();
    this.#longStatements.close();
    this.#forget();
  }

  #forget(): void {
    this.#version++;
    this.#analyzer = undefined;
    this.#locals = undefined;
    this.schema = undefined;
  }

  #reload(): void {
    this.#forget();
    if (!this.#loaded || this.#isLoading) return;
    this.#isLoading = true;
    void this.#loadUntilDone(() => true);
  }

  /**
   * Clears `#isLoading` in the same step in which it finds the catalog to be the present one: a change that comes between
   * the two would find nobody to read it again. Never rejects where everything may be retried.
   */
  async #loadUntilDone(mayRetry: (error: unknown) => boolean): Promise<void> {
    const { signal } = this.#closing;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.#loadOnce();
        return;
      } catch (error) {
        if (!mayRetry(error)) throw error;
      }
      // The database is away, or a change of the schema is not visible yet. Nothing is cached until it is.
      const delayMs = RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)];
      await delay(delayMs, undefined, { ref: false, signal }).catch(() => {}); // rejects when closed, which ends the loop
    }
  }

  async #loadOnce(): Promise<void> {
    const version = this.#version;
    const schemaXids = this.#schemaXids;
    const held = new HeldClient(await this.#connect());
    const { client } = held;
    try {
      // The feed may tell of a commit before new snapshots see it: an older catalog would be taken for the new one.
      const { rows } = await client.send('select pg_current_snapshot()::text as snapshot');
      const snapshot = parseSnapshot(rows[0].snapshot);
      if (![...schemaXids].every((xid) => sees(snapshot, xid))) throw new OutdatedCatalog();
      const settings = await client.send(
        `select ${QUICK_SETTINGS_SQL} as quick, (${ALL_SETTINGS_SQL}) as "all", ${SERVER_SETTINGS_SQL} as server,
          ${SESSION_SETTINGS.map((name) => `current_setting('${name}') as ${name}`).join(', ')},
          current_setting('default_transaction_isolation') as isolation,
          current_setting('server_version_num')::int as version`,
      );
      const reading = await this.#read(client, settings.rows[0]);
      const { rows: after } = await client.send(`select ${COMMITTED_POSITION_SQL} as position`);
      if (this.#version !== version) throw new OutdatedCatalog();
      this.quickSettings = settings.rows[0].quick;
      this.allSettings = settings.rows[0].all;
      this.serverSettings = settings.rows[0].server;
      this.beginsReadCommitted = settings.rows[0].isolation === 'read committed';
      this.position = parsePosition(after[0].position);
      this.#schemaXids = new Set();
      this.ownSettings = new Map(SESSION_SETTINGS.map((name) => [name, settings.rows[0][name]]));
      this.#cache.setLineage((oid) => reading.lineages.get(oid));
      this.#analyzer = reading.analyzer;
      this.#locals = reading.locals;
      this.schema = { ...reading.schema, position: this.position };
      this.#isLoading = false;
    } catch (error) {
      held.release(!(error instanceof OutdatedCatalog));
      throw error;
    }
    held.release();
  }

  /** The last reading where the catalog is still that one: what is known of statements stays known. */
  async #read(client: PooledClient, settings: SettingsRow): Promise<Reading> {
    const status = this.#feed.status?.();
    // Another set comes with an event after which the catalog is read again.
    const published = !status || (originOf(status) ?? 'wal') === 'wal' ? undefined : this.#feed.published;
    const { rows } = await client.send(catalogDigestSql(settings.version));
    const key = JSON.stringify([rows[0].digest, settings, published && [...published]]);
    if (this.#reading?.key === key) return this.#reading;
    const catalog = await loadCatalog(client as never, { publication: this.#publication, published });
    const createFor = (catalog: Catalog, templatesMax?: number): Analyzer =>
      createAnalyzer(catalog, {
        declaredFunctions: this.#declaredFunctions,
        templatesMax,
        findLongReading: this.#longStatements.forCatalog(catalog, this.#declaredFunctions),
      });
    const analyzer = createFor(catalog);
    const locals = new LocalSessions({ connect: this.#connect, catalog, analyzer, createAnalyzer: createFor });
    // The last of the quick ones is the session's own schema for temporary tables.
    const settingsText = [settings.quick.replace(/\|[^|]*$/, ''), settings.server];
    const schema = describeSchema(catalog, this.#declaredFunctions, settingsText);
    const lineages = new Map(catalog.tables.map((table) => [table.oid, [table.oid, ...table.ancestors]]));
    this.#reading = { key, analyzer, locals, schema, lineages };
    return this.#reading;
  }
}

interface SettingsRow {
  readonly quick: string;
  readonly server: string;
  readonly version: number;
}

/** The schema changed while it was read, or the change is not visible to new snapshots yet. */
class OutdatedCatalog extends Error {}
