/** Creates the feed of the source that is asked for, or of the strongest that the database allows. */
import { AppFeed } from './app-feed.ts';
import { FeedError, type FeedErrorCode, toFeedError } from './errors.ts';
import type { FeedEvents } from './events.ts';
import type { Feed } from './feed.ts';
import { LogicalFeed } from './logical-feed.ts';
import { type FeedOptions, type ResolvedFeedOptions, resolveFeedOptions } from './options.ts';
import { OutboxFeed } from './outbox/outbox-feed.ts';
import type { DatabaseSource, FeedStatus, PassedOver } from './status.ts';
import type { WriteSink } from './write-sink.ts';

/** Creates a feed; `start()` it, and close it with `close()` or `await using`. Throws {@link FeedError}. */
export function createFeed(options: FeedOptions): Feed {
  const resolved = resolveFeedOptions(options);
  const source = options.source ?? 'auto';
  if (source === 'auto') return new ChosenFeed(resolved);
  const create = CREATE[source];
  if (create) return create(resolved);
  throw new FeedError('ERR_FEED_OPTIONS', `source is ${source}; it may be auto, ${SOURCES.join(', ')}.`);
}

/** The strongest first. */
export const SOURCES: readonly DatabaseSource[] = ['wal', 'outbox', 'app'];

const CREATE: Readonly<Record<DatabaseSource, (options: ResolvedFeedOptions) => Feed>> = {
  wal: (options) => new LogicalFeed(options),
  outbox: (options) => new OutboxFeed(options),
  app: (options) => new AppFeed(options),
};

/** What says that the database does not offer a source. Everything else may pass, and is no reason to take a weaker one. */
const NOT_OFFERED: Readonly<Record<DatabaseSource, ReadonlySet<FeedErrorCode>>> = {
  wal: new Set(['ERR_FEED_WAL_LEVEL', 'ERR_FEED_PRIVILEGE', 'ERR_FEED_REPLICATION_OFF', 'ERR_FEED_POOLER']),
  outbox: new Set(['ERR_FEED_PRIVILEGE']),
  app: new Set(),
};

/** Whether an error says that the database does not offer a source. */
export function isNotOffered(source: DatabaseSource, code: FeedErrorCode): boolean {
  return NOT_OFFERED[source].has(code);
}

type Attachment = (feed: Feed) => void;

/** Stands for a feed that is chosen when it starts. */
class ChosenFeed implements Feed {
  readonly #options: ResolvedFeedOptions;
  readonly #attachments = new Set<Attachment>();
  readonly #problemListeners = new Set<(problem: Error) => void>();
  readonly #passedOver: PassedOver[] = [];
  #feed: Feed;
  #isClosed = false;

  constructor(options: ResolvedFeedOptions) {
    this.#options = options;
    this.#feed = CREATE.wal(options);
  }

  async start(): Promise<void> {
    const { state } = this.#feed.status();
    if (state !== 'stopped') throw new FeedError('ERR_FEED_CLOSED', `A feed starts once; this one is ${state}.`);
    this.#passedOver.length = 0;
    for (const source of SOURCES) {
      this.#take(CREATE[source](this.#options));
      try {
        await this.#feed.start();
      } catch (error) {
        const { code, message } = toFeedError(error);
        if (this.#isClosed || !isNotOffered(source, code)) throw error;
        this.#passedOver.push({ source, code, message });
        continue;
      }
      for (const { code, message } of this.#passedOver) {
        const text = `The feed is of source ${source}, which is weaker than another that is not offered here. ${message}`;
        for (const tell of this.#problemListeners) tell(new FeedError(code, text));
      }
      return;
    }
  }

  on<Name extends keyof FeedEvents>(name: Name, listener: (...args: FeedEvents[Name]) => void): () => void {
    let off = (): void => {};
    const attach: Attachment = (feed) => {
      off = feed.on(name, listener);
    };
    const tell = listener as (problem: Error) => void;
    if (name === 'problem') this.#problemListeners.add(tell);
    this.#attachments.add(attach);
    attach(this.#feed);
    return () => {
      this.#attachments.delete(attach);
      this.#problemListeners.delete(tell);
      off();
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#feed.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get position(): bigint {
    return this.#feed.position;
  }

  get epoch(): number {
    return this.#feed.epoch;
  }

  get timeline(): number {
    return this.#feed.timeline;
  }

  get lagMs(): number {
    return this.#feed.lagMs;
  }

  get suspects(): ReadonlySet<bigint> {
    return this.#feed.suspects;
  }

  get published(): ReadonlySet<number> {
    return this.#feed.published;
  }

  get ttlDefaultMs(): number | undefined {
    return this.#feed.ttlDefaultMs;
  }

  get writes(): WriteSink | undefined {
    return this.#feed.writes;
  }

  isFresh(): boolean {
    return this.#feed.isFresh();
  }

  waitFor(position: bigint, timeoutMs: number): Promise<boolean> {
    return this.#feed.waitFor(position, timeoutMs);
  }

  status(): FeedStatus {
    return { ...this.#feed.status(), passedOver: [...this.#passedOver] };
  }

  #take(feed: Feed): void {
    if (this.#isClosed) throw new FeedError('ERR_FEED_CLOSED', 'The feed was closed.');
    this.#feed = feed;
    // In the order in which they were added. Those on the feed before die with it: it never started.
    for (const attach of this.#attachments) attach(feed);
  }
}
