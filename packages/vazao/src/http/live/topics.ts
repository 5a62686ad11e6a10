/**
 * Keeps what is followed current: an answer whose entry ended is computed once and written to all who follow it.
 *
 * It looks at states, not at messages: whatever may have touched an answer makes its topic dirty, and a dirty topic looks
 * what stands under its key, and computes if that is not the current answer. So nothing is missed that is told twice, early
 * or in another order.
 */
import type { FastifyInstance } from 'fastify';
import { type HttpCache, walk } from '../lookup.ts';
import type { PluginFeed } from '../options.ts';
import type { ResolvedRouteCacheOptions } from '../route-options.ts';
import type { StoredResponse } from '../stored-response.ts';
import { compute, FOLLOWED } from './compute.ts';
import { createEndFrame, createStateFrame, createStatusFrame, type EndReason, type Frame } from './frame.ts';
import type { ResolvedLiveOptions } from './options.ts';
import { SlowStreams } from './slow-streams.ts';
import type { LiveStream } from './stream.ts';
import { Topic } from './topic.ts';
import { Turns } from './turns.ts';

export interface TopicsSettings {
  readonly app: FastifyInstance;
  readonly cache: HttpCache;
  readonly feed: PluginFeed;
  readonly options: ResolvedLiveOptions;
  /** How long a client that is sent away is to wait, in milliseconds. */
  readonly retryMs: () => number;
}

/** Answers in a row that a change overtook while they were computed; the next is shown all the same. */
const OVERTAKEN_MAX = 2;
const PAUSE_MIN_MS = 100;
const PAUSE_MAX_MS = 5_000;
/** How long one turn of the event loop writes to streams, before others have their turn. */
const SLICE_MS = 4;
/** The tree of a URL has grown so often that its handler must be reading something new each time. */
const MOVES_MAX = 8;
const TIMER_MAX_MS = 2 ** 31 - 1;

export class Topics {
  readonly #settings: TopicsSettings;
  readonly #topics = new Map<string, Topic>();
  readonly #turns: Turns;
  readonly #frames = new WeakMap<StoredResponse, { readonly frame: Frame | undefined }>();
  readonly slow: SlowStreams;
  /** Streams that wait for the feed to pass what they have seen. */
  readonly #floored = new Set<LiveStream>();
  #computations = 0;
  #sent = 0;
  #skipped = 0;

