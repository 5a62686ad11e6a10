/** A host as the second tier sees it: feed, cache, pool, second tier and relay on one database and one Redis. Values are JSON texts. */
import { Cache, type Entry, type Fill, isShown, untilShown } from '../cache/index.ts';
import {
  createRelay,
  createSecondTier,
  type LeaderLock,
  namespaceOf,
  type Relay,
  type SecondTier,
  type Ticket,
} from '../cache/redis/index.ts';
import { Pool, PostgresLeaderLock, runInContext } from '../db/index.ts';
import { createFeed, type Feed } from '../feed/index.ts';
import type { TestDatabase } from './database.ts';
import { untilUnsuspected } from './unsuspected.ts';

export interface SharedHostOptions {
  readonly database: Pick<TestDatabase, 'url' | 'pool'>;
  readonly redisUrl: string;
  /** Where the feed finds the database; another way there may be slow. @defaultValue the database's own */
  readonly feedUrl?: string | undefined;
  /** Where the relay finds Redis; another way there may be slow. @defaultValue `redisUrl` */
  readonly relayUrl?: string | undefined;
  readonly secret?: string | undefined;
  /** Of the application that it serves. @defaultValue 'test' */
  readonly codeVersion?: string | undefined;
  readonly callTimeoutMs?: number | undefined;
  readonly waitMaxMs?: number | undefined;
  readonly leaseMs?: number | undefined;
}

export interface Answer {
  readonly text: string;
  readonly from: 'first' | 'second' | 'computed' | 'shared';
}

export class SharedHost implements AsyncDisposable {
  readonly feed: Feed;
  readonly cache: Cache<string>;
  readonly db: Pool;
  readonly #options: SharedHostOptions;
  readonly namespace: string;
  tier: SecondTier<string> | undefined;
  relay: Relay | undefined;

  constructor(options: SharedHostOptions, feed: Feed, databaseOid: number) {
    this.#options = options;
    this.feed = feed;
    this.cache = new Cache<string>({ feed });
    this.db = new Pool({
      connectionString: options.database.url,
      max: 4,
      cache: this.cache as Cache<unknown>,
      feed,
    });
    this.db.on('error', () => {});
    this.namespace = namespaceOf({
      systemId: feed.status().systemId ?? '',
      databaseOid,
      publication: 'vazao',
      version: '0',
    });
  }

  static async start(options: SharedHostOptions): Promise<SharedHost> {
    const feed = createFeed({ connection: options.feedUrl ?? options.database.url });
    await feed.start();
    await untilUnsuspected(feed);
    const { rows } = await options.database.pool.query(
      'select oid from pg_database where datname = current_database()',
    );
    const host = new SharedHost(options, feed, rows[0].oid);
    await host.db.prepare();
    host.tier = await createSecondTier<string>({
      url: options.redisUrl,
      namespace: host.namespace,
      schemaHash: () => host.db.schema?.hash,
      codeVersion: options.codeVersion ?? 'test',
      codec: { encode: (text) => Buffer.from(text), decode: (bytes) => bytes.toString() },
      feed,
      secret: options.secret,
      callTimeoutMs: options.callTimeoutMs,
      waitMaxMs: options.waitMaxMs,
      leaseMs: options.leaseMs,
    });
    await host.startRelay();
    return host;
  }

  async startRelay(): Promise<Relay> {
    const { database } = this.#options;
    this.relay = await this.createRelay(
      new PostgresLeaderLock({ connectionString: database.url, name: this.namespace }),
    );
    return this.relay;
  }

  /** One more relay on the feed of this host. */
  createRelay(lock: LeaderLock): Promise<Relay> {
    const { redisUrl, relayUrl = redisUrl } = this.#options;
    return createRelay({
      url: relayUrl,
      namespace: this.namespace,
      feed: this.feed,
      lock,
      findTable: (oid) => this.db.schema?.findTable(oid),
      findSchemaPosition: () => this.db.schema?.position,
      callTimeoutMs: 300,
    });
  }

  /** Answers with the rows of a statement, as a cached route does. */
  async read(text: string): Promise<Answer> {
    const { cache } = this;
    for (let looks = 0; looks < 5; looks++) {
      const entry = cache.get(text);
      if (entry && cache.isFresh() && cache.isGood(entry)) return { text: entry.value, from: 'first' };
      const joined = cache.join(text);
      if (joined.role === 'leader') return this.#lead(text, joined.fill, looks === 0);
      const outcome = await joined.outcome;
      if (outcome.kind === 'value') return { text: outcome.value, from: 'shared' };
    }
    return { text: JSON.stringify((await this.db.query(text)).rows), from: 'computed' };
  }

  async #lead(text: string, fill: Fill<string>, mayAsk: boolean): Promise<Answer> {
    const { cache, feed, tier } = this;
    fill.open();
    const asked = mayAsk && cache.isFresh() ? await tier?.get(text, () => cache.coveredFrom) : undefined;
    if (asked?.kind === 'hit') {
      const { candidate } = asked;
      fill.adopt({ snapshot: candidate.snapshot, position: candidate.snapshotPosition }, candidate.validAt);
      for (const statement of candidate.statements) fill.read(statement, candidate.usesTime);
      if (!isShown(fill, cache) && !(await untilShown(fill, cache, feed, 500)))
        fill.abandon('feed-behind', 'The feed is behind.');
      const { value } = candidate;
      const completed = cache.complete(fill, { key: text, value, valueBytes: value.length });
      if (completed.stored) return { text: value, from: 'second' };
      const joined = cache.join(text);
      if (joined.role === 'leader') return this.#lead(text, joined.fill, false);
      const outcome = await joined.outcome;
      if (outcome.kind === 'value') return { text: outcome.value, from: 'shared' };
      return { text: JSON.stringify((await this.db.query(text)).rows), from: 'computed' };
    }
    return this.#compute(text, fill, asked?.kind === 'miss' ? asked.ticket : undefined);
  }

  async #compute(text: string, fill: Fill<string>, ticket: Ticket | undefined): Promise<Answer> {
    const { cache, feed } = this;
    const session = this.db.openSession(fill as Fill<unknown>);
    let value: string;
    try {
      const result = await runInContext({ fill: session, position: 0n }, () => this.db.query(text));
      value = JSON.stringify(result.rows);
    } catch (error) {
      session.close();
      cache.fail(fill);
      throw error;
    }
    session.close();
    if (feed.isFresh() && !isShown(fill, cache)) {
      if (!(await untilShown(fill, cache, feed, 500))) fill.abandon('feed-behind', 'The feed is behind.');
    }
    const completed = cache.complete(fill, { key: text, value, valueBytes: value.length });
    if (ticket && completed.stored) this.#store(ticket, completed.entry, fill.position);
    else if (ticket) this.tier?.release(ticket);
    return { text: value, from: 'computed' };
  }

  #store(ticket: Ticket, entry: Entry<string>, snapshotPosition: bigint): void {
    const { cache, feed } = this;
    this.tier?.store(ticket, {
      entry,
      snapshotPosition,
      usesTime: false,
      findPosition: () => (cache.get(entry.key) === entry && cache.isGood(entry) ? feed.position : undefined),
      expiresAtMs: undefined,
      notes: [],
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.relay?.close();
    this.tier?.close();
    await this.db.end();
    await this.feed.close();
  }
}
