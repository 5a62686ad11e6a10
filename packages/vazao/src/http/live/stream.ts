/**
 * One client that follows an answer.
 *
 *   open ── writes ──► flowing ◄── drained ── blocked     what was written last is not read yet: nothing is queued behind
 *                         └──────── end, cut ──► closed   it, and when it is, the newest state is written
 *
 * A stream is one chunked body of HTTP/1.1, whose chunks are made once for all: they go to the socket itself. Over HTTP/2,
 * and to clients of HTTP/1.0, Node's own response writes them.
 */
import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { KnownIdentity } from '../identities.ts';
import type { Asking } from '../repeat.ts';
import { COMMENT, type Frame, LAST_CHUNK } from './frame.ts';
import type { Topic } from './topic.ts';

/** How long the last event may take to leave. */
const ENDING_MAX_MS = 5_000;

export class LiveStream {
  readonly asking: Asking;
  readonly baseKey: string;
  readonly caller: KnownIdentity;
  readonly #response: ServerResponse;
  /** Undefined: the response itself writes. */
  readonly #socket: Socket | undefined;
  readonly #onDrain: (stream: LiveStream) => void;
  topic: Topic | undefined;
  /** Of the state that was written last. */
  mark = '';
  /** The client is to see nothing that is older than this position; 0 once that is sure. */
  floor = 0n;
  /** The topic has a newer state, which could not be written. */
  isBehind = false;
  /** Mark of the newer state that will be written when the client has read; empty while it keeps up. */
  awaited = '';
  /** What the client has not read; undefined while it keeps up. */
  unread: Frame | undefined;
  unreadSinceMs = 0;
  /** How often it was moved to another topic without being told anything. */
  moves = 0;
  isClosed = false;

  /** Takes over a response whose head has been written. */
  constructor(
    response: ServerResponse,
    asked: { readonly asking: Asking; readonly baseKey: string; readonly caller: KnownIdentity },
    onDrain: (stream: LiveStream) => void,
  ) {
    this.asking = asked.asking;
    this.baseKey = asked.baseKey;
    this.caller = asked.caller;
    this.#response = response;
    this.#onDrain = onDrain;
    const { socket } = response;
    if (socket instanceof Socket && response.chunkedEncoding) {
      this.#socket = socket;
      socket.setTimeout(0); // the comments tell whether it is alive
    }
  }

  /** When the proof of who is asking ends, in milliseconds since 1970. */
  get expiresAt(): number {
    return this.caller.identity?.expiresAt ?? Number.POSITIVE_INFINITY;
  }

  /** Writes a state. The client must not be blocked. */
  send(frame: Frame, nowMs: number): void {
    this.mark = frame.mark;
    this.isBehind = false;
    this.awaited = '';
    this.moves = 0;
    if (this.#write(frame)) return;
    this.unread = frame;
    this.unreadSinceMs = nowMs;
    (this.#socket ?? this.#response).once('drain', () => this.#onDrain(this));
  }

  /** Writes what is no state, if that costs no memory. */
  whisper(frame: Frame = COMMENT): void {
    if (!this.unread) this.#write(frame);
  }

  /** The first bytes go out together. */
  cork(work: () => void): void {
    const sink = this.#socket ?? this.#response;
    sink.cork();
    work();
    sink.uncork();
  }

  /** Says why, and ends. */
  end(last: Frame): void {
    if (this.isClosed) return;
    this.isClosed = true;
    const socket = this.#socket;
    if (this.unread)
      this.cut(); // it reads nothing, and would not read this
    else if (!socket) this.#response.end(last.plain);
    else {
      socket.setTimeout(ENDING_MAX_MS, () => socket.destroy());
      socket.write(Buffer.concat([last.chunk, LAST_CHUNK]));
      socket.destroySoon();
    }
  }

  /** Breaks the connection off: the client reads too slowly. */
  cut(): void {
    this.isClosed = true;
    if (this.#socket) this.#socket.destroy();
    else this.#response.destroy();
  }

  #write(frame: Frame): boolean {
    return this.#socket ? this.#socket.write(frame.chunk) : this.#response.write(frame.plain);
  }
}
