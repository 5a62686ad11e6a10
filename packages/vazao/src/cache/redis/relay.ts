/**
 * The relay: tells Redis, in the order of the feed, which tags each commit touches, and how far it has come.
 *
 *   follower ──lock taken──► leader ─┬─ the open epoch can be continued: the ring has all after its position ──► relays
 *      ▲                             ├─ it can't, and the feed is trusted ──► opens a new epoch ──────────────► relays
 *      │                             └─ it can't, and the feed is not ──────► closes it, and waits
 *      └── lock lost, a higher term was seen, or Redis out of reach too long
 *
 * Each host runs one; the lock chooses. That two may believe they lead for a moment does no harm: each call names the
 * epoch and the position that it goes on from, and Redis refuses it unless both are still so. The term only decides who
 * gives way. The epoch is left where it stands when the feed loses its thread (a gap, a change of the schema): an epoch that
 * does not move is never wrong, since readers look at how far it has come.
 *
 * The feed is trusted from the moment on at which it is fresh and has no suspects: everything that commits later is told.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Commit, Feed } from '../../feed/index.ts';
import { CommitRing } from './commit-ring.ts';
import { type Connection, openConnection } from './connection.ts';
import { type FunctionName, formatPosition, parsePosition } from './functions.ts';
import type { LeaderLock } from './leader-lock.ts';
import { isShareable } from './options.ts';
import { type FindTable, tagsOfCommit } from './tags.ts';

/** The part of a feed that the relay uses. */
export type RelayFeed = Pick<Feed, 'position' | 'timeline' | 'suspects' | 'isFresh' | 'on' | 'status'>;

export interface RelayOptions {
  /** Where Redis is: see {@link ConnectionOptions.url}. */
  readonly url: string;
  /** See {@link namespaceOf}. */
  readonly namespace: string;
  readonly feed: RelayFeed;
  readonly lock: LeaderLock;
  /** The tables as they are now; none while the schema is being read. */
  readonly findTable: FindTable;
  /** All that {@link RelayOptions.findTable} tells of was committed before this position; undefined while the schema is being read. */
  readonly findSchemaPosition: () => bigint | undefined;
  /** A call that takes longer has failed. @defaultValue 1 s */
  readonly callTimeoutMs?: number | undefined;
  /** How often a follower tries to lead, and looks at whoever does. @defaultValue 300 ms */
  readonly electionMs?: number | undefined;
  /** A leader that has not moved for so long, while our feed has, is ended. @defaultValue 1 s */
  readonly stuckMs?: number | undefined;
  /** Commits remembered for taking over. @defaultValue 10 000 */
  readonly commitsMax?: number | undefined;
  readonly onProblem?: ((error: Error) => void) | undefined;
}

export interface RelayStatus {
  readonly role: 'follower' | 'leader' | 'closed';
  readonly term: string | undefined;
  /** As far as this relay knows; undefined: none that it relays in. */
  readonly epoch: string | undefined;
  readonly position: bigint | undefined;
  /** Of a leader: how long Redis has not been told all that the feed has told, also because no epoch may be opened. */
  readonly lagMs: number | undefined;
  /** An epoch that stands here or later can be continued by this relay; undefined while its feed is not trusted. */
  readonly coveredFrom: bigint | undefined;
  /** Epochs that this relay has opened. */
  readonly opened: number;
  readonly lastError: string | undefined;
}

/** What is shown of a relay, by whichever process. */
export interface RelayFigures {
  readonly leads: boolean;
  /** See {@link RelayStatus.lagMs}. */
  readonly lagMs: number | undefined;
}

const CALL_TIMEOUT_MS = 1_000;
const ELECTION_MS = 300;
const STUCK_MS = 1_000;
const RING_COMMITS_MAX = 10_000;
const RING_CHANGES_MAX = 50_000;
/** Tags of one call, about: a step of Redis stays short. */
const TAGS_AT_ONCE_MAX = 4_096;
const RETRY_MS = 100;
/** A leader that can't reach Redis for so long gives way: another host may reach it. */
const UNREACHABLE_MAX_MS = 1_500;

/** Starts a relay; end it with `close()` or `await using`. Throws {@link RedisTierError}. */
export async function createRelay(options: RelayOptions): Promise<Relay> {
  const { url, callTimeoutMs = CALL_TIMEOUT_MS, onProblem } = options;
  return new Relay(await openConnection({ url, callTimeoutMs, onProblem }), options);
}

interface Relayed {
  readonly epoch: string;
  position: bigint;
}

