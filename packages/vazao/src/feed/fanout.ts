/**
 * One feed of a host, handed to many processes: this is the end in the supervisor, `relayed-feed.ts` is that in a worker.
 *
 *                     asks for a hello                 too much not acknowledged
 *     silent ──────────────────────────► following ──────────────────────────────► behind
 *                  (hello)                   ▲                                        │
 *                                            └────────────────────────────────────────┘
 *                                              has acknowledged all: hello, a new epoch
 *
 * All that the feed tells in one turn of the event loop becomes one message, serialized once, and numbered for each
 * worker. Workers acknowledge. What is unacknowledged is bounded by count and bytes; a worker over the bound is told
 * nothing more until it has taken all it was sent, and then starts anew. Whatever is lost is noticed by the numbers, and
 * answered by a new epoch. So a worker's feed tells a prefix of what this one tells, or says that it does not.
 *
 * What consumers rest on (`feed.ts`, `cache/`), and why it holds in a worker:
 *
 * 1. *A commit is told before `position` passes it, in order, once in an epoch.* Events are recorded as they come, sent in
 *    that order over one ordered channel, and applied in that order. A hole, a message twice and a listener that threw
 *    end the epoch there and then. A hello is made between two turns, never between a commit and its advance.
 * 2. *Freshness comes after the commits that it covers.* It is an event among the others, and an absolute time by the
 *    host's clock: a worker that was stopped, or is behind, finds it over without anybody's help. Conversions between
 *    clocks err towards "over". It is taken back by the same way, before the commit that is the reason. Between this
 *    event here and there a worker may be fresh by a proof that is less than a lease old: that is what a lease promises.
 *    A follower on another host shares no clock: it proves freshness by positions instead (`position-probe.ts`).
 * 3. *Suspects are read before a snapshot is taken.* A worker's set is never smaller than the feed's was when it was told:
 *    it is added to by `hello`, `epoch` and `schema`, and cleared by the snapshots of the heartbeats alone. A worker hears
 *    of such a snapshot later than the supervisor, and a snapshot that is taken after that sees no less.
 * 4. *`published` and the suspects that come with it change together with `epoch` and `schema`.* Each of these events
 *    carries both, and the worker sets both before it calls a listener.
 * 5. *A snapshot event comes after all commits that it sees, and later snapshots see at least as much.* By the order, and
 *    because it only gets older on its way.
 * 6. *A commit may be told before it is visible* (architecture, "By snapshot, not by arrival"). A cache tries such commits
 *    again when a fill ends, from its memory of recent commits. A worker that joins late, or anew, has no memory of those
 *    told before. So what was told and is seen by no heartbeat's snapshot yet counts as suspect for it: a fill whose
 *    snapshot may not see it is not stored. The same holds at each epoch, where caches forget their recent commits. (Ids
 *    are kept here by name: a snapshot's list of running transactions leaves out those at and above its `xmax`.)
 * 7. *`waitFor` speaks of the worker's own position*, so what was waited for is gone from the worker's own cache. Other
 *    workers of the host may be some microseconds behind; the client's position token is what carries it to them.
 *
 * A follower may be a way to many readers (the stream in Redis). One who joins there needs a hello, and those who follow must
 * not begin anew for it: that hello `continues`, and says nothing to whoever has the message before it.
 *
 * Epochs and sequences are counted by each process on its own; nobody compares them between processes.
 */
import { serialize } from 'node:v8';
import { FeedError } from './errors.ts';
import type { Commit, EpochReason } from './events.ts';
import type { FeedChannel } from './fanout-channel.ts';
import { type FanOutReply, hostClockMs, type Standing, type Told } from './fanout-messages.ts';
import type { Feed } from './feed.ts';
import { type Clock, systemClock } from './options.ts';
import { type Snapshot, sees } from './snapshot.ts';

export interface FanOutOptions {
  readonly source: Feed;
  /** The clock of the source. @defaultValue the system's */
  readonly clock?: Clock | undefined;
  /** Messages that a worker may leave unacknowledged. @defaultValue {@link UNACKNOWLEDGED_MAX_DEFAULT} */
  readonly unacknowledgedMax?: number | undefined;
  /** The same in bytes; one message may be larger. @defaultValue {@link UNACKNOWLEDGED_BYTES_MAX_DEFAULT} */
  readonly unacknowledgedBytesMax?: number | undefined;
}

