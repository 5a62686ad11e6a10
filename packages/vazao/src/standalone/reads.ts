/**
 * Reads of values by key, for code that serves no HTTP, or serves it by other means than Fastify.
 *
 *   look ─┬─ a good value ──────────────────────────────────────────────► given
 *         ├─ was not to be kept a moment ago ───────────────────────────► computed, past the cache
 *         ├─ being filled ── wait ─┬─ a value, or its error, to share ──► given
 *         │                        └─ none ──► look again, a few times, then compute alone
 *         └─ nobody fills it: compute, all statements in one snapshot ──► kept if it is still the truth, given
 *
 * Within a fill (of another read, or of an answer) a read is computed as a part of that: one value is one moment.
 */
import {
  BYPASS_MS,
  type Cache,
  type Fill,
  holdBack,
  isPassing,
  isShown,
  type NotStored,
  SHARED_WITH_EARLY,
  type StatementRecord,
} from '../cache/index.ts';
import {
  currentContext,
  type FillCare,
  type FillSession,
  type Pool,
  runInContext,
  type WorkContext,
} from '../db/index.ts';
import { type Feed, UNKNOWN_POSITION, untilToldOrSilent } from '../feed/index.ts';

/** What stands in the cache under a key. */
export type Kept<V> =
  | { readonly kind: 'value'; readonly value: V }
  /** Given to those who wait for the fill, and never stored. */
  | { readonly kind: 'error'; readonly error: unknown }
  /** Not kept a moment ago: don't wait for one another. */
  | { readonly kind: 'bypass'; readonly reason: string };

export type ReadsCache<V> = Cache<Kept<V>>;
export type ReadsFeed = Pick<Feed, 'position' | 'isFresh' | 'waitFor' | 'on'>;

/** How a value came about. */
export type ReadOutcome = 'hit' | 'stale' | 'filled' | 'collapsed' | 'bypass' | 'nested';

export interface Read<V> {
  readonly value: V;
  readonly outcome: ReadOutcome;
  /** Why it was not kept; undefined when it was, or had been. */
  readonly notStored: NotStored | undefined;
  /** Of `filled`: what was read for it. */
  readonly statements?: readonly StatementRecord[] | undefined;
}

export interface ReadQuestion<V> {
  readonly key: string;
  readonly compute: (refuse: Refuse) => PromiseLike<V> | V;
  readonly bytesOf: (value: V) => number;
  readonly ttlMs: number | undefined;
  readonly staleForMs: number;
  readonly staleIfErrorMs: number;
  /** The value must show what was committed before this position. */
  readonly after: bigint | undefined;
  /** False: `compute` may be run once, also where a replica failed it. */
  readonly mayRepeat: boolean;
}

/** Says that the value is not to be kept. The first reason stays. */
export type Refuse = (code: string, detail: string) => void;

export interface ReadsSettings<V> {
  readonly cache: ReadsCache<V>;
  readonly feed: ReadsFeed;
  readonly db: Pick<Pool, 'openSession' | 'readPosition'>;
  /** After this time a computation is no longer cared for, and those who wait for it compute for themselves. */
  readonly fillMaxMs: number;
  /** How long a value waits until the feed has told what it shows, and a read until it has told what was written. */
  readonly waitMaxMs: number;
}

/** How often a read looks again, after waiting for a fill that was not for it, before it computes for itself. */
const LOOKS_MAX = 5;

export class Reads<V> {
  readonly #settings: ReadsSettings<V>;
  /** Where the log stood after the last write of this process. */
  #writtenTo = 0n;

