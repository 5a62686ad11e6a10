/**
 * The feed for databases without logical replication: triggers append each change to a table, and this looks there.
 *
 *            start()                  lost: any error, a poll that hangs, a listener that threw
 *   stopped ────────► connecting ──► streaming ──────────► waiting ──(back-off)──► connecting …
 *                                                     close() from anywhere ──► closed
 *
 * What was appended is kept for a while, so a connection that is lost is no gap: the next poll goes on from the snapshot of
 * the last. Where it can't (rows were deleted that it had not seen, a crash emptied the table, nobody's lease was running)
 * a new epoch begins.
 */

import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Announcer } from '../announcer.ts';
import { backoffMs } from '../backoff.ts';
import { destroyClient } from '../connection.ts';
import { FeedError, toFeedError } from '../errors.ts';
import type { EpochReason, FeedEvents } from '../events.ts';
import type { Feed } from '../feed.ts';
import type { ResolvedFeedOptions } from '../options.ts';
import { UNKNOWN_POSITION } from '../position.ts';
import { isHole, type PublicationState } from '../publication.ts';
import { withUnlisted } from '../read-snapshot.ts';
import type { SchemaChange } from '../schema-sync.ts';
import type { Snapshot } from '../snapshot.ts';
import type { FeedState, FeedStatus } from '../status.ts';
import { Suspects } from '../suspects.ts';
import { PositionWaiters } from '../waiters.ts';
import { CommitBuilder } from './commits.ts';
import { continueFrom, Gap, isConnectionLoss, type Origin } from './continuity.ts';
import { PollLoop } from './poll-loop.ts';
import { isBusy, type Poll, pollOutbox, positionAfter } from './poller.ts';
import { pushLog, type Running, startRunning, stopRunning } from './running.ts';
import type { OutboxSession } from './session.ts';
import { describeStatus } from './status.ts';

/** How long the schema may go unseen, where it does not announce its changes. */
const SCHEMA_UNSEEN_MAX_MS = 3_000;
/** A table whose triggers a writer held up is tried again. */
const LOCKED_RETRY_MS = 2_000;

export class OutboxFeed implements Feed {
  readonly #options: ResolvedFeedOptions;
  readonly #feedId = randomBytes(9).toString('base64url');
  readonly #events: Announcer;
  readonly #suspects = new Suspects();
  readonly #waiters: PositionWaiters;
  readonly #closing = new AbortController();
  readonly #polls: PollLoop;
  #builder: CommitBuilder;
  #state: FeedState = 'stopped';
  #running: Running | undefined;
  /** Transactions that changed the schema while the triggers are not known to be in step. */
  readonly #doubts = new Set<bigint>();
  #starting: Promise<void> | undefined;
  #loop: Promise<void> | undefined;
  #ended: Promise<void> | undefined;
  #lockedRetry: NodeJS.Timeout | undefined;
  #epoch = 0;
  #position = 0n;
  #sequence = 0;
  #lagMs = 0;
  #freshUntilMs = Number.NEGATIVE_INFINITY;
  /** Of the last poll; undefined when the next one begins an epoch. */
  #previous: Snapshot | undefined;
  #wasBusy = false;
  /** What must stay the same for that snapshot to mean anything. */
  #origin: Origin | undefined;
  #fingerprint: string | undefined;
  #publication: PublicationState | undefined;
  #published: ReadonlySet<number> = new Set();
  #lastSession: OutboxSession | undefined;

  constructor(options: ResolvedFeedOptions) {
    this.#options = options;
    this.#events = new Announcer(options.clock);
    this.#waiters = new PositionWaiters(options.waitersMax);
    this.#builder = new CommitBuilder(options);
    this.#polls = new PollLoop(options.outbox.pollMs, options.clock);
  }

  get position(): bigint {
    return this.#position;
  }

  get epoch(): number {
    return this.#epoch;
  }

  get timeline(): number {
    return this.#lastSession?.timeline ?? 0;
  }