export const UNACKNOWLEDGED_MAX_DEFAULT = 10_000;
export const UNACKNOWLEDGED_BYTES_MAX_DEFAULT: number = 32 * 1024 * 1024;
/** How often workers hear how the feed is, whatever happens; their silence is measured in these. */
export const BEAT_MS = 250;
/** Told and not known to be seen. A heartbeat clears them several times a second, so this is a rate that no database has. */
const UNSEEN_MAX = 100_000;
/** How long the feed is asked to look for a position that a worker waits for. */
const NUDGE_TIMEOUT_MS = 1_000;

interface Follower {
  readonly channel: FeedChannel;
  state: 'silent' | 'following' | 'behind';
  wantsHello: boolean;
  /** Of the last message. */
  number: number;
  /** Oldest first. */
  readonly unacknowledged: { readonly number: number; readonly bytes: number }[];
  unacknowledgedBytes: number;
  nudged: boolean;
}

export class FanOut {
  readonly #source: Feed;
  readonly #clock: Clock;
  readonly #unacknowledgedMax: number;
  readonly #unacknowledgedBytesMax: number;
  readonly #followers = new Set<Follower>();
  readonly #removals: (() => void)[];
  readonly #beat: NodeJS.Timeout;
  /** What was told in this turn and is not sent yet. */
  #turn: Told[] = [];
  #freshUntilMs = Number.NEGATIVE_INFINITY;
  /** Transactions whose commits were told, and that no snapshot is known to see. */
  #unseen: bigint[] = [];
  /** Set while `#unseen` is incomplete: it lacks transactions up to this one. */
  #unseenLostUpTo: bigint | undefined;

