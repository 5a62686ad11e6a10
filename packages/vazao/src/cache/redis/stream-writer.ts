/**
 * Writes what the feed of this host tells into a stream, for hosts that have no feed of their own.
 *
 *   idle ──we lead, and somebody reads──► writing ──the lead is lost, nobody reads, a call failed──► idle
 *
 * Each host with a feed of its own has one; the relay's lock chooses. Each time that it begins to write is an incarnation with
 * a name of its own: a follower of the fan-out, whose messages are numbered from 1 and begin with a hello. Redis appends those
 * only that go on from the last one of the same incarnation, and none of an older term. Nothing is sent twice: when it is not
 * known what has become of a call, the incarnation ends, and the next one begins with a hello, which readers take for a new epoch.
 *
 * What is safe does not rest on the lock, the terms, or Redis: a reader takes only what goes on without a hole within one
 * incarnation (`stream-reader.ts`), and proves freshness by itself. They only decide whether there is something to read.
 *
 * What waits for Redis is bounded by the fan-out, which counts as not acknowledged what Redis has not taken.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { FanOut, FanOutMessage, FanOutReply, FeedChannel } from '../../feed/index.ts';
import { type Argument, type Connection, openConnection } from './connection.ts';
import { signMessage } from './stream-entry.ts';
import { type StreamKeys, streamKeysOf } from './stream-keys.ts';

export interface StreamWriterOptions {
  /** Where Redis is: see {@link ConnectionOptions.url}. */
  readonly url: string;
  /** See {@link namespaceOf}. */
  readonly namespace: string;
  /** Signs what is written. */
  readonly secret: string;
  readonly fanOut: Pick<FanOut, 'add'>;
  /** The term in which this host leads; undefined while it does not. */
  readonly findTerm: () => string | undefined;
  /** A call that takes longer has failed. @defaultValue 1 s */
  readonly callTimeoutMs?: number | undefined;
  /** How often it is looked whether to begin, and whether to go on. @defaultValue 250 ms */
  readonly pollMs?: number | undefined;
  /** Entries that the stream keeps for readers that are behind. @defaultValue 4 096 */
  readonly entriesMax?: number | undefined;
  /** The same in bytes; the last entry stays, however large. @defaultValue 16 MB */
  readonly bytesMax?: number | undefined;
  readonly onProblem?: ((error: Error) => void) | undefined;
}

const CALL_TIMEOUT_MS = 1_000;
const POLL_MS = 250;
const ENTRIES_MAX = 4_096;
const BYTES_MAX: number = 16 * 1024 * 1024;
/** A message that is larger ends the incarnation: a hello says in little what readers need to know. */
const ENTRY_BYTES_MAX: number = 8 * 1024 * 1024;
/** Of one call: a step of Redis stays short. */
const ENTRIES_AT_ONCE_MAX = 64;
const BYTES_AT_ONCE_MAX: number = 1024 * 1024;
/** The stream of a writer that is gone. */
const KEEP_MS = 60_000;

/** Starts a writer; end it with `close()` or `await using`. Throws {@link RedisTierError}. */
export async function createStreamWriter(options: StreamWriterOptions): Promise<StreamWriter> {
  const { url, callTimeoutMs = CALL_TIMEOUT_MS, onProblem } = options;
  return new StreamWriter(await openConnection({ url, callTimeoutMs, onProblem }), options);
}