export class Relay implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #options: RelayOptions;
  readonly #meta: string;
  readonly #ring: CommitRing;
  readonly #closing = new AbortController();
  readonly #unsubscribe: readonly (() => void)[];
  readonly #elections: Promise<void>;
  #term: string | undefined;
  /** What Redis is known to hold; undefined: look first. */
  #relayed: Relayed | undefined;
  #pumping: Promise<void> | undefined;
  #isScheduled = false;
  #reachedAtMs = 0;
  /** Redis has been told all that the feed had told by then; undefined while there is nothing more to tell. */
  #behindSinceMs: number | undefined;
  #watched: { readonly position: string; readonly own: bigint; readonly atMs: number } | undefined;
  #opened = 0;
  #lastError: string | undefined;

  /** Use {@link createRelay}. */
  constructor(connection: Connection, options: RelayOptions) {
    const { feed, namespace, commitsMax = RING_COMMITS_MAX } = options;
    this.#connection = connection;
    this.#options = options;
    this.#meta = `${namespace}meta`;
    this.#ring = new CommitRing({ commitsMax, changesMax: RING_CHANGES_MAX });
    this.#trust();
    this.#unsubscribe = [
      feed.on('commit', (commit) => {
        if (commit.schemaChanged) this.#doubt();
        else this.#ring.add(commit);
        this.#schedule();
      }),
      feed.on('epoch', () => this.#doubt()),
      feed.on('schema', () => this.#doubt()),
      // In the next turn: the feed's position has passed the heartbeat by then.
      feed.on('snapshot', () => {
        setImmediate(() => {
          if (this.#closing.signal.aborted) return;
          this.#trust();
          this.#schedule();
        });
      }),
    ];
    this.#elections = this.#elect();
  }

  get status(): RelayStatus {
    // A call that was under way when this one gave way may still tell where Redis stands: another leads from there.
    const relayed = this.#term === undefined ? undefined : this.#relayed;
    return {
      role: this.#closing.signal.aborted ? 'closed' : this.#term === undefined ? 'follower' : 'leader',
      term: this.#term,
      epoch: relayed?.epoch,
      position: relayed?.position,
      lagMs: this.#term === undefined ? undefined : this.#lagMs(),
      coveredFrom: this.#ring.coveredFrom,
      opened: this.#opened,
      lastError: this.#lastError,
    };
  }

  figures(): RelayFigures {
    const { role, lagMs } = this.status;
    return { leads: role === 'leader', lagMs };
  }

  #lagMs(): number {
    return this.#behindSinceMs === undefined ? 0 : performance.now() - this.#behindSinceMs;
  }

  /** Gives the lock back: another host takes over at once, and the epoch stays. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await this.#elections;
    await this.#pumping;
    this.#term = undefined;
    this.#connection.close();
    await this.#options.lock[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #doubt(): void {
    this.#ring.restart(undefined);
    this.#relayed = undefined;
  }

  /**
   * A suspect that has ended has written its commit record before the heartbeat that shows so, hence before our position.
   * The schema may be ahead of a feed that lags: by a column that was renamed since, or a partition that was taken away, a
   * commit would get other tags than answers of its time have.
   */
  #trust(): void {
    const { feed, findSchemaPosition } = this.#options;
    if (this.#ring.isTrusted || !feed.isFresh() || feed.suspects.size > 0 || !isShareable(feed)) return;
    const schemaPosition = findSchemaPosition();
    if (schemaPosition !== undefined && schemaPosition <= feed.position) this.#ring.restart(feed.position);
  }

  async #elect(): Promise<void> {
    const { signal } = this.#closing;
    const { electionMs = ELECTION_MS, lock } = this.#options;
    while (!signal.aborted) {
      try {
        if (this.#term === undefined) await this.#tryToLead();
        else if (!(await lock.isHeld())) this.#term = undefined;
        else if (performance.now() - this.#reachedAtMs > UNREACHABLE_MAX_MS) await this.#giveWay();
      } catch (error) {
        this.#problem(error);
      }
      await delay(electionMs, undefined, { signal, ref: false }).catch(() => {}); // rejects when closed, which ends the loop
    }
  }

  async #tryToLead(): Promise<void> {
    const { lock } = this.#options;
    if (!this.#connection.isReady) return;
    const term = await lock.tryAcquire(() => {
      this.#term = undefined;
      this.#relayed = undefined;
    });
    if (term === undefined) {
      await this.#watchLeader();
      return;
    }
    this.#term = term;
    this.#relayed = undefined;
    this.#reachedAtMs = performance.now();
    this.#behindSinceMs = undefined; // what was to be told in an earlier term has been told by another
    this.#schedule();
  }

  async #giveWay(): Promise<void> {
    this.#term = undefined;
    this.#relayed = undefined;
    await this.#options.lock.release();
  }

  /** A leader that stands still while our feed moves has lost its feed, or Redis, or hangs. */
  async #watchLeader(): Promise<void> {
    const { feed, lock, stuckMs = STUCK_MS } = this.#options;
    if (!this.#ring.isTrusted || !feed.isFresh()) return; // we could do no better
    const [, epoch, , positionText] = await this.#ask('state', []);
    const position = `${epoch} ${positionText}`;
    const now = performance.now();
    if (this.#watched?.position !== position) this.#watched = { position, own: feed.position, atMs: now };
    else if (now - this.#watched.atMs > stuckMs && feed.position > this.#watched.own) {
      this.#watched = undefined;
      await lock.terminateHolder();
    }
  }

  #schedule(): void {
    if (this.#isScheduled || this.#term === undefined || this.#closing.signal.aborted) return;
    this.#isScheduled = true;
    this.#behindSinceMs ??= performance.now();
    // All that one turn of the event loop brings goes in one call.
    setImmediate(() => {
      this.#isScheduled = false;
      this.#pumping ??= this.#pump().finally(() => {
        this.#pumping = undefined;
      });
    });
  }

  /** One call to Redis at a time, until it is where the feed is. */
  async #pump(): Promise<void> {
    while (this.#term !== undefined && !this.#closing.signal.aborted) {
      try {
        const term = this.#term;
        const hasMore = this.#relayed ? await this.#relay(term, this.#relayed) : await this.#begin(term);
        this.#reachedAtMs = performance.now();
        if (!hasMore) {
          if (this.#relayed) this.#behindSinceMs = undefined;
          return;
        }
      } catch (error) {
        // It is not known whether the call was carried out.
        this.#relayed = undefined;
        this.#problem(error);
        await delay(RETRY_MS, undefined, { ref: false });
      }
    }
  }

  /** Finds out where Redis stands, and where to go on. Resolves to whether there is something to relay. */
  async #begin(term: string): Promise<boolean> {
    const { feed } = this.#options;
    const [word, epoch = '', timeline, positionText] = await this.#ask('lead', [term]);
    if (word === 'fenced') return this.#isFenced();
    const position = parsePosition(positionText);
    // From here on nothing waits until the call is on its way: what the feed says is of one moment.
    if (epoch !== '' && position !== undefined && timeline === String(feed.timeline) && this.#ring.covers(position)) {
      this.#relayed = { epoch, position };
      return true;
    }
    if (!this.#ring.isTrusted) {
      if (epoch !== '') await this.#ask('close', [term]);
      return false;
    }
    const opening: Relayed = { epoch: randomBytes(16).toString('hex'), position: feed.position };
    const args = [term, opening.epoch, String(feed.timeline), formatPosition(opening.position)];
    const answer = await this.#ask('open', args);
    if (answer[0] === 'fenced') return this.#isFenced();
    this.#opened++;
    // A gap meanwhile: what we opened goes no further.
    if (this.#ring.covers(opening.position)) this.#relayed = opening;
    return true;
  }

  async #relay(term: string, relayed: Relayed): Promise<boolean> {
    const { feed } = this.#options;
    if (!this.#ring.covers(relayed.position)) {
      this.#relayed = undefined;
      return true;
    }
    if (feed.position <= relayed.position) return false;
    const [target, beginMs] = [feed.position, performance.now()];
    const batch = this.#collect(relayed.position, target);
    if (!batch) {
      this.#doubt();
      this.#trust();
      return true;
    }
    const { positions, upTo, last } = batch;
    const keys = [...positions.keys()].map((tag) => `${this.#options.namespace}t:${tag}`);
    const args = [
      term,
      relayed.epoch,
      formatPosition(relayed.position),
      formatPosition(upTo),
      last,
      ...positions.values(),
    ];
    const [answer] = await this.#ask('relay', args, keys);
    if (answer === 'fenced') return this.#isFenced();
    if (answer === 'ok') relayed.position = upTo;
    else this.#relayed = undefined;
    // Where commits never cease, the feed is ahead again by now, and yet Redis is no further behind than this call took.
    if (answer === 'ok' && upTo === target) this.#behindSinceMs = beginMs;
    return true;
  }

  /** What the commits between touch, as far as fits into one call; undefined if one changed a table that is not known. */
  #collect(
    after: bigint,
    upTo: bigint,
  ): { readonly positions: ReadonlyMap<string, string>; readonly upTo: bigint; readonly last: string } | undefined {
    const positions = new Map<string, string>();
    let last = '';
    for (const commit of this.#ring.between(after, upTo)) {
      if (positions.size > TAGS_AT_ONCE_MAX) return { positions, upTo: before(commit), last };
      const tags = tagsOfCommit(commit, this.#options.findTable);
      if (!tags) return undefined;
      last = formatPosition(commit.position);
      for (const tag of tags) positions.set(tag, last);
    }
    return { positions, upTo, last };
  }

  /** Another has led since: our lock was lost without our knowing. */
  async #isFenced(): Promise<false> {
    await this.#giveWay();
    return false;
  }

  async #ask(name: FunctionName, args: readonly string[], keys: readonly string[] = []): Promise<string[]> {
    const reply = await this.#connection.call(name, [this.#meta, ...keys], args);
    return Array.isArray(reply) ? reply.map(String) : [String(reply)];
  }

  #problem(error: unknown): void {
    this.#lastError = error instanceof Error ? error.message : String(error);
    this.#options.onProblem?.(error instanceof Error ? error : new Error(String(error)));
  }
}

/** The last position that has all commits before this one, and not this one. */
function before(commit: Commit): bigint {
  return commit.position - 1n;
}
