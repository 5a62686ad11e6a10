/**
 * A line of requests that wait for room. It is kept short by time, not by number: a queue that stands for long makes every
 * request late and none of them faster.
 *
 * Controlled delay (CoDel, RFC 8289), as Facebook adapted it to queues of requests (B. Maurer, "Fail at Scale", ACM Queue
 * 13 (8), 2015): while the line has been empty within the last `ageMaxMs`, a burst may wait that long; once it has not, the
 * load is more than can be done, and nobody waits longer than `targetMs`. Who would wait longer than that at the pace at which room
 * comes free ({@link WaitingLine.isHopeless}) is not to join, but to be refused at once: to wait in vain takes two more turns of Node's
 * loop, which are long just then. So the oldest is mostly in time, and served first.
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

/** A link of the line; `line` is undefined once it is out of it. */
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
  #lastEmptyAt: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WaitingLineOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#lastEmptyAt = this.#now();
  }

  get length(): number {
    return this.#length;
  }

  /** More arrives than can be done: the line has not been empty for a while. */
  get isOverloaded(): boolean {
    return this.#length > 0 && this.#now() - this.#lastEmptyAt > this.#options.ageMaxMs;
  }

  /** Who joins now would be too old before its turn. One may always wait: however slow the pace, the next room is not to stay empty. */
  get isHopeless(): boolean {
    return this.#length > 0 && this.#length * this.#options.paceMs() >= this.#ageMaxMs;
  }

  /** Returns what takes it out of the line again; after it was taken or refused that does nothing. */
  join(onTaken: Waiting['onTaken'], onRefused: Waiting['onRefused']): () => void {
    const since = this.#now();
    if (this.#length === 0) this.#lastEmptyAt = since;
    const link: Link = { since, onTaken, onRefused, older: this.#newest, newer: undefined, isIn: true };
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
    link.onTaken();
    return true;
  }

  get #ageMaxMs(): number {
    return this.isOverloaded ? this.#options.targetMs() : this.#options.ageMaxMs;
  }

  #dropAged(): void {
    const now = this.#now();
    const ageMaxMs = this.#ageMaxMs;
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
    this.#lastEmptyAt = this.#now();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
