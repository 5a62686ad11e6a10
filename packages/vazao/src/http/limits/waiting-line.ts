/**
 * A line of requests that wait for room. It is kept short by time, not by number: a queue that stands for long makes every
 * request late and none of them faster.
 *
 * Controlled delay (CoDel, RFC 8289; for queues of requests B. Maurer, "Fail at Scale", ACM Queue 13 (8), 2015): a burst may wait for
 * `ageMaxMs`; under overload nobody waits longer than `targetMs`. Then, who would wait longer at the pace at which room comes free
 * ({@link WaitingLine.isHopeless}) is not to join, but to be refused at once: to wait in vain takes two more turns of Node's loop, which
 * are long just then. So the oldest is mostly in time, and served first. Overload is told by what is refused, and not, as there, by
 * whether the line was empty lately: a turn of the loop may free all places at once, and empty it, and be overrun by the next.
 *
 *   join() ──► waiting ──take()──► taken
 *                ├── too old, or the line too long (the oldest goes) ──► refused
 *                └── leave() ──► left: its client is gone
 *
 * Cost: constant for each step; one timer for the line, at the age limit of its oldest.
 */

export type RefusalReason = 'age' | 'length';

export interface WaitingLineOptions {
  /** The longest wait while a burst is worked off. */
  readonly ageMaxMs: number;
  /** The longest wait while more arrives than can be done; asked for each time, for it may follow the pace of the work. */
  readonly targetMs: () => number;
  /** Mean time between two of those whom the line is for getting room; 0 while nothing is known. */
  readonly paceMs: () => number;
  readonly lengthMax: number;
  /** @defaultValue `performance.now` */
  readonly now?: (() => number) | undefined;
}

export interface Waiting {
  readonly since: number;
  readonly onTaken: () => void;
  readonly onRefused: (reason: RefusalReason) => void;
}

/** How much of the last one who asked counts in the share of those who were refused. */
const SHARE_SMOOTHING = 0.02;
const OVERLOAD_SHARE = 0.05;
/** Without a refusal for so long nothing is overloaded, however few have asked since. */
const CALM_MS = 1_000;

/** A link of the line. */
interface Link extends Waiting {
  older: Link | undefined;
  newer: Link | undefined;
  isIn: boolean;
}

export class WaitingLine {
  readonly #options: WaitingLineOptions;
  readonly #now: () => number;
  #oldest: Link | undefined;
  #newest: Link | undefined;
  #length = 0;
  #refusedShare = 0;
  #refusedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WaitingLineOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  get length(): number {
    return this.#length;
  }

  /** More arrives than can be done: of those who asked lately, more than one of twenty was refused. */
  get #isOverloaded(): boolean {
    return this.#refusedShare > OVERLOAD_SHARE && this.#now() - this.#refusedAt < CALM_MS;
  }

  /** Who joins now would be too old before its turn. One may always wait: however slow the pace, the next room is not to stay empty. */
  get isHopeless(): boolean {
    return this.#isOverloaded && this.#length > 0 && this.#length * this.#options.paceMs() >= this.#options.targetMs();
  }

  /** To be told of each who finds room without waiting, or is refused without joining. */
  note(isRefused: boolean): void {
    this.#refusedShare += SHARE_SMOOTHING * (Number(isRefused) - this.#refusedShare);
    if (isRefused) this.#refusedAt = this.#now();
  }

  /** Returns what takes it out of the line again; after it was taken or refused that does nothing. */
  join(onTaken: Waiting['onTaken'], onRefused: Waiting['onRefused']): () => void {
    const link: Link = { since: this.#now(), onTaken, onRefused, older: this.#newest, newer: undefined, isIn: true };
    if (this.#newest) this.#newest.newer = link;
    else this.#oldest = link;
    this.#newest = link;
    this.#length++;
    if (this.#length > this.#options.lengthMax && this.#oldest) this.#refuse(this.#oldest, 'length');
    this.#dropAged();
    return () => this.#unlink(link);
  }

  /** Takes the next one out and tells it; false when nobody waits. */
  take(): boolean {
    this.#dropAged();
    const link = this.#oldest;
    if (!link) return false;
    this.#unlink(link);
    this.note(false);
    link.onTaken();
    return true;
  }

  #dropAged(): void {
    const now = this.#now();
    const ageMaxMs = this.#isOverloaded ? this.#options.targetMs() : this.#options.ageMaxMs;
    while (this.#oldest && now - this.#oldest.since >= ageMaxMs) this.#refuse(this.#oldest, 'age');
    if (!this.#oldest || this.#timer) return;
    // A little late rather than a turn too early.
    const inMs = Math.max(1, Math.ceil(ageMaxMs - (now - this.#oldest.since)));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#dropAged();
    }, inMs).unref(); // the connection of whoever waits holds the process
  }

  #refuse(link: Link, reason: RefusalReason): void {
    this.#unlink(link);
    this.note(true);
    link.onRefused(reason);
  }

  #unlink(link: Link): void {
    if (!link.isIn) return;
    link.isIn = false;
    if (link.older) link.older.newer = link.newer;
    else this.#oldest = link.newer;
    if (link.newer) link.newer.older = link.older;
    else this.#newest = link.older;
    if (--this.#length > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
