/** Counts of what the readers saw, by time, and how stale it was. */

/** Width of a slot of time. */
const SLOT_MS = 100;

/** Who waits so long is held up by something that is broken, and not by the work itself. */
export const BLOCKED_MS = 250;

/** How an answer came about, by its `Cache-Status`. */
export type AnswerKind = 'hit' | 'stored' | 'collapsed' | 'not stored' | 'not cached';
export type Failure = 'error' | 'time-out';

export interface Counts {
  reads: number;
  hits: number;
  errors: number;
  timeouts: number;
}

export class Traffic {
  readonly byKind: Record<AnswerKind, number> = {
    hit: 0,
    stored: 0,
    collapsed: 0,
    'not stored': 0,
    'not cached': 0,
  };
  /** Reasons for which answers were not stored. */
  readonly notStored: Map<string, number> = new Map<string, number>();
  readonly failures: Map<string, number> = new Map<string, number>();
  readonly #slots: Counts[] = [];
  readonly #startedAtMs: number;
  reads = 0;
  /** Of the reads: answered with 304, which stands for what the client held. */
  notModified = 0;
  /** How long clients have waited, all together, for answers that took longer than {@link BLOCKED_MS}. */
  blockedMs = 0;

  constructor(startedAtMs: number) {
    this.#startedAtMs = startedAtMs;
  }

  answered(endedAtMs: number, kind: AnswerKind, reason: string | undefined): void {
    this.reads++;
    this.byKind[kind]++;
    if (reason !== undefined) count(this.notStored, reason);
    const slot = this.#slot(endedAtMs);
    slot.reads++;
    if (kind === 'hit') slot.hits++;
  }

  /** An operation is over, however it ended. */
  waited(ms: number): void {
    if (ms > BLOCKED_MS) this.blockedMs += ms;
  }

  failed(endedAtMs: number, failure: Failure, what: string): void {
    count(this.failures, what);
    const slot = this.#slot(endedAtMs);
    if (failure === 'error') slot.errors++;
    else slot.timeouts++;
  }

  /** Sums of the slots that lie between. */
  between(fromMs: number, toMs: number): Counts {
    const sum = { reads: 0, hits: 0, errors: 0, timeouts: 0 };
    const first = Math.max(0, Math.floor((fromMs - this.#startedAtMs) / SLOT_MS));
    const last = Math.floor((toMs - this.#startedAtMs) / SLOT_MS);
    for (let at = first; at <= last && at < this.#slots.length; at++) add(sum, this.#slots[at]);
    return sum;
  }

  #slot(atMs: number): Counts {
    const index = Math.max(0, Math.floor((atMs - this.#startedAtMs) / SLOT_MS));
    while (this.#slots.length <= index) this.#slots.push({ reads: 0, hits: 0, errors: 0, timeouts: 0 });
    return this.#slots[index] as Counts;
  }
}

export function add(sum: Counts, more: Counts | undefined): void {
  if (!more) return;
  sum.reads += more.reads;
  sum.hits += more.hits;
  sum.errors += more.errors;
  sum.timeouts += more.timeouts;
}

const KINDS_MAX = 200;

function count(counts: Map<string, number>, name: string): void {
  if (counts.has(name) || counts.size < KINDS_MAX) counts.set(name, (counts.get(name) ?? 0) + 1);
}

/** Every value is counted: in steps of 10 µs up to 100 ms, then of 1 ms up to a minute. */
export class Staleness {
  readonly #fine = new Uint32Array(10_000);
  readonly #coarse = new Uint32Array(60_001);
  #count = 0;
  #maxMs = 0;

  add(ms: number): void {
    this.#count++;
    if (ms > this.#maxMs) this.#maxMs = ms;
    const [steps, at] =
      ms < 100 ? [this.#fine, Math.floor(ms * 100)] : [this.#coarse, Math.min(60_000, Math.floor(ms))];
    steps[at] = (steps[at] as number) + 1;
  }

  get count(): number {
    return this.#count;
  }

  get maxMs(): number {
    return this.#maxMs;
  }

  /** The value that this share of all does not exceed, rounded up to its step. */
  quantileMs(share: number): number {
    let left = Math.ceil(this.#count * share);
    if (left === 0) return 0;
    for (let at = 0; at < this.#fine.length; at++) {
      left -= this.#fine[at] as number;
      // What is not stale at all is zero, and not the end of the first step.
      if (left <= 0) return at === 0 ? 0 : Math.min(this.#maxMs, (at + 1) / 100);
    }
    for (let at = 0; at < this.#coarse.length; at++) {
      left -= this.#coarse[at] as number;
      if (left <= 0) return Math.min(this.#maxMs, at + 1);
    }
    return this.#maxMs;
  }
}
