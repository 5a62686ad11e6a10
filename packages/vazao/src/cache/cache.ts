/**
 * Answers, and the changes that end them.
 *
 * All of it runs on one thread and none of it waits: looking up, completing a fill and applying a commit are each one
 * uninterrupted step. That is what makes "test the recent commits, then store" free of races here.
 */
import { LRUCache } from 'lru-cache';
import { type Commit, type ReadSnapshot, type Snapshot, seesCommit, UNKNOWN_POSITION } from '../feed/index.ts';
import type { Change, Term } from '../readset/index.ts';
import { createDrop, type Drop, describeRow } from './drop.ts';
import { Endings } from './endings.ts';
import { Entries } from './entries.ts';
import { createNote, type Entry, entrySizeBytes } from './entry.ts';
import type { CacheFigures } from './figures.ts';
import {
  type Completed,
  type CompleteOptions,
  Fill,
  type FillStart,
  findSharedUntil,
  type Joined,
  SHARED_WITH_ALL,
} from './fill.ts';
import {
  type CacheFeed,
  type CacheOptions,
  DROPS_REMEMBERED_MAX,
  RECENT_COMMITS_MAX_DEFAULT,
  SIZE_MAX_BYTES_DEFAULT,
} from './options.ts';
import { RecentCommits } from './recent-commits.ts';
import { TermIndex } from './term-index.ts';
import { findTouching, type Lineage } from './touched.ts';
import { Untold } from './untold.ts';
import { findWhyNotStored } from './why-not-stored.ts';

export class Cache<V> {
  readonly feed: CacheFeed;
  readonly now: () => number;
  /** Tells of each answer that is no longer current. */
  readonly endings: Endings<V> = new Endings();
  readonly #entries: Entries<V>;
  readonly #index = new TermIndex<V>();
  readonly #fills = new Map<string, Fill<V>>();
  readonly #recent: RecentCommits;
  readonly #drops = new LRUCache<string, Drop>({ max: DROPS_REMEMBERED_MAX });
  #lineage: Lineage = () => undefined;
  /** Sequence of the last commit that was applied. */
  #sequence = 0;
  /** Grows when everything was dropped: a fill that began before is not stored. */
  #generation = 0;
  readonly #untold: Untold;
  #lastFreshAtMs: number;
  /** Where the schema last changed: what was good before that may be no longer, whichever rows it read. */
  #schemaPosition = 0n;
  #counters = { stored: 0, notStored: 0, dropped: 0, evicted: 0 };

