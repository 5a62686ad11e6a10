/**
 * The feed of a worker: what the supervisor's feed tells, by way of `fanout.ts`, which says what it rests on.
 *
 *            start()                   hello                    lost: a hole in the numbers, silence, a listener that threw
 *   stopped ─────────► connecting ───────────────► streaming ─────────────────────────────────────► waiting
 *                                                      ▲                    hello                      │
 *                                                      └───────────────────────────────────────────────┘
 *                       close(), or the supervisor is gone, from anywhere ──► closed
 *
 * Each hello begins an epoch, and so does each loss: at once, without waiting for anybody. Between a loss and the next
 * hello the feed is not fresh, and what still arrives is thrown away.
 */

import { deserialize } from 'node:v8';
import { Announcer } from './announcer.ts';
import { FeedError, type FeedErrorCode } from './errors.ts';
import type { EpochReason, FeedEvents } from './events.ts';
import { BEAT_MS } from './fanout.ts';
import type { FeedChannel } from './fanout-channel.ts';
import type { FanOutMessage, FanOutReply, Standing, Told } from './fanout-messages.ts';
import type { Feed } from './feed.ts';
import { type FreshnessProof, HostClockProof, type ToldFreshness } from './freshness-proof.ts';
import { type Clock, systemClock, WAITERS_MAX_DEFAULT } from './options.ts';
import { formatPosition, UNKNOWN_POSITION } from './position.ts';
import { RelationMemory } from './relation-memory.ts';
import type { FeedState, FeedStatus } from './status.ts';
import { Suspects } from './suspects.ts';
import { PositionWaiters } from './waiters.ts';

export interface RelayedFeedOptions {
  readonly channel: FeedChannel;
  /** How long `start()` waits for a feed that is fresh, in milliseconds. @defaultValue {@link START_TIMEOUT_MS_DEFAULT} */
  readonly startTimeoutMs?: number | undefined;
  /** Callers of `waitFor` at one time; more are told `false` at once. @defaultValue {@link WAITERS_MAX_DEFAULT} */
  readonly waitersMax?: number | undefined;
  /** @defaultValue the system's clocks */
  readonly clock?: Clock | undefined;
  /** @defaultValue by the clock of the host, which whoever tells has, too */
  readonly proof?: FreshnessProof | undefined;
  /** Makes the status of the feed that is told of that of this one. @defaultValue as it is */
  readonly describe?: ((told: FeedStatus) => FeedStatus) | undefined;
  /** Who tells, for messages. @defaultValue `The supervisor` */
  readonly teller?: string | undefined;
}

export const START_TIMEOUT_MS_DEFAULT = 20_000;
/** Acknowledgements are sent for so many messages together, or so much later. Far below what the fan-out bounds. */
const ACKNOWLEDGED_TOGETHER = 64;
const ACKNOWLEDGE_MS = 20;
/** Beats without a word after which a hello is asked for. Counted, not timed: a busy event loop is not silence. */
const SILENT_BEATS_MAX = 8;
/** Between two questions for a hello. */
const ASK_BEATS = 4;
/** A waiter that is not served by then has the supervisor ask the database for a heartbeat. */
const NUDGE_MS = 1;

/** Creates a feed that follows the supervisor's; `start()` it, and close it with `close()` or `await using`. */
export function createRelayedFeed(options: RelayedFeedOptions): Feed {
  return new RelayedFeed(options);
}

class RelayedFeed implements Feed {
  readonly #channel: FeedChannel;
  readonly #clock: Clock;
  readonly #startTimeoutMs: number;
  readonly #proof: FreshnessProof;
  readonly #describe: (told: FeedStatus) => FeedStatus;
  readonly #teller: string;
  readonly #events: Announcer;
  readonly #relations = new RelationMemory();
  readonly #suspects = new Suspects();
  readonly #waiters: PositionWaiters;
  readonly #started = Promise.withResolvers<void>();
  readonly #releases: (() => void)[] = [];
  #state: FeedState = 'stopped';
  /** Of the last message. */
  #number = 0;
  #acknowledged = 0;
  #acknowledging: NodeJS.Timeout | undefined;
  #nudging: NodeJS.Timeout | undefined;
  /** The highest position that anybody waits for. */
  #awaited = 0n;
  #silentBeats = 0;
  #beatsSinceAsked = 0;
  #epoch = 0;
  #position = 0n;
  #timeline = 0;
  #sequence = 0;
  #lagMs = 0;
  #freshUntilMs = Number.NEGATIVE_INFINITY;
  #published: ReadonlySet<number> = new Set();
  /** As the supervisor told it last. */
  #status: FeedStatus;