  constructor(settings: ReadsSettings<V>) {
    this.#settings = settings;
    const { cache, feed } = settings;
    feed.on('epoch', () => {
      // Of a server whose log is shorter, perhaps, which says nothing of this one: nobody is to wait for it.
      if (this.#writtenTo <= feed.position) return;
      this.#writtenTo = 0n;
      cache.noteUntold(UNKNOWN_POSITION);
    });
  }

  /** Told of each write of this process: no read that begins later shows anything older. */
  noteWrite(position: bigint): void {
    if (position > this.#writtenTo) this.#writtenTo = position;
  }

  /** Whether the feed has told all that this process has written; waits for it. */
  async hasToldWrites(): Promise<boolean> {
    return this.#writtenTo <= this.#settings.feed.position || (await this.#untilTold(this.#writtenTo));
  }

  /**
   * Waits until the feed has told all that a fill shows; one that it does not tell in time will not be stored.
   * @returns whether it may be shown
   */
  async untilShown(fill: Fill<Kept<V>>): Promise<boolean> {
    const { cache, feed, waitMaxMs } = this.#settings;
    return isShown(fill, cache) || (await holdBack(fill, cache, feed, waitMaxMs));
  }

  /** Rejects with what `compute` throws. */
  async read(question: ReadQuestion<V>): Promise<Read<V>> {
    const outer = currentContext();
    if (outer?.fill?.isOpen) return this.#readWithin(question, outer.fill);
    const { cache, feed, fillMaxMs } = this.#settings;
    const { key } = question;
    const needed = latest(question.after, outer?.position, this.#writtenTo);
    if (needed > feed.position && (needed === UNKNOWN_POSITION || !(await this.#untilTold(needed))))
      return this.#computeAlone(question, 'position', 'The feed has not told yet what was written.');
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      const entry = cache.get(key);
      const kept = entry?.value;
      if (entry && kept?.kind === 'bypass' && cache.isGood(entry)) return this.#computePast(question, kept.reason);
      if (entry && kept?.kind === 'value') {
        if (cache.isFresh() && cache.isGood(entry)) {
          entry.hits++;
          return { value: kept.value, outcome: 'hit', notStored: undefined };
        }
        if (cache.isFilling(key) && cache.staleMs(entry) <= question.staleForMs && this.#mayBeStale(question, outer))
          return { value: kept.value, outcome: 'stale', notStored: undefined };
      }
      const joined = cache.join(key);
      if (joined.role === 'leader') return this.#lead(question, joined.fill);
      const outcome = await within(joined.outcome, fillMaxMs);
      if (!outcome) break;
      if (outcome.kind === 'again') continue;
      if (outcome.value.kind === 'error') return this.#staleOr(question, outcome.value.error);
      if (outcome.value.kind === 'value')
        return { value: outcome.value.value, outcome: 'collapsed', notStored: undefined };
    }
    return this.#computeAlone(question, 'contended', `The fill that was waited for was of no use, ${LOOKS_MAX} times.`);
  }

  /** Whoever has written, or has seen something newer, asked for nothing older. */
  #mayBeStale({ after }: ReadQuestion<V>, outer: WorkContext | undefined): boolean {
    return after === undefined && (outer?.position ?? 0n) === 0n;
  }

  #untilTold(position: bigint): Promise<boolean> {
    const { feed, waitMaxMs } = this.#settings;
    return untilToldOrSilent(feed, (timeoutMs) => feed.waitFor(position, timeoutMs), waitMaxMs);
  }

  /** In the snapshot of the fill that is running, of which it becomes a part. */
  async #readWithin({ compute }: ReadQuestion<V>, { notStored }: FillCare): Promise<Read<V>> {
    // Whether it could be kept by itself does not matter: what comes of it is judged with the whole.
    return { value: await compute(() => {}), outcome: 'nested', notStored };
  }

  /** A fill that nobody joins: in one snapshot still. */
  #computeAlone(question: ReadQuestion<V>, code: string, detail: string): Promise<Read<V>> {
    return this.#lead(question, this.#settings.cache.lone(question.key, code, detail));
  }

  /** As code that is not cached runs: on the pool, each statement by itself. */
  async #computePast({ compute }: ReadQuestion<V>, reason: string): Promise<Read<V>> {
    const notStored = { code: reason, detail: 'Its value was not to be kept a moment ago.' };
    const value = await compute(() => {});
    this.#settings.cache.noteLeaving();
    return { value, outcome: 'bypass', notStored };
  }

  async #lead(question: ReadQuestion<V>, fill: Fill<Kept<V>>): Promise<Read<V>> {
    const { cache, db, fillMaxMs } = this.#settings;
    const session = db.openSession(fill as Fill<unknown>);
    const outer = currentContext();
    const context: WorkContext = { ...outer, fill: session, position: 0n };
    const timer = setTimeout(() => {
      const detail = `The computation took longer than ${fillMaxMs} ms.`;
      fill.abandon('too-long', detail);
      session.leave('too-long', detail);
      cache.fail(fill);
    }, fillMaxMs);
    timer.unref();
    // Once it has written it must not run again.
    const mayRepeat = (): boolean => question.mayRepeat && session.hasConflict && context.position === 0n;
    let value: V;
    try {
      // Awaited inside: a query builder does its work only when it is waited for.
      value = await runInContext(context, async () => {
        return await question.compute((code, detail) => fill.abandon(code, detail));
      });
    } catch (error) {
      session.close();
      if (mayRepeat()) return await this.#repeat(question, fill);
      // Whoever asked before a snapshot was taken has missed nothing by it; the others ask for themselves.
      fill.settle({ kind: 'error', error }, SHARED_WITH_EARLY);
      cache.fail(fill);
      return this.#staleOr(question, error);
    } finally {
      clearTimeout(timer);
      session.close();
      if (outer && context.position > outer.position) outer.position = context.position;
    }
    if (mayRepeat()) return await this.#repeat(question, fill);
    try {
      const mayLeave = await this.#hold(fill, session, context.position);
      if (!mayLeave && question.mayRepeat && context.position === 0n) return await this.#repeat(question, fill);
      return this.#keep(question, fill, value);
    } catch (error) {
      cache.fail(fill);
      throw error;
    }
  }

