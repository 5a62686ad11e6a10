/**
 * A `pg.Pool` that knows, by the asynchronous context of its caller, which fill a statement is read for. Kysely, Drizzle
 * and plain pg work on it unchanged; outside a fill it is pg's own pool, plus the position of each write.
 */
import { AsyncResource } from 'node:async_hooks';
import pg from 'pg';
import type { Cache } from '../cache/index.ts';
import { Analysis, type AnalysisFeed } from './analysis.ts';
import { currentContext, runWithoutContext } from './context.ts';
import { FillClient } from './fill-client.ts';
import { FillSession } from './fill-session.ts';
import { type PooledClient, TrackedClient } from './tracked-client.ts';

export interface PoolOptions extends pg.PoolConfig {
  readonly cache: Cache<unknown>;
  readonly feed: AnalysisFeed;
  /** Name of the feed's publication. @defaultValue `vazao` */
  readonly publication?: string | undefined;
}

declare module 'pg' {
  interface QueryResultBase {
    /** Where PostgreSQL's log stood after this write was committed; absent for reads, and inside a transaction until its end. */
    readonly position?: bigint;
  }
}

type ConnectCallback = (
  error: Error | undefined,
  client: pg.PoolClient | undefined,
  release: (error?: unknown) => void,
) => void;

export class Pool extends pg.Pool {
  readonly #analysis: Analysis;

  constructor(options: PoolOptions) {
    const { cache, feed, publication, ...rest } = options;
    // The clients are made by the pool from its options, so what they need travels there.
    const shared = { ...rest, Client: TrackedClient } as unknown as pg.PoolConfig;
    super(shared);
    this.#analysis = new Analysis(() => this.#connectPlain(), cache, feed, publication ?? 'vazao');
    Object.defineProperty(this.options, 'analysis', { value: this.#analysis, enumerable: false });
  }

  /** Reads the schema. Until then the pool works, and nothing that runs on it is cached. */
  async prepare(): Promise<void> {
    await this.#analysis.load();
  }

  /** What is known of statements and tables at this moment; undefined while the schema is being read. */
  get analyzer(): Analysis['analyzer'] {
    return this.#analysis.analyzer;
  }

  /** Opens the care for a fill; its statements are those issued in a context with this session. */
  openSession(fill: FillSession['fill']): FillSession {
    return new FillSession(fill, { analysis: this.#analysis, connectPlain: () => this.#connectPlain() });
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(callback: ConnectCallback): void;
  override connect(callback?: ConnectCallback): Promise<pg.PoolClient> | undefined {
    const session = currentContext()?.fill;
    if (session?.isOpen) {
      const client = new FillClient(session, () => this.#connectPlain()) as unknown as pg.PoolClient;
      if (!callback) return Promise.resolve(client);
      // Never before `connect` returns: pg's own does not either.
      process.nextTick(callback, undefined, client, (error: unknown) => client.release(error as Error));
      return undefined;
    }
    if (!callback) return this.#connectPlain() as unknown as Promise<pg.PoolClient>;
    // pg calls back in the context of whoever returned the connection.
    const bound = AsyncResource.bind(callback);
    runWithoutContext(() => super.connect(bound));
    return undefined;
  }

  override end(): Promise<void>;
  override end(callback: () => void): void;
  override end(callback?: () => void): Promise<void> | undefined {
    this.#analysis.close();
    if (!callback) return super.end();
    super.end(callback);
    return undefined;
  }

  /** A connection outlives the work that it is opened for, and what it emits belongs to nobody's. */
  #connectPlain(): Promise<PooledClient> {
    return runWithoutContext(() => super.connect()) as unknown as Promise<PooledClient>;
  }
}