  constructor(options: CacheOptions) {
    this.feed = options.feed;
    this.now = options.now ?? (() => performance.now());
    this.#lastFreshAtMs = this.now();
    this.#recent = new RecentCommits(options.feed.position, {
      commitsMax: options.recentCommitsMax ?? RECENT_COMMITS_MAX_DEFAULT,
    });
    this.#untold = new Untold(this.feed);
    this.#entries = new Entries<V>({
      sizeMaxBytes: options.sizeMaxBytes ?? SIZE_MAX_BYTES_DEFAULT,
      onLeave: (entry, reason) => {
        this.#index.remove(entry);
        if (reason === 'evict') this.#counters.evicted++;
        this.endings.tellOfDisposal(entry, reason);
      },
    });
    this.feed.on('commit', (commit) => this.#apply(commit));
    this.feed.on('epoch', () => {
      this.#schemaPosition = 0n; // on a new timeline it would say nothing
      this.#recent.restart(this.feed.position);
      this.dropAll('epoch');
    });
    // Tables may have become visible, with suspects of their own: fills that began before know nothing of those.
    this.feed.on('schema', () => {
      this.#generation++;
    });
    this.feed.on('snapshot', (snapshot) => this.#observe(snapshot));
  }

  /** Answers from elsewhere can be tried against what changed since if they are known to be good up to here. */
  get coveredFrom(): bigint {
    const { coveredFrom } = this.#recent;
    if (this.#schemaPosition > coveredFrom) return this.#schemaPosition;
    return coveredFrom;
  }

  /**
   * The answer shows a commit that the primary may not show yet: a replica replays it as soon as it is written, the primary
   * waits for its synchronous standbys first. Let out now, its reader could be shown something older next, by a fill on
   * the primary. It ends with a heartbeat.
   */
  isAhead(fill: Fill<V>): boolean {
    if (!fill.isOfReplica) return false;
    const terms = fill.statements.flatMap((statement) => statement.terms);
    if (this.#recent.hasForgottenUnseen) return true;
    return findTouching(this.#recent.unconfirmed(fill.position), terms, this.#lineage) !== undefined;
  }

  /** True while answers may be called fresh: the feed has spoken within its lease, and has told all that {@link Cache.noteUntold} was told of. */
  isFresh(): boolean {
    return this.feed.isFresh() && this.#untold.isTold;
  }

  /**
   * Something leaves this process before the feed has told it. Until it has, nothing is answered from here, else the same reader could
   * be shown something older next. For what is meant to wait, `feed.isFresh()` counts, and not {@link Cache.isFresh}: those who left
   * while others waited would keep it from ever being so.
   * @param position - everything that it shows was committed before; `UNKNOWN_POSITION` where that is not known
   */
  noteUntold(position: bigint): void {
    this.#untold.note(position);
  }

  /** Something leaves that was not held back: {@link Cache.noteUntold}, if the feed is silent. */
  noteLeaving(position: bigint = UNKNOWN_POSITION): void {
    if (!this.feed.isFresh()) this.noteUntold(position);
  }

  /** Says how the position of what has left is found out; called by whoever connects to the primary. */
  findUntoldBy(readPosition: () => Promise<bigint>): void {
    this.#untold.askBy(readPosition);
  }

  /** The entry of a key, fresh or not: look at {@link Cache.isGood} before serving it. */
  get(key: string): Entry<V> | undefined {
    return this.#entries.get(key);
  }

  /** The same, without counting as a use. */
  peek(key: string): Entry<V> | undefined {
    return this.#entries.peek(key);
  }

  /** The entry may be served as the current answer, given that {@link Cache.isFresh}. */
  isGood(entry: Entry<V>): boolean {
    return (
      entry.staleSinceMs === Number.POSITIVE_INFINITY &&
      (entry.expiresAtMs === Number.POSITIVE_INFINITY || this.now() < entry.expiresAtMs)
    );
  }

  /** How long the entry has not been known to be current, in milliseconds; 0 while it is. */
  staleMs(entry: Entry<V>): number {
    const now = this.now();
    const since = Math.min(entry.staleSinceMs, entry.expiresAtMs, this.isFresh() ? now : this.#lastFreshAtMs);
    return Math.max(0, now - since);
  }

  /** Joins the running fill of the key, or starts one that the caller must {@link Cache.complete} or {@link Cache.fail}. */
  join(key: string): Joined<V> {
    this.#entries.miss(key);
    const running = this.#fills.get(key);
    // Without a fresh feed there is no telling what has changed since the fill's snapshot: only those share it who asked before.
    if (running) return { role: 'waiter', outcome: running.wait(this.isFresh() ? this.#sequence : SHARED_WITH_ALL) };
    const fill = new Fill<V>(key, this.#start());
    this.#fills.set(key, fill);
    return { role: 'leader', fill };
  }

  /** A fill that nobody joins, for an answer that is served and not stored. */
  lone(key: string, code: string, detail: string): Fill<V> {
    const fill = new Fill<V>(key, this.#start());
    fill.abandon(code, detail);
    return fill;
  }

  isFilling(key: string): boolean {
    return this.#fills.has(key);
  }

  waiting(key: string): number {
    return this.#fills.get(key)?.waiting ?? 0;
  }

  /** Ends a fill with its value: stores it if it is still the truth, and gives it to those who may have it. */
  complete(fill: Fill<V>, options: CompleteOptions<V>): Completed<V> {
    // Given up before: another may lead the fill of this key by now, and nobody waits for this one.
    if (this.#fills.get(fill.key) === fill) this.#fills.delete(fill.key);
    else fill.abandon('given-up', 'The computation had been given up before it ended.');
    const terms = fill.statements.flatMap((statement) => statement.terms);
    const outdatedAt = fill.snapshot ? this.#firstUnseenTouch(terms, fill.snapshot, fill) : SHARED_WITH_ALL;
    const why = findWhyNotStored(fill, {
      feed: this.feed,
      isFresh: this.isFresh(),
      generation: this.#generation,
      recent: this.#recent,
      coveredFrom: this.coveredFrom,
      ttlMs: options.ttlMs,
      outdatedAt,
    });
    if (why) {
      this.#counters.notStored++;
      const sharedUntil = findSharedUntil(why, outdatedAt);
      fill.settle(sharedUntil === undefined ? undefined : options.value, sharedUntil ?? 0);
      return { stored: false, why };
    }
    const now = this.now();
    // Of what no row was read nothing is missed. What was has an end where other writers go unseen.
    const ttlMs = options.ttlMs ?? (fill.snapshot ? this.feed.ttlDefaultMs : undefined);
    const entry: Entry<V> = {
      key: options.key,
      value: options.value,
      terms: terms.slice(), // without the room that `flatMap` leaves in it
      sizeBytes: entrySizeBytes(options.key, options.valueBytes, terms),
      snapshot: fill.snapshot,
      usesTime: fill.usesTime,
      // Its clock was read when the computation began, or later.
      expiresAtMs: ttlMs === undefined ? Number.POSITIVE_INFINITY : fill.start.atMs + ttlMs,
      createdAtMs: now,
      fillMs: now - fill.start.atMs,
      staleForMs: options.staleForMs ?? 0,
      staleSinceMs: Number.POSITIVE_INFINITY,
      hits: 0,
      statements: fill.statements.slice(),
    };
    this.#store(entry);
    this.#counters.stored++;
    fill.settle(options.value, SHARED_WITH_ALL);
    return { stored: true, entry };
  }

  /** Ends a fill that has no value to share. */
  fail(fill: Fill<V>): void {
    // Also those that wait where `complete` threw, which had taken the fill from the list.
    fill.settle(undefined, 0);
    if (this.#fills.get(fill.key) !== fill) return;
    this.#fills.delete(fill.key);
    this.#counters.notStored++;
  }

  /** Keeps a piece of book-keeping that reads no row, under the same bound as the entries. */
  note(key: string, value: V, valueBytes: number, ttlMs?: number): void {
    this.#store(createNote(key, value, valueBytes, this.now(), ttlMs));
  }

  /** Counts bytes that were added to a value in its place. Does nothing when the value has left. */
  grow(key: string, value: V, bytes: number): void {
    const entry = this.#entries.peek(key);
    if (entry?.value === value) this.#entries.grow(entry, bytes);
  }

  /** Drops one key by hand. Returns whether there was something to drop. */
  purge(key: string): boolean {
    if (!this.#entries.delete(key)) return false;
    this.#drops.set(key, { key, reason: 'purge', at: Date.now() });
    return true;
  }

  /** Drops everything: all that was derived so far is unfounded. */
  dropAll(reason: Drop['reason'], position?: bigint): void {
    this.#generation++;
    const at = Date.now();
    let remembered = 0;
    for (const entry of [...this.#entries.values()]) {
      // What ran no statement stays: nothing that happened to the database concerns it. What read no row goes: it may have
      // called a function that the schema now defines otherwise.
      if (!entry.snapshot || entry.staleSinceMs !== Number.POSITIVE_INFINITY) continue;
      this.#counters.dropped++;
      if (remembered++ < DROPS_REMEMBERED_MAX) this.#drops.set(entry.key, { key: entry.key, reason, at, position });
      this.#retire(entry);
    }
  }

  /** Says which tables are parts of which; called by whoever loads the catalog. */
  setLineage(lineage: Lineage): void {
    this.#lineage = lineage;
  }

  lastDrop(key: string): Drop | undefined {
    return this.#drops.get(key);
  }

  /** All keys that begin with `prefix`, the popular ones first, at most `max`. */
  keys(prefix: string, max: number): string[] {
    const found: string[] = [];
    for (const key of this.#entries.keys()) {
      if (!key.startsWith(prefix)) continue;
      if (found.push(key) >= max) break;
    }
    return found;
  }

  /** Keys under `prefix` whose drop is remembered. */
  droppedKeys(prefix: string, max: number): string[] {
    return [...this.#drops.keys()].filter((key) => key.startsWith(prefix)).slice(0, max);
  }

  /** Another bound for all entries; what is too much leaves at once, the least popular first. */
  resize(sizeMaxBytes: number): void {
    this.#entries.resize(sizeMaxBytes);
  }

  figures(): CacheFigures {
    return {
      entries: this.#entries.size,
      sizeBytes: this.#entries.sizeBytes,
      sizeMaxBytes: this.#entries.sizeMaxBytes,
      fillsRunning: this.#fills.size,
      ...this.#counters,
      recentCommits: this.#recent.size,
    };
  }

  #start(): FillStart {
    return {
      atMs: this.now(),
      epoch: this.feed.epoch,
      generation: this.#generation,
      neededAfter: this.#recent.seenUpTo,
      suspects: this.feed.suspects,
    };
  }

  #store(entry: Entry<V>): void {
    this.#entries.set(entry);
    // What was not admitted has left already; indexing it would leak it.
    if (entry.terms.length > 0 && this.#entries.peek(entry.key) === entry) this.#index.add(entry);
  }

  /** The sequence of the first delivered commit that the fill did not see and that touches what it read. */
  #firstUnseenTouch(terms: readonly Term[], snapshot: ReadSnapshot, { validAt, start }: Fill<V>): number {
    const isBehind =
      validAt === undefined
        ? (commit: Commit): boolean => commit.sequence <= start.neededAfter
        : (commit: Commit): boolean => commit.position <= validAt;
    const unseen = this.#recent.unseenBy(snapshot, isBehind);
    return findTouching(unseen, terms, this.#lineage)?.sequence ?? SHARED_WITH_ALL;
  }

  #apply(commit: Commit): void {
    this.#sequence = commit.sequence;
    this.#recent.add(commit);
    if (commit.schemaChanged) {
      this.#schemaPosition = commit.position;
      this.dropAll('schema', commit.position);
      return;
    }
    for (const change of commit.changes) {
      let row: Drop['row'];
      const lineage = this.#lineage(change.relation.oid);
      if (!lineage) {
        // A table that the catalog did not have when it was loaded: it may be a new part of any other.
        this.dropAll('unknown-table', commit.position);
        return;
      }
      for (const oid of lineage) {
        this.#index.match(oid, change, (entry, term) => {
          row ??= describeRow(change);
          this.#drop(entry, term, change, row, commit);
        });
      }
    }
  }

  #drop(entry: Entry<V>, term: Term, change: Change, row: Drop['row'], commit: Commit): void {
    if (entry.snapshot && seesCommit(entry.snapshot, commit)) return; // computed after that commit
    if (this.#entries.peek(entry.key) !== entry || entry.staleSinceMs !== Number.POSITIVE_INFINITY) return;
    this.#counters.dropped++;
    this.#drops.set(entry.key, createDrop(entry.key, term, change, row, commit));
    this.#retire(entry);
  }

  /** Takes an entry out of service; it stays, as stale, where it may still be served so. */
  #retire(entry: Entry<V>): void {
    if (entry.staleForMs > 0) {
      this.#index.remove(entry);
      if (entry.staleSinceMs !== Number.POSITIVE_INFINITY) return;
      entry.staleSinceMs = this.isFresh() ? this.now() : this.#lastFreshAtMs;
      this.endings.tell(entry, 'dropped');
    } else {
      this.#entries.delete(entry.key);
    }
  }

  #observe(snapshot: Snapshot): void {
    // A feed that speaks and is in doubt (of its publication, say) proves nothing.
    if (this.isFresh()) this.#lastFreshAtMs = this.now();
    this.#recent.observe(snapshot);
    let neededAfter = this.#recent.seenUpTo;
    for (const fill of this.#fills.values()) neededAfter = Math.min(neededAfter, fill.start.neededAfter);
    this.#recent.prune(neededAfter);
  }
}
