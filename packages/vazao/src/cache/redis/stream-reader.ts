/**
 * Reads the stream that another host's feed is written to (`stream-writer.ts`): the end of a channel for a feed that follows.
 *
 *   at the tip ──► waits for entries ──► hands each on ──► …
 *       ▲                                      │
 *       └──── nothing has come for long ───────┘
 *
 * Only what goes on without a hole, within one incarnation of a writer, gets the next number; anything else skips one, which
 * the feed takes for a loss: a new epoch. So it does not matter why entries are missing: the stream was trimmed before they
 * were read, Redis was flushed, lost its last writes in a failover, or dropped the key; or two hosts wrote at once.
 *
 * It begins at the end of the stream, and asks whoever writes for a hello; what comes before that is thrown away by the feed.
 * After a failed call it goes on where it was: the numbers tell whether that is still so.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { serialize } from 'node:v8';
import type { FanOutMessage, FanOutReply, FeedChannel } from '../../feed/index.ts';
import { type Connection, openConnection, type StreamEntry } from './connection.ts';
import { parseMessage, type StreamMessage } from './stream-entry.ts';
import { type StreamKeys, streamKeysOf } from './stream-keys.ts';

export interface StreamReaderOptions {
  /** Where Redis is: see {@link ConnectionOptions.url}. */
  readonly url: string;
  /** See {@link namespaceOf}. */
  readonly namespace: string;
  /** That of the writers. */
  readonly secret: string;
  readonly onProblem?: ((error: Error) => void) | undefined;
}

/** More than one wait for entries. */
const CALL_TIMEOUT_MS = 2_000;
const WAIT_MS = 250;
/** What one call brings is bounded by what the stream keeps. */
const ENTRIES_AT_ONCE_MAX = 256;
const RENEWAL_MS = 1_000;
/** A writer goes on for so long after the last of its readers. */
const WANTED_MS = 5_000;
const RETRY_MS = 100;
const NOTHING: Uint8Array = serialize([]);

/** Starts to read; end it with `close()` or `await using`. Throws {@link RedisTierError}. */
export async function createStreamReader(options: StreamReaderOptions): Promise<StreamReader> {
  const { url, onProblem } = options;
  return new StreamReader(await openConnection({ url, callTimeoutMs: CALL_TIMEOUT_MS, onProblem }), options);
}

export class StreamReader implements FeedChannel, AsyncDisposable {
  readonly #connection: Connection;
  readonly #options: StreamReaderOptions;
  readonly #keys: StreamKeys;
  readonly #closing = new AbortController();
  readonly #reading: Promise<void>;
  readonly #listeners = new Set<(message: unknown) => void>();
  /** The last entry that was read; undefined: go to the end of the stream. */
  #after: string | undefined;
  #last: Pick<StreamMessage, 'incarnation' | 'number'> | undefined;
  /** Of the last message that was handed on. */
  #number = 0;
  #wantsHello = false;
  #renewedAtMs = Number.NEGATIVE_INFINITY;

  /** Use {@link createStreamReader}. */
  constructor(connection: Connection, options: StreamReaderOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#keys = streamKeysOf(options.namespace);
    this.#reading = this.#read();
  }

  send(message: FanOutMessage | FanOutReply): void {
    if (!('wantsHello' in message) || message.wantsHello === undefined) return;
    this.#wantsHello = true;
    // Entries of a Redis whose clock is behind may come before the last one, and would never be read.
    if (message.wantsHello === 'silence') this.#after = undefined;
  }

  onMessage(listener: (message: unknown) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Redis may always come back. */
  onClose(): () => void {
    return () => {};
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#connection.close(); // ends the call that waits
    await this.#reading;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #read(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        if (this.#connection.isReady) {
          await this.#readSome();
          continue;
        }
      } catch (error) {
        if (!signal.aborted) this.#options.onProblem?.(error as Error);
      }
      await delay(RETRY_MS, undefined, { signal, ref: false }).catch(() => {}); // rejects when closed, which ends the loop
    }
  }

  async #readSome(): Promise<void> {
    const now = performance.now();
    if (this.#wantsHello || this.#after === undefined || now - this.#renewedAtMs > RENEWAL_MS) await this.#renew();
    const after = this.#after as string;
    const limits = { after, countMax: ENTRIES_AT_ONCE_MAX, waitMs: WAIT_MS };
    const entries = await this.#connection.readStream(this.#keys.stream, limits);
    if (this.#after !== after) return; // the feed has given up what it waited for
    for (const entry of entries) this.#take(entry);
  }

  async #renew(): Promise<void> {
    const { stream, wanted, newcomer } = this.#keys;
    const word = this.#wantsHello ? 'newcomer' : '';
    this.#renewedAtMs = performance.now();
    this.#wantsHello = false;
    try {
      const tip = await this.#connection.call('follow', [stream, wanted, newcomer], [WANTED_MS, word]);
      this.#after ??= String(tip);
    } catch (error) {
      this.#renewedAtMs = Number.NEGATIVE_INFINITY;
      if (word !== '') this.#wantsHello = true;
      throw error;
    }
  }

  #take(entry: StreamEntry): void {
    this.#after = entry.id;
    const message = parseMessage(entry, this.#keys.stream, this.#options.secret);
    if (!message) {
      this.#last = undefined;
      this.#handOn(NOTHING, false);
      const text = 'An entry of the stream was not written with the VAZAO_SECRET of this host, or was changed.';
      this.#options.onProblem?.(new Error(text));
      return;
    }
    const { incarnation, number, body } = message;
    const isNext = this.#last?.incarnation === incarnation && this.#last.number + 1 === number;
    this.#last = { incarnation, number };
    this.#handOn(body, isNext);
  }

  #handOn(body: Uint8Array, isNext: boolean): void {
    this.#number += isNext ? 1 : 2;
    const message: FanOutMessage = { kind: 'feed', number: this.#number, body };
    for (const listener of this.#listeners) listener(message);
  }
}
