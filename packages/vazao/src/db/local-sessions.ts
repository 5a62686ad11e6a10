/**
 * What statements mean where a transaction has set a role, a search path or a time zone for itself. The first time that one
 * comes it is unknown: PostgreSQL is asked in the background, whether it can be set and what it makes of names and policies.
 */
import { LRUCache } from 'lru-cache';
import { type Analyzer, type Catalog, type CatalogTable, SESSION_SETTINGS } from '../readset/index.ts';
import { HeldClient } from './held-client.ts';
import { loadRowSecurity, SEARCH_PATH_SQL } from './load-catalog.ts';
import { isSqlState } from './sql-state.ts';
import type { PooledClient } from './tracked-client.ts';

type Settings = ReadonlyMap<string, string>;

/** Without its analyzer, which is not to outlast its place among those. */
interface Known {
  readonly analyzerKey: string;
  readonly shown: Settings;
}

export interface LocalSession {
  readonly analyzer: Analyzer;
  /** The settings as PostgreSQL shows them: it writes the name of a time zone its own way. */
  readonly shown: Settings;
}

export interface LocalSessionsOptions {
  readonly connect: () => Promise<PooledClient>;
  /** Of the pool's own sessions. */
  readonly catalog: Catalog;
  readonly analyzer: Analyzer;
  readonly createAnalyzer: (catalog: Catalog, templatesMax: number) => Analyzer;
}

/** Of role and path together with a time zone; small. */
const SESSIONS_MAX = 2_000;
/** Each holds templates; those of roles have tables of their own besides. */
const ANALYZERS_MAX = 100;
const TEMPLATES_MAX = 200;
/** What PostgreSQL would not set is asked for again after so long: a role may have been created, of which no feed tells. */
const REFUSED_MS = 10_000;

export class LocalSessions {
  readonly #options: LocalSessionsOptions;
  readonly #sessions = new LRUCache<string, Known | 'refused'>({ max: SESSIONS_MAX });
  readonly #analyzers = new LRUCache<string, Analyzer>({ max: ANALYZERS_MAX });
  #isAsking = false;

  constructor(options: LocalSessionsOptions) {
    this.#options = options;
  }

  /** Undefined while it is unknown. Settings of the application make no difference. */
  find(settings: Settings): LocalSession | 'refused' | undefined {
    const own = SESSION_SETTINGS.filter((name) => settings.has(name));
    if (own.length === 0) return { analyzer: this.#options.analyzer, shown: settings };
    const chosen = own.map((name): [string, string] => [name, settings.get(name) as string]);
    const key = JSON.stringify(chosen);
    const known = this.#sessions.get(key);
    if (known === 'refused') return known;
    const analyzer = known && this.#analyzers.get(known.analyzerKey);
    if (analyzer) return { analyzer, shown: known.shown };
    if (!this.#isAsking) void this.#ask(key, new Map(chosen));
    return undefined;
  }

  async #ask(key: string, settings: Settings): Promise<void> {
    this.#isAsking = true;
    try {
      this.#sessions.set(key, await this.#load(settings));
    } catch (error) {
      // Where it is the connection that failed, the next one asks again.
      if (isSqlState((error as { code?: unknown }).code)) this.#sessions.set(key, 'refused', { ttl: REFUSED_MS });
    }
    this.#isAsking = false;
  }

  /** Throws what PostgreSQL says to a value that it does not take. */
  async #load(settings: Settings): Promise<Known> {
    const held = new HeldClient(await this.#options.connect());
    const { client } = held;
    try {
      await client.send('begin transaction isolation level repeatable read, read only');
      const shown = new Map<string, string>();
      for (const [name, value] of settings) {
        const config = { text: 'select pg_catalog.set_config($1, $2, true) as shown', values: [name, value] };
        shown.set(name, (await client.send(config)).rows[0].shown);
      }
      const { path } = (await client.send(SEARCH_PATH_SQL)).rows[0] as { path: string[] };
      const analyzerKey = await this.#loadAnalyzer(client, settings.get('role'), path);
      await client.send('commit');
      held.release();
      return { analyzerKey, shown };
    } catch (error) {
      await held.undo();
      throw error;
    }
  }

  /** Returns its key. */
  async #loadAnalyzer(client: PooledClient, role: string | undefined, path: readonly string[]): Promise<string> {
    const { catalog, analyzer, createAnalyzer } = this.#options;
    const key = JSON.stringify([role ?? null, path]);
    if (this.#analyzers.get(key)) return key;
    let found = analyzer;
    if (role !== undefined) {
      const secured = await loadRowSecurity(client as never);
      const tables = catalog.tables.map((table): CatalogTable => ({ ...table, ...secured.get(table.oid) }));
      found = createAnalyzer({ ...catalog, tables, searchPath: path }, TEMPLATES_MAX);
    } else if (path.join('\0') !== catalog.searchPath.join('\0')) {
      found = analyzer.withSearchPath(path, TEMPLATES_MAX);
    }
    this.#analyzers.set(key, found);
    return key;
  }
}
