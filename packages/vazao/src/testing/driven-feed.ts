/** A feed that is driven by hand, fanned out over channels that are slow and lose messages, and what the workers' feeds then tell. */
import type { TestContext } from 'node:test';
import { type EpochReason, EventMap, type FeedEvents } from '../feed/events.ts';
import { FanOut, type FanOutOptions } from '../feed/fanout.ts';
import type { Feed } from '../feed/feed.ts';
import { createRelayedFeed } from '../feed/relayed-feed.ts';
import type { Snapshot } from '../feed/snapshot.ts';
import { createTestChannel, type TestChannelOptions } from './feed-channel.ts';

const LEASE_MS = 600_000;
/** Between the ends of the freshness that two heartbeats give. */
export const HEARTBEATS_APART_MS: number = 1_000;
const TABLES = [1, 2, 3].map((oid) => ({ oid, schema: 'public', name: `t${oid}`, columns: ['id', 'n'] }));

/** Tells what the test wants, by the rules of `feed.ts`. */
export class DrivenFeed extends EventMap<FeedEvents> implements Feed {
  position = 100n;
  timeline = 1;
  epoch = 1;
  lagMs = 0;
  suspects: ReadonlySet<bigint> = new Set();
  published: ReadonlySet<number> = new Set([1, 2]);
  freshUntilMs: number = Number.NEGATIVE_INFINITY;
  sequence = 0;
  xid = 1_000n;
  heartbeats = 0;
  readonly nudges: bigint[] = [];

  isFresh(): boolean {
    return performance.now() <= this.freshUntilMs;
  }
  async start(): Promise<void> {}
  async close(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
  async waitFor(position: bigint): Promise<boolean> {
    this.nudges.push(position);
    return true;
  }
  status(): ReturnType<Feed['status']> {
    return { state: 'streaming', lastError: undefined } as ReturnType<Feed['status']>;
  }

  commit(schemaChanged = false, xid: bigint = ++this.xid, rows = 1): void {
    const relation = TABLES[this.sequence % TABLES.length] as (typeof TABLES)[number];
    const position = this.position + 10n;
    const changes = Array.from({ length: rows }, (_, row) => ({
      kind: 'update' as const,
      relation,
      old: [String(row), null],
      new: [String(row), undefined],
    }));
    const at = { committedAtMs: 1, receivedAtMs: 2 };
    this.emit('commit', { sequence: ++this.sequence, position, xid, ...at, changes, schemaChanged });
    this.advance(position);
  }
  advance(position: bigint = this.position + 1n): void {
    this.position = position;
    this.emit('advance', position);
  }
  heartbeat(snapshot: Snapshot = { xmin: this.xid + 1n, xmax: this.xid + 1n, running: new Set() }): void {
    // So far apart that each can be told from the others by its value, converted as it may be.
    this.freshUntilMs = LEASE_MS + ++this.heartbeats * HEARTBEATS_APART_MS;
    this.emit('freshness', this.freshUntilMs);
    this.suspects = new Set([...this.suspects].filter((xid) => xid >= snapshot.xmax || snapshot.running.has(xid)));
    this.emit('snapshot', snapshot);
  }
  doubt(): void {
    this.freshUntilMs = Number.NEGATIVE_INFINITY;
    this.emit('freshness', this.freshUntilMs);
    this.commit(true);
  }
  newEpoch(reason: EpochReason = 'stream lost'): void {
    this.position += 1_000n;
    this.suspects = new Set([this.xid]);
    this.emit('epoch', ++this.epoch, reason);
  }
  schema(): void {
    this.suspects = new Set([...this.suspects, this.xid - 1n]);
    this.published = new Set([...this.published, 100 + this.sequence]);
    this.emit('schema');
  }
}

export interface Heard {
  readonly name: keyof FeedEvents;
  readonly args: readonly unknown[];
  /** As the feed stood when it told. */
  readonly position: bigint;
  readonly timeline: number;
  readonly suspects: ReadonlySet<bigint>;
  readonly published: ReadonlySet<number>;
}

const NAMES = ['commit', 'advance', 'freshness', 'snapshot', 'epoch', 'schema'] as const;

export function listen(feed: Feed): Heard[] {
  const heard: Heard[] = [];
  for (const name of NAMES) {
    feed.on(name, (...args: unknown[]) => {
      const { position, timeline, suspects, published } = feed;
      heard.push({ name, args, position, timeline, suspects, published });
    });
  }
  return heard;
}

export interface FanOutSetting extends Disposable {
  readonly source: DrivenFeed;
  readonly fanOut: FanOut;
  readonly told: Heard[];
  join(channel?: TestChannelOptions): { feed: Feed; heard: Heard[]; channel: ReturnType<typeof createTestChannel> };
}

export function createFanOutSetting(context: TestContext, options: Partial<FanOutOptions> = {}): FanOutSetting {
  const source = new DrivenFeed();
  const told = listen(source);
  source.epoch = 0; // not started
  const fanOut = new FanOut({ source, ...options });
  source.epoch = 1;
  const feeds: Feed[] = [];
  source.heartbeat();
  context.after(async () => {
    for (const feed of feeds) await feed.close();
    fanOut.close();
  });
  return {
    source,
    fanOut,
    told,
    join(channelOptions) {
      const channel = createTestChannel(channelOptions);
      fanOut.add(channel.supervisor);
      const feed = createRelayedFeed({ channel: channel.worker });
      feeds.push(feed);
      const heard = listen(feed);
      feed.start().catch(() => {});
      return { feed, heard, channel };
    },
    [Symbol.dispose]: () => fanOut.close(),
  };
}
