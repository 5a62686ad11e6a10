/**
 * A fill: one computation of an answer, and what it has read so far.
 *
 *   running ── complete() ──► stored         nothing it read has changed unseen
 *      │            └───────► served only    something did, or `abandon` was called; the reason is kept
 *      └────── fail() ──────► failed         there is no answer to share
 *
 * Whoever asks for the same key meanwhile waits for it. A waiter may have the answer if its snapshot was taken after the
 * waiter had asked, or if no change that touches it had been delivered before the waiter asked; the others share the
 * next fill. So a key costs at most one running and one waiting fill, whatever the rates of requests and of writes.
 */
import type { ReadSnapshot } from '../feed/index.ts';
import type { Entry, StatementRecord } from './entry.ts';

/** Why an answer was not stored. */
export interface NotStored {
  readonly code: string;
  /** A sentence for people. */
  readonly detail: string;
}

/** What a waiter gets: the value, or the word to look again. */
export type FillOutcome<V> = { readonly kind: 'value'; readonly value: V } | { readonly kind: 'again' };

export interface CompleteOptions<V> {
  /** The key to store under; it may be longer than the fill's, when the computation showed what else it depends on. */
  readonly key: string;
  readonly value: V;
  /** Bytes of the value alone. */
  readonly valueBytes: number;
  readonly ttlMs?: number | undefined;
  readonly staleForMs?: number | undefined;
}

export type Completed<V> =
  | { readonly stored: true; readonly entry: Entry<V> }
  | { readonly stored: false; readonly why: NotStored };

export type Joined<V> =
  | { readonly role: 'leader'; readonly fill: Fill<V> }
  | { readonly role: 'waiter'; readonly outcome: Promise<FillOutcome<V>> };

/** The moment a fill began, as the cache counts moments. */
export interface FillStart {
  readonly atMs: number;
  readonly epoch: number;
  /** Grows whenever all entries are dropped. */
  readonly generation: number;
  /** `RecentCommits.seenUpTo`: what the fill's snapshot is sure to see. */
  readonly neededAfter: number;
  /** Transactions whose changes the feed may not deliver in full. Taken before the snapshot; the feed forgets them when they end. */
  readonly suspects: ReadonlySet<bigint>;
}

/**
 * Before which sequence a waiter must have asked to share an answer that is not stored, by the reason. Where a reason is
 * absent nobody may: the computation may have had effects, or answers, that each caller must have for itself.
 */
export function findSharedUntil(why: NotStored, outdatedAt: number): number | undefined {
  return why.code === 'changed' ? outdatedAt : SHARED_UNTIL[why.code];
}

/** A position begins with its timeline (`feed/position.ts`). */
const TIMELINE_SHIFT = 64n;

export function isOfOlderTimeline(position: bigint, than: bigint): boolean {
  return position >> TIMELINE_SHIFT < than >> TIMELINE_SHIFT;
}

interface Waiter<V> {
  /** Last sequence delivered when it asked; −1 when the fill's snapshot had not been asked for yet. */
  readonly sequence: number;
  readonly settle: (outcome: FillOutcome<V>) => void;
}

/** `outdatedAt` for an answer that nobody may share but those who asked before its snapshot was taken. */
export const SHARED_WITH_EARLY = 0;
export const SHARED_WITH_ALL: number = Number.POSITIVE_INFINITY;

const SHARED_UNTIL: Readonly<Record<string, number>> = {
  time: SHARED_WITH_ALL,
  failed: SHARED_WITH_ALL,
  epoch: SHARED_WITH_EARLY,
  'not-fresh': SHARED_WITH_EARLY,
  suspect: SHARED_WITH_EARLY,
  'too-long': SHARED_WITH_EARLY,
  'feed-behind': SHARED_WITH_EARLY,
};

export class Fill<V> {
  readonly key: string;
  readonly start: FillStart;
  readonly statements: StatementRecord[] = [];
  #opened = false;
  #snapshot: ReadSnapshot | undefined;
  #position = 0n;
  #validAt: bigint | undefined;
  #usesTime = false;
  #notStored: NotStored | undefined;
  readonly #waiters: Waiter<V>[] = [];

  constructor(key: string, start: FillStart) {
    this.key = key;
    this.start = start;
  }

  /** The one snapshot that all statements of the fill see; undefined while it is not known. */
  get snapshot(): ReadSnapshot | undefined {
    return this.#snapshot;
  }

  /**
   * Everything that the snapshot sees was committed before this position. The answer must not leave, nor be stored, before
   * the feed has passed it: else a reader could see something new here and then something older under another key.
   */
  get position(): bigint {
    return this.#position;
  }

  /**
   * Up to this position it is known without the recent commits that the answer holds, so only later ones need to be tried;
   * undefined when the answer was computed here, by transaction ids.
   */
  get validAt(): bigint | undefined {
    return this.#validAt ?? (this.#snapshot && 'replayedTo' in this.#snapshot ? this.#snapshot.replayedTo : undefined);
  }

  /** Computed on a replica, which may show what the primary does not show yet. */
  get isOfReplica(): boolean {
    return this.#snapshot !== undefined && 'replayedTo' in this.#snapshot;
  }

  get usesTime(): boolean {
    return this.#usesTime;
  }

  get notStored(): NotStored | undefined {
    return this.#notStored;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** From now on the answer's snapshot may be older than a waiter's question: its transaction is about to be opened, or another tier asked. */
  open(): void {
    this.#opened = true;
  }

  /** The fill's transaction has told its snapshot. */
  begin(snapshot: ReadSnapshot, position: bigint): void {
    this.#snapshot = snapshot;
    this.#position = position;
  }

  /** The answer shows more than the snapshot: all of it was committed before this position. */
  raise(position: bigint): void {
    if (position > this.#position) this.#position = position;
  }

  /**
   * Takes over what another process computed, instead of computing. {@link Fill.open} must have been called before that
   * process, or a tier between, was asked.
   * @param validAt - every commit up to here is either seen by the snapshot or concerns nothing that was read
   */
  adopt(origin: { readonly snapshot: ReadSnapshot | undefined; readonly position: bigint }, validAt: bigint): void {
    this.#snapshot = origin.snapshot;
    this.#position = origin.position;
    this.#validAt = validAt;
  }

  /** Adds what a statement reads. Called before the statement is sent. */
  read(record: StatementRecord, usesTime: boolean): void {
    this.statements.push(record);
    if (usesTime) this.#usesTime = true;
  }

  /** The answer depends on the time, or on what changes unseen, in a way that no statement shows. */
  dependOnTime(): void {
    this.#usesTime = true;
  }

  /** The answer will be served and not stored. The first reason stays. */
  abandon(code: string, detail: string): void {
    this.#notStored ??= { code, detail };
  }

  wait(sequence: number): Promise<FillOutcome<V>> {
    return new Promise((settle) => this.#waiters.push({ sequence: this.#opened ? sequence : -1, settle }));
  }

  /**
   * @param value - undefined sends everybody to look again
   * @param outdatedAt - the first delivered commit that touches the answer and that it did not see
   */
  settle(value: V | undefined, outdatedAt: number): void {
    for (const { sequence, settle } of this.#waiters) {
      settle(value !== undefined && sequence < outdatedAt ? { kind: 'value', value } : { kind: 'again' });
    }
    this.#waiters.length = 0;
  }
}