  /**
   * To be made before the source is started: what it told before would be neither in a worker's memory nor among its
   * suspects. Throws {@link FeedError} when it is too late.
   */
  constructor(options: FanOutOptions) {
    const { source } = options;
    if (source.epoch !== 0) throw new FeedError('ERR_FEED_OPTIONS', 'Make the FanOut before its source is started.');
    this.#source = source;
    this.#clock = options.clock ?? systemClock;
    this.#unacknowledgedMax = options.unacknowledgedMax ?? UNACKNOWLEDGED_MAX_DEFAULT;
    this.#unacknowledgedBytesMax = options.unacknowledgedBytesMax ?? UNACKNOWLEDGED_BYTES_MAX_DEFAULT;
    this.#removals = [
      source.on('commit', (commit) => this.#onCommit(commit)),
      source.on('advance', (position) => this.#onAdvance(position)),
      source.on('freshness', (freshUntilMs) => this.#onFreshness(freshUntilMs)),
      source.on('snapshot', (snapshot) => this.#onSnapshot(snapshot)),
      source.on('epoch', (_epoch, reason) => this.#onEpoch(reason)),
      source.on('schema', () => this.#tell({ kind: 'schema', standing: this.#standing() })),
      source.on('problem', (error) => this.#onProblem(error)),
    ];
    this.#beat = setInterval(() => this.#onBeat(), BEAT_MS);
    this.#beat.unref();
  }

  /** Workers that are told everything. */
  get following(): number {
    return [...this.#followers].filter(({ state }) => state === 'following').length;
  }

  /** Takes a worker in; it is told everything from when it asks for it until its channel closes, or the function returned is called. */
  add(channel: FeedChannel): () => void {
    const follower: Follower = {
      channel,
      state: 'silent',
      wantsHello: false,
      number: 0,
      unacknowledged: [],
      unacknowledgedBytes: 0,
      nudged: false,
    };
    this.#followers.add(follower);
    const offMessage = channel.onMessage((message) => this.#onReply(follower, message as FanOutReply));
    const remove = (): void => {
      offMessage();
      offClose();
      this.#followers.delete(follower);
    };
    const offClose = channel.onClose(remove);
    return remove;
  }

  /** Tells nobody anything more. The source goes on. */
  close(): void {
    clearInterval(this.#beat);
    for (const remove of this.#removals) remove();
    this.#followers.clear();
  }

  #onCommit(commit: Commit): void {
    if (this.#unseen.length < UNSEEN_MAX) this.#unseen.push(commit.xid);
    else if (this.#unseenLostUpTo === undefined || commit.xid > this.#unseenLostUpTo) this.#unseenLostUpTo = commit.xid;
    this.#tell({ kind: 'commit', commit });
  }

  #onAdvance(position: bigint): void {
    // Of several in a row the last says it all.
    if (this.#turn.at(-1)?.kind === 'advance') this.#turn.pop();
    this.#tell({ kind: 'advance', position });
  }

  #onFreshness(freshUntilMs: number): void {
    // The clock that is read first is the earlier one, so the time that is left comes out shorter, never longer.
    const hostMs = hostClockMs();
    const leftMs = freshUntilMs - this.#clock.monotonicMs();
    this.#freshUntilMs = hostMs + leftMs;
    this.#tell({ kind: 'freshness', freshUntilMs: this.#freshUntilMs, leftMs });
  }

  #onSnapshot(snapshot: Snapshot): void {
    this.#unseen = this.#unseen.filter((xid) => !sees(snapshot, xid));
    if (this.#unseenLostUpTo !== undefined && snapshot.xmax > this.#unseenLostUpTo) {
      // Of those that were left out, the snapshot sees all but the ones that it lists as running.
      this.#unseen.push(...snapshot.running);
      this.#unseenLostUpTo = undefined;
    }
    this.#tell({ kind: 'snapshot', snapshot });
  }

  #onEpoch(reason: EpochReason): void {
    if (reason === 'new timeline') {
      // What the old timeline told is visible on the new one, or lost: then no snapshot sees it until its number is given again.
      this.#unseen = [];
      this.#unseenLostUpTo = undefined;
    }
    this.#tell({ kind: 'epoch', reason, standing: this.#standing() });
  }

  #onProblem(error: Error): void {
    const { code } = error as { code?: unknown };
    this.#tell({ kind: 'problem', code: typeof code === 'string' ? code : 'ERR_FEED_STREAM', message: error.message });
  }

  #onBeat(): void {
    const { state, lastError } = this.#source.status();
    this.#tell({ kind: 'beat', state, lastError, lagMs: this.#source.lagMs });
    this.#flush();
    for (const follower of this.#followers) if (follower.wantsHello) this.#greet(follower);
  }

  #tell(told: Told): void {
    if (this.#turn.push(told) === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const turn = this.#turn;
    if (turn.length === 0) return;
    this.#turn = [];
    let body: Uint8Array | undefined;
    for (const follower of this.#followers) {
      if (follower.state !== 'following') continue;
      body ??= serialize(turn);
      this.#send(follower, body);
    }
  }

  #send(follower: Follower, body: Uint8Array): void {
    const { unacknowledged } = follower;
    const isOver =
      unacknowledged.length >= this.#unacknowledgedMax ||
      (unacknowledged.length > 0 && follower.unacknowledgedBytes + body.length > this.#unacknowledgedBytesMax);
    if (isOver) {
      follower.state = 'behind';
      follower.wantsHello = true;
      return;
    }
    const number = ++follower.number;
    unacknowledged.push({ number, bytes: body.length });
    follower.unacknowledgedBytes += body.length;
    follower.channel.send({ kind: 'feed', number, body });
  }

  #onReply(follower: Follower, { taken: told, wantsHello, nudge }: FanOutReply): void {
    const { unacknowledged } = follower;
    const taken = wantsHello === 'silence' ? follower.number : told;
    let count = 0;
    for (const { number, bytes } of unacknowledged) {
      if (number > taken) break;
      follower.unacknowledgedBytes -= bytes;
      count++;
    }
    unacknowledged.splice(0, count);
    if (wantsHello === 'newcomer') {
      // Unless a hello for all is to come anyway.
      if (follower.state === 'following') this.#greet(follower, { continues: true });
    } else if (wantsHello !== undefined) {
      // What it is sent until then would be thrown away.
      if (follower.state === 'following') follower.state = 'silent';
      follower.wantsHello = true;
    }
    if (follower.wantsHello) this.#greet(follower);
    if (nudge !== undefined) this.#nudge(follower, nudge);
  }

  /** Sends a hello as soon as there is one to send, and the worker has taken what was sent before. */
  #greet(follower: Follower, how: { readonly continues?: true } = {}): void {
    if (follower.state === 'behind' && follower.unacknowledged.length > 0) return;
    // Tried again at the next beat.
    if (this.#source.epoch === 0 || this.#unseenLostUpTo !== undefined) return;
    // What happened before the hello is in it.
    this.#flush();
    follower.wantsHello = false;
    follower.state = 'following';
    this.#send(follower, serialize([{ kind: 'hello', standing: this.#standing(), ...how } satisfies Told]));
  }

  /** The feed looks for a position that its stream has not reached, by a heartbeat of its own. */
  #nudge(follower: Follower, position: bigint): void {
    if (follower.nudged) return;
    follower.nudged = true;
    void this.#source.waitFor(position, NUDGE_TIMEOUT_MS).then(() => {
      follower.nudged = false;
    });
  }

  #standing(): Standing {
    const { position, timeline, suspects, published } = this.#source;
    return {
      position,
      timeline,
      suspects: this.#unseen.length === 0 ? suspects : new Set([...suspects, ...this.#unseen]),
      published,
      freshUntilMs: this.#freshUntilMs,
      status: this.#source.status(),
    };
  }
}
