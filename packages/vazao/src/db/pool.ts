/**
 * A `pg.Pool` that knows, by the asynchronous context of its caller, which fill a statement is read for. Kysely, Drizzle
 * and plain pg work on it unchanged; outside a fill it is pg's own pool, plus the position of each write.
 */
import { AsyncResource } from 'node:async_hooks';
import pg from 'pg';
import type { Cache } from '../cache/index.ts';
import { parsePosition } from '../feed/index.ts';
import type { DeclaredFunction } from '../readset/index.ts';
import { Analysis, type AnalysisFeed } from './analysis.ts';
import { COMMITTED_POSITION_SQL } from './committed-position.ts';
import { currentContext, runWithoutContext } from './context.ts';
import { FillClient } from './fill-client.ts';
import { FillSession } from './fill-session.ts';
import { HeldClient } from './held-client.ts';
import { LooseSession, type LooseSessionParts } from './loose-session.ts';
import { asBusy, boundedConfig, findBusy, type PoolBounds, transactionOption } from './pool-bounds.ts';
import type { ReplicaFigures } from './replica.ts';
import { type ReplicaFeed, Replicas } from './replicas.ts';
import type { Schema } from './schema.ts';
import { type PooledClient, TrackedClient } from './tracked-client.ts';

/** The part of a cache that a pool speaks with. */
export type PoolCache = Pick<Cache<unknown>, 'setLineage' | 'isFresh' | 'noteUntold' | 'findUntoldBy'>;

export interface PoolOptions extends pg.PoolConfig {
  readonly cache: PoolCache;
  readonly feed: AnalysisFeed & ReplicaFeed;
  /** Name of the feed's publication. @defaultValue `vazao` */
  readonly publication?: string | undefined;
  /**
   * Functions of the database that are neither IMMUTABLE nor written in SQL, and what each depends on. An answer that calls
   * one is kept until one of these tables changes; without the declaration it is not kept. What is declared is believed: a
   * table that is left out is a change that goes unseen.
   *
   * ```ts
   * declaredFunctions: [
   *   { name: 'public.normalizar', reads: 'arguments' },
   *   { name: 'public.saldo', reads: ['public.contas', 'public.lancamentos'] },
   * ]
   * ```
   *
   * A name that can't be one is a TypeError. @defaultValue none
   */
  readonly declaredFunctions?: readonly DeclaredFunction[] | undefined;
  /**
   * Connection strings of physical replicas (streaming standbys) of the database. Cached routes compute their answers there
   * while a replica has replayed all that this host has shown; writes and what is not cached stay on the primary. Each has
   * up to `max` connections. @defaultValue none
   */
  readonly replicaUrls?: readonly string[] | undefined;
  /**
   * Called after each write with where the log stood then, before whoever wrote goes on. Every write is then followed by the
   * question, on the same connection. @defaultValue asked within requests and `trackWrites` alone
   */
  readonly onWrite?: ((position: bigint) => void) | undefined;
  /** What nobody may do without end; those on statements and transactions hold on replicas too. @defaultValue none */
  readonly bounds?: PoolBounds | undefined;
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
  readonly #replicas: Replicas | undefined;
  readonly #bounds: PoolBounds;