  constructor(options: RelayedFeedOptions) {
    this.#channel = options.channel;
    this.#clock = options.clock ?? systemClock;
    this.#proof = options.proof ?? new HostClockProof(this.#clock);
    this.#describe = options.describe ?? ((told) => told);
    this.#teller = options.teller ?? 'The supervisor';
    this.#status = this.#describe(UNKNOWN_STATUS);
    this.#events = new Announcer(this.#clock);
    this.#startTimeoutMs = options.startTimeoutMs ?? START_TIMEOUT_MS_DEFAULT;
    this.#waiters = new PositionWaiters(options.waitersMax ?? WAITERS_MAX_DEFAULT);
    this.#started.promise.catch(() => {}); // told to the caller of start(), if there is one
  }

  get position(): bigint {
    return this.#position;
  }

  get epoch(): number {
    return this.#epoch;
  }

  get timeline(): number {
    return this.#timeline;
  }

  get lagMs(): number {
    return Math.max(this.#lagMs, (this.#silentBeats - 1) * BEAT_MS);
  }

  get suspects(): ReadonlySet<bigint> {
    return this.#suspects.set;
  }

  get published(): ReadonlySet<number> {
    return this.#published;
  }

  isFresh(): boolean {
    return this.#clock.monotonicMs() <= this.#freshUntilMs;
  }

  on<Name extends keyof FeedEvents>(name: Name, listener: (...args: FeedEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  async start(): Promise<void> {
    if (this.#state !== 'stopped') {
      throw new FeedError('ERR_FEED_CLOSED', `A feed starts once; this one is ${this.#state}.`);
    }
    this.#state = 'connecting';
    const ticker = setInterval(() => this.#onBeat(), BEAT_MS);
    ticker.unref();
    const late = setTimeout(() => {
      // Without Redis every answer is computed: better than none.
      if (this.#state === 'streaming' && this.#status.source === 'stream') {
        this.#started.resolve();
        return;
      }
      const text = `${this.#teller} told of no fresh feed within ${this.#startTimeoutMs} ms. ${this.#events.lastError?.message ?? ''}`;
      this.#started.reject(new FeedError('ERR_FEED_HEARTBEAT', text.trimEnd()));
    }, this.#startTimeoutMs);
    this.#releases.push(
      () => clearInterval(ticker),
      () => clearTimeout(late),
      this.#channel.onMessage((message) => this.#onMessage(message as FanOutMessage)),
      this.#channel.onClose(() => this.#end(`${this.#teller} is gone.`)),
    );
    this.#proof.start?.((error) => this.#events.problem(error));
    this.#ask('lost');
    try {
      await this.#started.promise;
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  async close(): Promise<void> {
    this.#end('The feed was closed.');
    await this.#proof.close?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  waitFor(position: bigint, timeoutMs: number): Promise<boolean> {
    if (position <= this.#position) return Promise.resolve(true);
    if (this.#state !== 'streaming' || position === UNKNOWN_POSITION) return Promise.resolve(false);
    if (position > this.#awaited) this.#awaited = position;
    this.#nudging ??= setTimeout(() => {
      this.#nudging = undefined;
      if (this.#waiters.length > 0) this.#reply({ nudge: this.#awaited });
    }, NUDGE_MS);
    return this.#waiters.add(position, timeoutMs);
  }

  status(): FeedStatus {
    return {
      ...this.#status,
      state: this.#state === 'streaming' ? this.#status.state : this.#state,
      fresh: this.isFresh(),
      epoch: this.#epoch,
      position: formatPosition(this.#position),
      lagMs: this.lagMs,
      commits: this.#sequence,
      suspects: this.#suspects.set.size,
      waiters: this.#waiters.length,
      lastError: this.#events.lastError ?? this.#status.lastError,
    };
  }

  #onMessage({ number, body }: FanOutMessage): void {
    const isNext = number === this.#number + 1;
    this.#number = number;
    this.#silentBeats = 0;
    this.#acknowledge();
    try {
      const turn = deserialize(body) as readonly Told[];
      const [first] = turn;
      if (first?.kind !== 'hello') {
        if (this.#state !== 'streaming') return;
        if (!isNext) throw new FeedError('ERR_FEED_STREAM', 'A message was lost on its way.');
      } else if (first.continues && isNext && this.#state === 'streaming') return;
      this.#relations.beginMessage();
      for (const told of turn) this.#take(told);
    } catch (error) {
      this.#lose(error);
    }
  }

  #take(told: Told): void {
    switch (told.kind) {
      case 'hello': {
        const isSameTimeline = told.standing.timeline === this.#timeline;
        this.#replaceSuspects(told.standing);
        this.#stand(told.standing);
        this.#state = 'streaming';
        this.#beginEpoch(this.#epoch === 0 ? 'start' : isSameTimeline ? 'stream lost' : 'new timeline');
        this.#setFreshUntil(told.standing);
        return;
      }
      case 'epoch':
        if (told.reason === 'new timeline') this.#replaceSuspects(told.standing);
        else this.#addSuspects(told.standing);
        this.#stand(told.standing);
        this.#beginEpoch(told.reason);
        return;
      case 'schema':
        this.#addSuspects(told.standing);
        this.#stand(told.standing);
        this.#events.announce('schema');
        return;
      case 'commit': {
        const changes = told.commit.changes.map((change) => this.#relations.adopt(change));
        this.#events.announce('commit', { ...told.commit, sequence: ++this.#sequence, changes });
        return;
      }
      case 'advance':
        this.#position = told.position;
        this.#waiters.pass(told.position);
        this.#events.announce('advance', told.position);
        return;
      case 'freshness':
        this.#setFreshUntil(told);
        return;
      case 'snapshot':
        this.#suspects.clear(told.snapshot);
        this.#events.announce('snapshot', told.snapshot);
        return;
      case 'problem':
        this.#events.problem(new FeedError(told.code as FeedErrorCode, told.message));
        return;
      case 'beat':
        this.#lagMs = told.lagMs;
        this.#status = { ...this.#status, state: told.state, lastError: told.lastError };
        return;
    }
  }

  #replaceSuspects({ suspects }: Standing): void {
    this.#suspects.replace({ xmin: 0n, xmax: 0n, running: suspects });
  }

  /** Those that this worker knows more stay, until a snapshot sees them. */
  #addSuspects({ suspects }: Standing): void {
    this.#suspects.add({ xmin: 0n, xmax: 0n, running: suspects });
  }

  #stand({ position, timeline, published, status }: Standing): void {
    this.#position = position;
    this.#timeline = timeline;
    this.#published = published;
    this.#status = this.#describe(status);
  }

  #beginEpoch(reason: EpochReason): void {
    this.#epoch++;
    this.#awaited = 0n;
    this.#waiters.fail();
    this.#events.announce('epoch', this.#epoch, reason);
  }

  #setFreshUntil(told: ToldFreshness): void {
    this.#freshUntilMs = this.#proof.findFreshUntilMs(told, this.#position);
    this.#events.announce('freshness', this.#freshUntilMs);
    if (this.isFresh()) this.#started.resolve();
  }

  /** What came so far is unfounded, and what comes is of no use before the next hello. */
  #lose(cause: unknown): void {
    this.#stop('waiting');
    this.#events.problem(cause);
    try {
      this.#beginEpoch('stream lost');
    } catch (error) {
      this.#events.problem(error); // not fresh, and the hello begins another
    }
    // A listener that throws at each commit would have the supervisor make one hello after the other.
    if (this.#beatsSinceAsked >= ASK_BEATS) this.#ask('lost');
  }

  #end(reason: string): void {
    if (this.#state === 'closed') return;
    this.#stop('closed');
    for (const release of this.#releases) release();
    clearTimeout(this.#acknowledging);
    clearTimeout(this.#nudging);
    this.#started.reject(new FeedError('ERR_FEED_CLOSED', reason));
  }

  #stop(state: FeedState): void {
    this.#state = state;
    this.#freshUntilMs = Number.NEGATIVE_INFINITY;
    this.#waiters.fail();
    try {
      this.#events.announce('freshness', this.#freshUntilMs);
    } catch (error) {
      this.#events.problem(error);
    }
  }

  #onBeat(): void {
    this.#silentBeats++;
    this.#beatsSinceAsked++;
    if (this.#beatsSinceAsked < ASK_BEATS) return;
    if (this.#silentBeats > SILENT_BEATS_MAX) this.#ask('silence');
    else if (this.#state !== 'streaming') this.#ask('lost');
  }

  #ask(why: 'lost' | 'silence'): void {
    this.#beatsSinceAsked = 0;
    this.#reply({ wantsHello: why });
  }

  #acknowledge(): void {
    if (this.#number - this.#acknowledged >= ACKNOWLEDGED_TOGETHER) this.#reply({});
    else this.#acknowledging ??= setTimeout(() => this.#reply({}), ACKNOWLEDGE_MS);
  }

  #reply(more: Pick<FanOutReply, 'wantsHello' | 'nudge'>): void {
    clearTimeout(this.#acknowledging);
    this.#acknowledging = undefined;
    this.#acknowledged = this.#number;
    this.#channel.send({ kind: 'feed', taken: this.#number, ...more });
  }
}

const UNKNOWN_STATUS: FeedStatus = {
  state: 'stopped',
  source: 'wal',
  fresh: false,
  epoch: 0,
  position: formatPosition(0n),
  lagMs: 0,
  slot: undefined,
  publication: '',
  tables: [],
  leftOut: [],
  schemaWatch: undefined,
  schemaInStep: false,
  serverVersion: undefined,
  systemId: undefined,
  timeline: undefined,
  commits: 0,
  suspects: 0,
  waiters: 0,
  lastError: undefined,
};