  get lagMs(): number {
    const { startedAtMs } = this.#polls;
    return startedAtMs === undefined
      ? this.#lagMs
      : Math.max(this.#lagMs, this.#options.clock.monotonicMs() - startedAtMs);
  }

  get suspects(): ReadonlySet<bigint> {
    return this.#suspects.set;
  }

  get published(): ReadonlySet<number> {
    return this.#published;
  }

  isFresh(): boolean {
    return this.#options.clock.monotonicMs() <= this.#freshUntilMs;
  }

  on<Name extends keyof FeedEvents>(name: Name, listener: (...args: FeedEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  async start(): Promise<void> {
    if (this.#state !== 'stopped') {
      throw new FeedError('ERR_FEED_CLOSED', `A feed starts once; this one is ${this.#state}.`);
    }
    this.#starting = this.#startFirst();
    await this.#starting;
  }

  close(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  waitFor(position: bigint, timeoutMs: number): Promise<boolean> {
    if (position <= this.#position) return Promise.resolve(true);
    if (this.#state !== 'streaming' || position === UNKNOWN_POSITION) return Promise.resolve(false);
    const passed = this.#waiters.add(position, timeoutMs);
    this.#polls.call();
    return passed;
  }

  status(): FeedStatus {
    return describeStatus(this, {
      state: this.#state,
      options: this.#options,
      publication: this.#publication,
      session: this.#lastSession,
      schemaInStep: this.#running !== undefined && !this.#running.schemaSync.isBehind,
      commits: this.#sequence,
      waiters: this.#waiters.length,
      lastError: this.#events.lastError,
    });
  }

  async #startFirst(): Promise<void> {
    try {
      await this.#open();
      this.#loop = this.#keepPolling();
    } catch (error) {
      await this.#closeSession();
      if (this.#state !== 'closed') this.#state = 'stopped';
      throw this.#closing.signal.aborted
        ? new FeedError('ERR_FEED_CLOSED', 'The feed was closed.')
        : toFeedError(error);
    }
  }

  /** Polls; when that fails, opens one session after the other, until the feed is closed. */
  async #keepPolling(): Promise<void> {
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted; ) {
      try {
        if (!this.#running) await this.#open();
        while (!signal.aborted) {
          await this.#polls.pause(signal);
          if (signal.aborted) return;
          await this.#poll(this.#running as Running);
          failures = 0;
        }
      } catch (error) {
        if (signal.aborted) return;
        this.#setState('waiting');
        this.#waiters.fail();
        await this.#closeSession();
        if (error instanceof Gap || !isConnectionLoss(error)) this.#previous = undefined;
        this.#events.problem(error);
        // Rejects when the feed is closed, which ends the loop.
        if (!(error instanceof Gap) || failures > 0) {
          await delay(backoffMs(failures, this.#options), undefined, { signal }).catch(() => {});
        }
        failures++;
      }
    }
  }

  async #open(): Promise<void> {
    this.#setState('connecting');
    const options = this.#options;
    const running = await startRunning(options, this.#feedId, this.#closing.signal, {
      called: () => this.#polls.call(),
      synced: (state, change) => this.#onSynced(running, state, change),
      problem: (error) => this.#events.problem(error),
    });
    this.#running = running;
    const { session } = running;
    const isWatched = session.schemaWatch === 'fingerprint';
    const before = this.#lastSession;
    const sameServer = before?.systemId === session.systemId && before?.timeline === session.timeline;
    if (!sameServer) this.#previous = undefined;
    this.#lastSession = session;
    const isNew = this.#previous === undefined;
    if (isNew) {
      this.#doubts.clear();
      this.#builder = new CommitBuilder(options);
      this.#builder.learn(session.definitions);
      const reason: EpochReason = before === undefined ? 'start' : sameServer ? 'stream lost' : 'new timeline';
      await this.#poll(running, reason);
    } else {
      const unordered = isWatched && session.fingerprint !== this.#fingerprint;
      this.#applyPublication(session.publication, { xids: [...this.#doubts], unordered });
      await this.#poll(running);
    }
    this.#closing.signal.throwIfAborted();
    running.upkeep.start();
    this.#setState('streaming');
  }

  /** One poll, and all that follows from it in one uninterrupted step. */
  async #poll(running: Running, epochReason?: EpochReason): Promise<void> {
    const { clock, silenceMs } = this.#options;
    const { client } = running.session;
    const deadline = setTimeout(() => destroyClient(client), silenceMs);
    this.#polls.begin();
    let poll: Poll;
    try {
      if (this.#waiters.length > 0 && this.#wasBusy) await pushLog(running.session);
      poll = await pollOutbox(client, this.#previous, () => clock.monotonicMs());
    } finally {
      clearTimeout(deadline);
      this.#polls.end();
    }
    this.#lagMs = clock.monotonicMs() - poll.sentAtMs;
    this.#origin = continueFrom(poll, this.#previous, epochReason === undefined ? this.#origin : undefined);
    this.#fingerprint = running.upkeep.fingerprint;
    if (epochReason !== undefined) {
      this.#position = poll.flushed - 1n;
      // They may have changed something while nobody's lease was running, or be prepared ones whose rows a crash took.
      this.#suspects.replace(withUnlisted(poll.snapshot, poll.unlisted));
      this.#setPublication(running.session.publication);
      this.#beginEpoch(epochReason);
    }
    this.#deliver(running, poll);
    this.#previous = poll.snapshot;
    this.#wasBusy = isBusy(poll);
    this.#advance(positionAfter(poll, this.#waiters.first ?? 0n));
    // Who waits for less than what is written by now is served by the next poll, and by no waiting.
    if ((this.#waiters.first ?? poll.position) < poll.position) this.#polls.call();
    this.#suspects.clear(poll.snapshot);
    if (this.#doubts.size === 0) {
      const schemaSeen = running.upkeep.schemaSeenAtMs + SCHEMA_UNSEEN_MAX_MS;
      this.#setFreshUntil(Math.min(poll.sentAtMs + this.#options.leaseMs, schemaSeen));
    }
    this.#events.announce('snapshot', poll.snapshot);
    running.upkeep.polled(poll.snapshot);
  }

  #deliver(running: Running, poll: Poll): void {
    const receivedAtMs = this.#options.clock.wallMs();
    const schemaXids: bigint[] = [];
    for (const { xid, changedAtMs, changes, schemaChanged } of this.#builder.build(poll)) {
      if (schemaChanged) {
        schemaXids.push(xid);
        // Before the listeners see the commit: they may ask isFresh().
        this.#doubts.add(xid);
        this.#setFreshUntil(Number.NEGATIVE_INFINITY);
      }
      this.#events.announce('commit', {
        sequence: ++this.#sequence,
        position: poll.position,
        xid,
        committedAtMs: changedAtMs,
        receivedAtMs,
        changes,
        schemaChanged,
      });
    }
    if (schemaXids.length > 0) running.schemaSync.request({ xids: schemaXids, unordered: false });
  }

  #onSynced(running: Running, state: PublicationState, change: SchemaChange): void {
    if (this.#running !== running) return; // the next session has made its own
    try {
      this.#applyPublication(state, change);
    } catch (error) {
      this.#events.problem(error);
      this.#previous = undefined;
      destroyClient(running.session.client);
    }
  }

  #applyPublication(state: PublicationState, change: SchemaChange): void {
    const before = this.#publication?.published;
    const holed = [...state.published].some(([oid, by]) => {
      const known = before?.get(oid);
      return known !== undefined && isHole(known, by);
    });
    this.#setPublication(state);
    for (const xid of change.xids) this.#doubts.delete(xid);
    if (holed) this.#beginEpoch('publication changed');
    else if (change.unordered) this.#beginEpoch('schema changed');
    this.#events.announce('schema');
  }

  #setPublication(state: PublicationState): void {
    this.#publication = state;
    this.#published = new Set(state.published.keys());
    clearTimeout(this.#lockedRetry);
    if (!state.leftOut.some(({ reason }) => reason === 'locked')) return;
    this.#lockedRetry = setTimeout(
      () => this.#running?.schemaSync.request({ xids: [], unordered: false }),
      LOCKED_RETRY_MS,
    );
  }

  #beginEpoch(reason: EpochReason): void {
    this.#epoch++;
    this.#waiters.fail();
    this.#events.announce('epoch', this.#epoch, reason);
  }

  #advance(position: bigint): void {
    if (position <= this.#position) return;
    this.#position = position;
    this.#waiters.pass(position);
    this.#events.announce('advance', position);
  }

  #setFreshUntil(freshUntilMs: number): void {
    if (freshUntilMs === this.#freshUntilMs) return;
    this.#freshUntilMs = freshUntilMs;
    this.#events.announce('freshness', freshUntilMs);
  }

  async #closeSession(): Promise<void> {
    this.#waiters.fail();
    clearTimeout(this.#lockedRetry);
    const running = this.#running;
    this.#running = undefined;
    if (!running) return;
    await stopRunning(running);
  }

  async #end(): Promise<void> {
    this.#state = 'closed';
    this.#closing.abort();
    this.#freshUntilMs = Number.NEGATIVE_INFINITY;
    if (this.#running) destroyClient(this.#running.session.client);
    // Its error has gone to the caller of start().
    await this.#starting?.catch(() => {});
    await this.#loop;
    await this.#closeSession();
    this.#freshUntilMs = Number.NEGATIVE_INFINITY;
  }

  #setState(state: FeedState): void {
    if (this.#state !== 'closed') this.#state = state;
  }
}