export class StreamWriter implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #options: StreamWriterOptions;
  readonly #keys: StreamKeys;
  readonly #closing = new AbortController();
  readonly #polling: Promise<void>;
  #incarnation: Incarnation | undefined;
  #begun = 0;

  /** Use {@link createStreamWriter}. */
  constructor(connection: Connection, options: StreamWriterOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#keys = streamKeysOf(options.namespace);
    this.#polling = this.#poll();
  }

  get isWriting(): boolean {
    return this.#incarnation?.isOver === false;
  }

  /** Incarnations so far. */
  get begun(): number {
    return this.#begun;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#incarnation?.end();
    await this.#polling;
    this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #poll(): Promise<void> {
    const { signal } = this.#closing;
    const { findTerm, pollMs = POLL_MS, onProblem } = this.#options;
    while (!signal.aborted) {
      try {
        const term = findTerm();
        if (this.#incarnation?.term !== term) this.#incarnation?.end();
        if (term !== undefined && !this.isWriting && (await this.#isWanted()) && !signal.aborted) this.#begin(term);
      } catch (error) {
        onProblem?.(error as Error);
      }
      await delay(pollMs, undefined, { signal, ref: false }).catch(() => {}); // rejects when closed, which ends the loop
    }
  }

  async #isWanted(): Promise<boolean> {
    if (!this.#connection.isReady) return false;
    return Number(await this.#connection.call('wanted', [this.#keys.wanted], [])) === 1;
  }

  #begin(term: string): void {
    this.#begun++;
    this.#incarnation = new Incarnation(this.#connection, this.#options, this.#keys, term);
    this.#incarnation.begin();
  }
}

/** A follower of the fan-out. Once it is over it sends nothing more. */
class Incarnation implements FeedChannel {
  readonly term: string;
  readonly #name = randomBytes(12).toString('hex');
  readonly #connection: Connection;
  readonly #options: StreamWriterOptions;
  readonly #keys: readonly string[];
  readonly #stream: string;
  #listener: (message: unknown) => void = () => {};
  #leave: () => void = () => {};
  #waiting: FanOutMessage[] = [];
  /** Bytes of what the stream holds, oldest first. */
  #held: number[] = [];
  #heldBytes = 0;
  #isSending = false;
  #isOver = false;

  constructor(connection: Connection, options: StreamWriterOptions, keys: StreamKeys, term: string) {
    this.#connection = connection;
    this.#options = options;
    this.#keys = [keys.meta, keys.stream, keys.told, keys.wanted, keys.newcomer];
    this.#stream = keys.stream;
    this.term = term;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  begin(): void {
    this.#leave = this.#options.fanOut.add(this);
    this.#answer({ taken: 0, wantsHello: 'lost' });
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting = [];
    this.#leave();
  }

  send(message: FanOutMessage | FanOutReply): void {
    if (this.#isOver || !('body' in message)) return;
    if (message.body.length > ENTRY_BYTES_MAX) {
      this.end();
      return;
    }
    this.#waiting.push(message);
    if (!this.#isSending) void this.#sendAll();
  }

  onMessage(listener: (message: unknown) => void): () => void {
    this.#listener = listener;
    return () => {};
  }

  onClose(): () => void {
    return () => {};
  }

  /** One call at a time, so that they arrive in order. */
  async #sendAll(): Promise<void> {
    this.#isSending = true;
    try {
      while (this.#waiting.length > 0 && !this.#isOver) await this.#sendSome();
    } catch (error) {
      // It is not known whether the call was carried out.
      if (!this.#isOver) this.#options.onProblem?.(error as Error);
      this.end();
    } finally {
      this.#isSending = false;
    }
  }

  async #sendSome(): Promise<void> {
    const { secret } = this.#options;
    const messages = this.#takeSome();
    const first = messages[0] as FanOutMessage;
    const pairs = messages.flatMap(({ number, body }) => [
      signMessage({ incarnation: this.#name, number, body }, this.#stream, secret),
      Buffer.from(body.buffer, body.byteOffset, body.byteLength),
    ]);
    const args: Argument[] = [this.term, this.#name, first.number, this.#hold(messages), KEEP_MS, ...pairs];
    const reply = (await this.#connection.call('tell', this.#keys, args)) as [Buffer, number, number];
    const [word, wanted, newcomer] = [String(reply[0]), Number(reply[1]), Number(reply[2])];
    // Fenced: another leads. Lost: Redis has forgotten what stood before, or another began meanwhile.
    if (word !== 'ok' || wanted !== 1) this.end();
    if (this.#isOver) return;
    const { number: taken } = messages.at(-1) as FanOutMessage;
    this.#answer(newcomer === 1 ? { taken, wantsHello: 'newcomer' } : { taken });
  }

  #takeSome(): FanOutMessage[] {
    let bytes = 0;
    let count = 0;
    for (const { body } of this.#waiting) {
      bytes += body.length;
      if (count === ENTRIES_AT_ONCE_MAX || (count > 0 && bytes > BYTES_AT_ONCE_MAX)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  /** How many entries the stream is to keep when it has these, too. */
  #hold(messages: readonly FanOutMessage[]): number {
    const { entriesMax = ENTRIES_MAX, bytesMax = BYTES_MAX } = this.#options;
    for (const { body } of messages) {
      this.#held.push(body.length);
      this.#heldBytes += body.length;
    }
    let dropped = 0;
    while (
      this.#held.length - dropped > 1 &&
      (this.#held.length - dropped > entriesMax || this.#heldBytes > bytesMax)
    ) {
      this.#heldBytes -= this.#held[dropped++] as number;
    }
    this.#held.splice(0, dropped);
    return this.#held.length;
  }

  #answer(reply: Omit<FanOutReply, 'kind'>): void {
    this.#listener({ kind: 'feed', ...reply });
  }
}