  constructor(settings: TopicsSettings) {
    const { cache, options } = settings;
    this.#settings = settings;
    this.slow = new SlowStreams(options);
    this.#turns = new Turns(
      options,
      () => cache.feed.isFresh(), // what is untold keeps nobody from computing
      (topic) => this.#take(topic),
    );
    cache.endings.listen(({ key }, ending) => {
      const topic = this.#topics.get(key);
      if (!topic) return;
      // The cache is full of what is asked for more often: computed at once, it would soon be evicted again.
      if (ending === 'evicted') topic.attempts++;
      this.#touch(topic);
    });
  }

  get size(): number {
    return this.#topics.size;
  }

  get computations(): number {
    return this.#computations;
  }

  /** States that were written, once for each stream. */
  get sent(): number {
    return this.#sent;
  }

  /** States that a stream was not shown, because there was a newer one before the client had read. */
  get skipped(): number {
    return this.#skipped;
  }

  /** The answer as an event, made once; undefined where it can't be one. */
  frameOf(stored: StoredResponse): Frame | undefined {
    let known = this.#frames.get(stored);
    if (!known) {
      known = { frame: createStateFrame(stored) };
      this.#frames.set(stored, known);
    }
    return known.frame;
  }

  /**
   * From now on the stream is told what comes.
   * @param shown - what it was shown, if that is the current answer
   */
  attach(stream: LiveStream, key: string, options: ResolvedRouteCacheOptions, shown: Frame | undefined): void {
    let topic = this.#topics.get(key);
    if (!topic) {
      topic = new Topic(key, options);
      this.#topics.set(key, topic);
    }
    topic.streams.add(stream);
    stream.topic = topic;
    if (stream.floor !== 0n) this.#floored.add(stream);
    const value = this.#currentValue(key);
    if (!shown || !value) {
      this.#touch(topic);
      return;
    }
    this.#armExpiry(topic);
    this.#show(topic, shown, true);
  }

  detach(stream: LiveStream): void {
    this.slow.remove(stream);
    this.#floored.delete(stream);
    const { topic } = stream;
    stream.topic = undefined;
    if (!topic) return;
    topic.streams.delete(stream);
    if (topic.streams.size > 0) return;
    topic.clear();
    this.#turns.forget(topic);
    if (this.#topics.get(topic.key) === topic) this.#topics.delete(topic.key);
  }

  /** Writes a state to a stream that keeps up. If it does not any longer, the caller puts it among the slow ones. */
  send(stream: LiveStream, frame: Frame): void {
    this.#sent++;
    stream.send(frame, performance.now());
  }

  /** The client has read what was written. */
  drained(stream: LiveStream): void {
    this.slow.remove(stream);
    if (stream.isBehind && stream.topic) this.#sendTo(stream, stream.topic);
  }

  end(stream: LiveStream, reason: EndReason): void {
    stream.end(createEndFrame(reason, this.#settings.retryMs()));
  }

  /** Called about once a second: keeps what is followed from being evicted, and looks after those who wait for the feed. */
  beat(): void {
    for (const key of this.#topics.keys()) this.#settings.cache.get(key);
    for (const stream of this.#floored) {
      const { topic } = stream;
      if (stream.floor === 0n || !topic) this.#floored.delete(stream);
      else if (topic.frame && !topic.isDirty && !topic.isComputing) this.#sendTo(stream, topic);
    }
  }

  close(): void {
    this.#turns.close();
    for (const topic of this.#topics.values()) topic.clear();
  }

  #currentValue(key: string): StoredResponse | undefined {
    const { cache } = this.#settings;
    const entry = cache.get(key);
    return entry?.value.kind === 'response' && cache.isFresh() && cache.isGood(entry) ? entry.value : undefined;
  }

  #touch(topic: Topic): void {
    topic.isDirty = true;
    topic.dirtySinceMs ||= performance.now();
    if (!topic.isComputing && !topic.isWaiting) this.#turns.add(topic, this.#pauseMs(topic));
  }

  /** A dirty topic has its turn. */
  async #take(topic: Topic): Promise<void> {
    topic.isDirty = false;
    topic.isComputing = true;
    topic.startedAtMs = performance.now();
    try {
      await this.#renew(topic);
    } catch (error) {
      // A defect of ours: the streams stay, and it is tried again.
      this.#settings.app.log.error(error, 'an answer that is followed could not be computed');
      this.#missed(topic);
    }
    topic.isComputing = false;
    if (topic.isDirty && topic.streams.size > 0) this.#turns.add(topic, this.#pauseMs(topic));
  }

  async #renew(topic: Topic): Promise<void> {
    const { app, cache } = this.#settings;
    const current = this.#currentValue(topic.key);
    if (current) return this.#keep(topic, current);
    const stands = cache.get(topic.key)?.value;
    if (stands?.kind === 'node') return this.#regroup(topic);
    const asker = topic.findAsker(Date.now());
    if (!asker) return;
    this.#computations++;
    const computed = await compute(app, asker.asking);
    switch (computed.kind) {
      case 'kept':
        if (computed.key !== topic.key) this.#regroup(topic);
        else this.#keep(topic, computed.stored);
        return;
      case 'passing':
        this.#overtake(topic, computed.stored, computed.code);
        return;
      case 'failed':
        this.#missed(topic);
        if (performance.now() - topic.dirtySinceMs >= topic.options.staleIfErrorMs)
          this.#show(topic, createStatusFrame(computed.status, undefined), true);
        return;
      case 'refused':
        return this.#finish(topic, 'refused', createStatusFrame(computed.status, undefined));
      case 'uncacheable':
        return this.#finish(topic, 'uncacheable', undefined);
      case 'closing':
        return;
      default:
        computed satisfies never;
    }
  }

  #keep(topic: Topic, stored: StoredResponse): void {
    const isState = stored.status < 300;
    const frame = isState ? this.frameOf(stored) : createStatusFrame(stored.status, stored);
    if (!frame || !FOLLOWED.has(stored.status)) {
      this.#finish(topic, 'refused', frame);
      return;
    }
    if (this.#currentValue(topic.key)) {
      topic.attempts = 0;
      topic.dirtySinceMs = topic.isDirty ? performance.now() : 0;
      topic.isOvertaken = false;
      this.#armExpiry(topic);
    } else if (!topic.isDirty) this.#missed(topic); // nothing will tell of its end: the cache has not taken it
    this.#show(topic, frame, true);
  }

  /**
   * The answer was computed and not kept. Usually a row changed meanwhile, and the next computation, at once, shows it. Under
   * so many writes that none outlasts its computation, each answer is shown: newer than the one before, if not the newest.
   */
  #overtake(topic: Topic, stored: StoredResponse | undefined, code: string): void {
    const current = this.#currentValue(topic.key);
    if (current) {
      this.#keep(topic, current);
      return;
    }
    this.#missed(topic);
    topic.isOvertaken = code === 'changed';
    if (!stored || stored.status >= 300 || topic.attempts <= OVERTAKEN_MAX || !this.#settings.cache.isFresh()) return;
    const frame = this.frameOf(stored);
    if (frame) this.#show(topic, frame, false);
  }

  #missed(topic: Topic): void {
    topic.attempts++;
    topic.isDirty = true;
    topic.dirtySinceMs ||= performance.now();
  }

  /** How long a topic that was not brought up to date waits, beside its interval. */
  #pauseMs({ attempts, isOvertaken }: Topic): number {
    if (attempts === 0) return 0;
    if (isOvertaken) return attempts <= OVERTAKEN_MAX ? Number.NEGATIVE_INFINITY : 0;
    const most = Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** attempts);
    return most * (0.5 + this.#settings.options.random() / 2);
  }

  /** The handler has looked at something new of the request: each stream belongs where its own values lead. */
  #regroup(topic: Topic): void {
    const { cache } = this.#settings;
    const streams = [...topic.streams];
    topic.streams.clear();
    topic.clear();
    this.#topics.delete(topic.key);
    for (const stream of streams) {
      if (++stream.moves > MOVES_MAX) {
        stream.topic = undefined;
        this.end(stream, 'uncacheable');
        continue;
      }
      // Who is asking may not be known: then nobody can tell what is theirs.
      if (stream.caller.failure) this.end(stream, 'refused');
      else {
        const { key } = walk(cache, stream.baseKey, stream.asking, stream.caller);
        this.attach(stream, key, topic.options, undefined);
      }
    }
  }

  #finish(topic: Topic, reason: EndReason, last: Frame | undefined): void {
    for (const stream of topic.streams) {
      if (last) stream.whisper(last);
      this.end(stream, reason);
    }
  }

  #armExpiry(topic: Topic): void {
    const { cache } = this.#settings;
    const endsAtMs = cache.peek(topic.key)?.expiresAtMs ?? Number.POSITIVE_INFINITY;
    clearTimeout(topic.expiry);
    if (endsAtMs === Number.POSITIVE_INFINITY) return;
    topic.expiry = setTimeout(() => this.#touch(topic), Math.min(TIMER_MAX_MS, endsAtMs - cache.now() + 1));
    topic.expiry.unref();
  }

  /** @param isExact - it holds everything that the feed has told up to now */
  #show(topic: Topic, frame: Frame, isExact: boolean): void {
    if (topic.frame?.mark !== frame.mark) topic.frame = frame;
    topic.isExact = isExact;
    if (topic.isSending) topic.isSendingAgain = true;
    else this.#sendAll(topic, topic.streams.values(), performance.now());
  }

  #sendAll(topic: Topic, rest: Iterator<LiveStream>, beganAtMs: number): void {
    topic.isSending = true;
    const untilMs = performance.now() + SLICE_MS;
    for (let next = rest.next(); !next.done; next = rest.next()) {
      this.#sendTo(next.value, topic);
      if (performance.now() < untilMs) continue;
      setImmediate(() => this.#sendAll(topic, rest, beganAtMs));
      return;
    }
    topic.isSending = false;
    topic.sendingMs = performance.now() - beganAtMs;
    if (!topic.isSendingAgain) return;
    topic.isSendingAgain = false;
    this.#sendAll(topic, topic.streams.values(), performance.now());
  }

  #sendTo(stream: LiveStream, topic: Topic): void {
    const { frame } = topic;
    if (!frame || stream.isClosed) return;
    if (Date.now() >= stream.expiresAt) {
      this.end(stream, 'expired');
      return;
    }
    if (stream.floor !== 0n) {
      stream.isBehind = true;
      if (!topic.isExact || this.#settings.feed.position < stream.floor) return;
      stream.floor = 0n;
    }
    if (stream.awaited !== '' && stream.awaited !== frame.mark) {
      this.#skipped++;
      stream.awaited = '';
    }
    stream.isBehind = stream.mark !== frame.mark;
    if (!stream.isBehind) return;
    if (stream.unread) {
      stream.awaited = frame.mark;
      return;
    }
    this.send(stream, frame);
    if (stream.unread) this.slow.add(stream);
  }
}