  /** A replica could not go on, and the computation may have failed by it, or what it showed must not be: it runs again, on the primary. */
  #repeat(question: ReadQuestion<V>, fill: Fill<Kept<V>>): Promise<Read<V>> {
    this.#settings.cache.fail(fill);
    return this.#computeAlone(
      question,
      'replica-conflict',
      'A replica could not go on, or showed more than may be shown.',
    );
  }

  /** The value leaves when the feed has told all that it shows, and all that was written on its way. */
  async #hold(fill: Fill<Kept<V>>, session: FillSession, written: bigint): Promise<boolean> {
    fill.raise(written);
    // What ran after the fill was left may have seen anything that is committed by now.
    if (session.hasLeft) fill.raise(await this.#settings.db.readPosition().catch(() => UNKNOWN_POSITION));
    return this.untilShown(fill);
  }

  #keep(question: ReadQuestion<V>, fill: Fill<Kept<V>>, value: V): Read<V> {
    const { cache } = this.#settings;
    const { key, bytesOf, ttlMs, staleForMs, staleIfErrorMs } = question;
    const completed = cache.complete(fill, {
      key,
      value: { kind: 'value', value },
      valueBytes: bytesOf(value),
      ttlMs,
      staleForMs: Math.max(staleForMs, staleIfErrorMs),
    });
    const notStored = completed.stored ? undefined : completed.why;
    if (notStored && !isPassing(notStored.code))
      cache.note(key, { kind: 'bypass', reason: notStored.code }, notStored.code.length, BYPASS_MS);
    return { value, outcome: 'filled', notStored, statements: fill.statements };
  }

  /** What was kept before, if the reader allows it; else throws the error. */
  #staleOr(question: ReadQuestion<V>, error: unknown): Read<V> {
    const { cache } = this.#settings;
    const entry = cache.get(question.key);
    const isUsable = entry?.value.kind === 'value' && cache.staleMs(entry) <= question.staleIfErrorMs;
    if (question.staleIfErrorMs > 0 && isUsable && this.#mayBeStale(question, currentContext()))
      return { value: (entry.value as { value: V }).value, outcome: 'stale', notStored: undefined };
    throw error;
  }
}

function latest(...positions: readonly (bigint | undefined)[]): bigint {
  return positions.reduce<bigint>(
    (last, position) => (position !== undefined && position > last ? position : last),
    0n,
  );
}

async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, undefined);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
