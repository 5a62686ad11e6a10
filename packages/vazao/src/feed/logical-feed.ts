/**
 * The feed: PostgreSQL's row changes, whoever made them, whole commits in the order of their commits.
 *
 *            start()                  lost: any error, silence, a listener that threw
 *   stopped ────────► connecting ──► streaming ──────────► waiting ──(back-off)──► connecting …
 *                                                     close() from anywhere ──► closed
 *
 * A stream that is lost is not resumed: its slot was temporary. The next one starts where the database is then, and the
 * gap between is answered by a new epoch, which is announced before any commit of the new stream.
 */

import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Announcer } from './announcer.ts';
import { backoffMs } from './backoff.ts';
import { DDL_PREFIX, PUBLICATION_PREFIX } from './ddl-trigger.ts';
import { FeedError, toFeedError } from './errors.ts';
import type { EpochReason, FeedEvents } from './events.ts';
import type { Feed } from './feed.ts';
import type { ReturnedHeartbeat } from './heartbeat.ts';
import type { ResolvedFeedOptions } from './options.ts';
import { formatPosition, positionAt, UNKNOWN_POSITION } from './position.ts';
import { isHole, type PublicationState } from './publication.ts';
import { nameOf } from './publication-plan.ts';
import { RelationRegistry } from './relations.ts';
import type { SchemaChange } from './schema-sync.ts';
import { openSession, type Session } from './session.ts';
import type { FeedState, FeedStatus } from './status.ts';
import { ChangeStream } from './stream.ts';
import { Suspects } from './suspects.ts';
import type { Transaction } from './transaction.ts';
import { PositionWaiters } from './waiters.ts';
import { widenXid } from './xid.ts';

/** A waiter that is not served by then asks for a heartbeat of its own: the WAL it waits for may not be flushed. */
const NUDGE_MS = 10;
/** Schema changes after which the publication may have lost changes until it is known to be in step again. */
const PUBLICATION_TAG = /PUBLICATION$/;

/** A stream that has lived for so long was not opened in vain. */
const STEADY_MS = 5_000;

export class LogicalFeed implements Feed {
  readonly #options: ResolvedFeedOptions;
  readonly #feedId = randomBytes(9).toString('base64url');
  readonly #events: Announcer;
  readonly #relations = new RelationRegistry();
  readonly #suspects = new Suspects();
  readonly #waiters: PositionWaiters;
  readonly #closing = new AbortController();
  #state: FeedState = 'stopped';
  #stream: ChangeStream | undefined;
  /** Settles when the stream is lost, and when its first heartbeat has returned. */
  #lost = Promise.withResolvers<Error>();
  #firstHeartbeat = Promise.withResolvers<void>();
  /** Transactions by which somebody changed a publication; until ours is known to be in step, it may be losing changes. */
  readonly #doubts = new Set<bigint>();
  #starting: Promise<void> | undefined;
  #loop: Promise<void> | undefined;
  #ended: Promise<void> | undefined;
  #nudge: NodeJS.Timeout | undefined;
  #epoch = 0;
  #position = 0n;
  #sequence = 0;
  #lagMs = 0;
  #freshUntilMs = Number.NEGATIVE_INFINITY;
  /** A recent 64-bit transaction id, to widen those of the wire. */
  #xidReference = 0n;
  #publication: PublicationState | undefined;
  #published: ReadonlySet<number> = new Set();
  #lastSession: Session | undefined;

  constructor(options: ResolvedFeedOptions) {
    this.#options = options;
    this.#events = new Announcer(options.clock);
    this.#waiters = new PositionWaiters(options.waitersMax);
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
    const overdueSinceMs = this.#stream?.heartbeats.overdueSinceMs;
    if (overdueSinceMs === undefined) return this.#lagMs;
    return Math.max(this.#lagMs, this.#options.clock.monotonicMs() - overdueSinceMs);
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
    this.#nudge ??= setTimeout(() => {
      this.#nudge = undefined;
      if (this.#waiters.length > 0) this.#stream?.heartbeats.beat();
    }, NUDGE_MS);
    return this.#waiters.add(position, timeoutMs);
  }