  constructor(options: PoolOptions) {
    const {
      cache,
      feed,
      publication = 'vazao',
      declaredFunctions = [],
      replicaUrls = [],
      onWrite,
      bounds = {},
      ...own
    } = options;
    const rest = boundedConfig(own, bounds);
    // The clients are made by the pool from its options, so what they need travels there.
    const shared = { ...rest, Client: TrackedClient } as unknown as pg.PoolConfig;
    super(shared);
    this.#bounds = bounds;
    this.#analysis = new Analysis(() => this.#connectPlain(), {
      cache,
      feed,
      publication,
      declaredFunctions,
      onWrite,
    });
    // The string wins over the single options; what it does not say is as for the primary.
    const connections = replicaUrls.map((connectionString) => ({ ...rest, connectionString }));
    if (connections.length > 0) this.#replicas = new Replicas(connections, feed, this.#analysis, () => cache.isFresh());
    // While it waits nothing is answered from memory, so that the line is long: being refused would keep it so.
    cache.findUntoldBy(async () => readPosition(await this.#connectInLine()));
    Object.defineProperty(this.options, 'analysis', { value: this.#analysis, enumerable: false });
  }

  /** Reads the schema. Until then the pool works, and nothing that runs on it is cached. */
  async prepare(): Promise<void> {
    await this.#analysis.load();
    if (this.#bounds.transactionMs) await this.#boundTransactions();
    await this.#replicas?.prepare();
  }

  /** What has become of each replica, in the order of `replicaUrls`. */
  replicas(): readonly ReplicaFigures[] {
    return this.#replicas?.figures() ?? [];
  }

  /** What is known of statements and tables at this moment; undefined while the schema is being read. */
  get analyzer(): Analysis['analyzer'] {
    return this.#analysis.analyzer;
  }

  /** What processes that share answers must agree on; undefined while the schema is being read. */
  get schema(): Schema | undefined {
    return this.#analysis.schema;
  }

  /** Everything that anybody has seen of the primary so far was committed before this. Throws what pg throws. */
  async readPosition(): Promise<bigint> {
    return readPosition(await this.#connectPlain());
  }

  /** Opens the care for a fill; its statements are those issued in a context with this session. */
  openSession(fill: FillSession['fill']): FillSession {
    return new FillSession(fill, {
      owner: this,
      analysis: this.#analysis,
      replicas: this.#replicas,
      connectPlain: () => this.#connectPlain(),
    });
  }

  /** Opens the care for a computation whose end may never be told. */
  openLooseSession(parts: Omit<LooseSessionParts, 'openPart' | 'owner'>): LooseSession {
    const session = { owner: this, analysis: this.#analysis, replicas: undefined };
    const connectPlain = (): Promise<PooledClient> => this.#connectPlain();
    const openPart = (part: FillSession['fill']): FillSession => new FillSession(part, { ...session, connectPlain });
    return new LooseSession({ ...parts, owner: this, openPart });
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(callback: ConnectCallback): void;
  override connect(callback?: ConnectCallback): Promise<pg.PoolClient> | undefined {
    const session = currentContext()?.fill;
    if (session?.isOpen && session.owner !== this) {
      // Maybe of another database, whose changes the fill's feed does not tell.
      session.leave('other-pool', 'A statement ran on another pool than the one that the answer is computed on.');
    } else if (session?.isOpen) {
      const client = new FillClient(session, () => this.#connectPlain()) as unknown as pg.PoolClient;
      if (!callback) return Promise.resolve(client);
      // Never before `connect` returns: pg's own does not either.
      process.nextTick(callback, undefined, client, (error: unknown) => client.release(error as Error));
      return undefined;
    }
    if (!callback) return this.#connectPlain() as unknown as Promise<pg.PoolClient>;
    // pg calls back in the context of whoever returned the connection.
    const bound = AsyncResource.bind(callback);
    const busy = findBusy(this, this.#bounds);
    if (busy) process.nextTick(bound, busy, undefined, () => {});
    else {
      const endWait = this.#beginWait();
      const told: ConnectCallback = (error, ...rest) => {
        endWait?.();
        bound(error && (asBusy(error, this, this.#bounds) as Error), ...rest);
      };
      runWithoutContext(() => super.connect(told));
    }
    return undefined;
  }

  override end(): Promise<void>;
  override end(callback: () => void): void;
  override end(callback?: () => void): Promise<void> | undefined {
    this.#analysis.close();
    const ended = Promise.all([super.end(), this.#replicas?.end()]).then(() => {});
    if (!callback) return ended;
    ended.then(callback, callback);
    return undefined;
  }

  async #connectPlain(): Promise<PooledClient> {
    const busy = findBusy(this, this.#bounds);
    if (busy) throw busy;
    return await this.#connectInLine();
  }

  /** A connection outlives the work that it is opened for, and what it emits belongs to nobody's. */
  async #connectInLine(): Promise<PooledClient> {
    const endWait = this.#beginWait();
    try {
      return (await runWithoutContext(() => super.connect())) as unknown as PooledClient;
    } catch (error) {
      throw asBusy(error, this, this.#bounds);
    } finally {
      endWait?.();
    }
  }

  /** Undefined where nobody measures, or where a connection is idle that nobody before wants: that one comes at once. */
  #beginWait(): (() => void) | undefined {
    return this.idleCount > this.waitingCount ? undefined : currentContext()?.stages?.waitForConnection();
  }

  /** Connections from here on have the bound; the one that asked goes. An older server would refuse to know the setting. */
  async #boundTransactions(): Promise<void> {
    const held = new HeldClient(await this.#connectPlain());
    try {
      const { rows } = await held.client.send(`select current_setting('server_version_num')::int as version`);
      const options = this.options as { options?: string };
      const added = transactionOption(rows[0].version, this.#bounds, options.options);
      if (added !== undefined) options.options = added;
    } finally {
      held.release(true);
    }
  }
}

async function readPosition(client: PooledClient): Promise<bigint> {
  const held = new HeldClient(client);
  try {
    const { rows } = await held.client.send(`select ${COMMITTED_POSITION_SQL} as position`);
    return parsePosition(rows[0].position);
  } finally {
    held.release();
  }
}