  status(): FeedStatus {
    const tables = this.#publication?.tables ?? [];
    const session = this.#lastSession;
    return {
      state: this.#state,
      source: 'wal',
      fresh: this.isFresh(),
      epoch: this.#epoch,
      position: formatPosition(this.#position),
      lagMs: this.lagMs,
      slot: this.#stream?.session.slot,
      publication: this.#options.publication,
      tables: tables.filter((row) => row.kind === 'ordinary' && this.#published.has(row.oid)).map(nameOf),
      leftOut: this.#publication?.leftOut ?? [],
      schemaWatch: session?.schemaWatch,
      schemaInStep: this.#stream !== undefined && !this.#stream.schemaSync.isBehind,
      serverVersion: session?.serverVersion,
      systemId: session?.systemId,
      timeline: session?.timeline,
      commits: this.#sequence,
      suspects: this.#suspects.set.size,
      waiters: this.#waiters.length,
      lastError: this.#events.lastError,
    };
  }

  async #startFirst(): Promise<void> {
    try {
      await this.#openStream();
      await this.#untilFirstHeartbeat();
      this.#loop = this.#keepStreaming();
    } catch (error) {
      await this.#closeStream();
      if (this.#state !== 'closed') this.#state = 'stopped';
      throw this.#closing.signal.aborted
        ? new FeedError('ERR_FEED_CLOSED', 'The feed was closed.')
        : toFeedError(error);
    }
  }

  async #untilFirstHeartbeat(): Promise<void> {
    const { silenceMs } = this.#options;
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const text = `No heartbeat came back within ${silenceMs} ms: do all connections reach the same server?`;
      late.reject(new FeedError('ERR_FEED_HEARTBEAT', `${text} ${this.#events.lastError?.message ?? ''}`));
    }, silenceMs);
    const lost = this.#lost.promise.then((error) => Promise.reject(error));
    try {
      await Promise.race([this.#firstHeartbeat.promise, lost, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Opens one stream after the other, until the feed is closed. */
  async #keepStreaming(): Promise<void> {
    const { signal } = this.#closing;
    const { clock } = this.#options;
    let openedAtMs = clock.monotonicMs();
    for (let failures = 0; !signal.aborted; ) {
      if (this.#stream) {
        await this.#lost.promise;
        await this.#closeStream();
        // A stream that opens and breaks at once (a listener that throws at every commit) is a failure too.
        failures = clock.monotonicMs() - openedAtMs < STEADY_MS ? failures + 1 : 0;
      }
      // Rejects when the feed is closed, which ends the loop.
      await delay(backoffMs(failures, this.#options), undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#openStream();
        openedAtMs = clock.monotonicMs();
      } catch (error) {
        failures++;
        this.#setState('waiting');
        await this.#closeStream();
        this.#events.problem(error);
      }
    }
  }

  async #openStream(): Promise<void> {
    this.#setState('connecting');
    const session = await openSession(this.#options, this.#feedId, this.#closing.signal);
    const context = {
      options: this.#options,
      feedId: this.#feedId,
      epoch: this.#epoch + 1,
      relations: this.#relations,
    };
    const stream: ChangeStream = new ChangeStream(session, context, {
      transaction: (transaction) => this.#deliver(stream, transaction),
      advanced: (lsn) => this.#advance(positionAt(session.timeline, lsn)),
      heartbeat: (heartbeat) => this.#onHeartbeat(heartbeat),
      lag: (lagMs) => {
        this.#lagMs = lagMs;
      },
      synced: (state, change) => this.#onSynced(stream, state, change),
      problem: (error) => this.#events.problem(error),
      lost: (error) => this.#onLost(error),
    });
    this.#stream = stream;
    this.#lost = Promise.withResolvers();
    this.#firstHeartbeat = Promise.withResolvers();
    this.#doubts.clear();
    this.#xidReference = session.snapshot.xmax;
    this.#position = positionAt(session.timeline, session.consistentPoint);
    this.#suspects.replace(session.snapshot);
    this.#setPublication(session.publication);
    const previous = this.#lastSession;
    this.#lastSession = session;
    const sameServer = previous?.systemId === session.systemId && previous.timeline === session.timeline;
    this.#beginEpoch(previous === undefined ? 'start' : sameServer ? 'stream lost' : 'new timeline');
    await stream.start();
    this.#closing.signal.throwIfAborted();
    this.#setState('streaming');
  }

  #deliver(stream: ChangeStream, transaction: Transaction): void {
    const xid = widenXid(transaction.xid32, this.#xidReference);
    if (xid > this.#xidReference) this.#xidReference = xid;
    const ddl = transaction.messages.filter((message) => message.prefix === DDL_PREFIX);
    const schemaChanged = ddl.length > 0;
    // Before the listeners see the commit: they may ask isFresh().
    if (ddl.some((message) => PUBLICATION_TAG.test(message.content))) this.#doubt(xid);
    if (transaction.changes.length > 0 || schemaChanged) {
      const { committedAtMs, changes } = transaction;
      const position = positionAt(stream.session.timeline, transaction.position);
      const receivedAtMs = this.#options.clock.wallMs();
      const sequence = ++this.#sequence;
      this.#events.announce('commit', { sequence, position, xid, committedAtMs, receivedAtMs, changes, schemaChanged });
    }
    const byOtherFeed = transaction.messages.some(
      ({ prefix, content }) => prefix === PUBLICATION_PREFIX && !content.startsWith(`${this.#feedId} `),
    );
    if (schemaChanged || byOtherFeed) stream.schemaSync.request({ xids: [xid], unordered: false });
  }

  #onHeartbeat(heartbeat: ReturnedHeartbeat): void {
    const { snapshot, emittedAtMs } = heartbeat;
    if (snapshot.xmax > this.#xidReference) this.#xidReference = snapshot.xmax;
    if (this.#doubts.size === 0) this.#setFreshUntil(Math.max(this.#freshUntilMs, emittedAtMs + this.#options.leaseMs));
    this.#suspects.clear(snapshot);
    this.#events.announce('snapshot', snapshot);
    this.#firstHeartbeat.resolve();
  }

  #advance(position: bigint): void {
    this.#position = position;
    this.#waiters.pass(position);
    this.#events.announce('advance', position);
  }

  #onSynced(stream: ChangeStream, state: PublicationState, change: SchemaChange): void {
    if (this.#stream !== stream) return; // the next stream has made its own
    const before = this.#publication?.published;
    let grown = false;
    let holed = false;
    for (const [oid, publishedBy] of state.published) {
      const known = before?.get(oid);
      if (!known) grown = true;
      else if (isHole(known, publishedBy)) holed = true;
    }
    try {
      if (grown || holed || change.unordered) this.#suspects.add(state.snapshot);
      this.#setPublication(state);
      for (const xid of change.xids) this.#doubts.delete(xid);
      if (holed) this.#beginEpoch('publication changed');
      else if (change.unordered) this.#beginEpoch('schema changed');
      this.#events.announce('schema');
    } catch (error) {
      stream.abort(toFeedError(error));
    }
  }

  #doubt(xid: bigint): void {
    this.#doubts.add(xid);
    this.#setFreshUntil(Number.NEGATIVE_INFINITY);
  }

  #setFreshUntil(freshUntilMs: number): void {
    if (freshUntilMs === this.#freshUntilMs) return;
    this.#freshUntilMs = freshUntilMs;
    try {
      this.#events.announce('freshness', freshUntilMs);
    } catch (error) {
      this.#stream?.abort(toFeedError(error));
    }
  }

  #setPublication(state: PublicationState): void {
    this.#publication = state;
    this.#published = new Set(state.published.keys());
  }

  #beginEpoch(reason: EpochReason): void {
    this.#epoch++;
    this.#waiters.fail();
    this.#events.announce('epoch', this.#epoch, reason);
  }

  #onLost(error: Error): void {
    if (this.#state === 'closed') return;
    this.#setFreshUntil(Number.NEGATIVE_INFINITY);
    this.#setState('waiting');
    this.#waiters.fail();
    this.#events.problem(error);
    this.#lost.resolve(error);
  }

  async #closeStream(): Promise<void> {
    this.#setFreshUntil(Number.NEGATIVE_INFINITY);
    this.#waiters.fail();
    const stream = this.#stream;
    this.#stream = undefined;
    await stream?.close();
  }

  async #end(): Promise<void> {
    this.#state = 'closed';
    this.#closing.abort();
    clearTimeout(this.#nudge);
    this.#lost.resolve(new FeedError('ERR_FEED_CLOSED', 'The feed was closed.'));
    await this.#closeStream();
    // Its error has gone to the caller of start().
    await this.#starting?.catch(() => {});
    await this.#loop;
    await this.#closeStream();
  }

  #setState(state: FeedState): void {
    if (this.#state !== 'closed') this.#state = state;
  }
}
