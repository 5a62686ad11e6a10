/**
 * One connection with at most one request on it. HTTP pipelining is not used: no browser does, and its answers wait for one
 * another.
 *
 * `node:net` and no HTTP client: what a generator needs of an answer is its end, its status and a few fields. Measured
 * against `undici` (docs/lab.md has the command and the figures).
 */
import { connect, type Socket } from 'node:net';
import type { ErrorKind } from '../run-result.ts';
import { ResponseParser } from './response-parser.ts';

export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly bodyBytesMax: number;
  /** Shared by all connections of a thread: what is read is used before the next read. */
  readonly buffer: Buffer;
}

/** As it goes over the wire. */
export interface WireRequest {
  readonly method: string;
  readonly bytes: string | Uint8Array;
  readonly keepsBody: boolean;
}

/** Called once for each request, with nothing for a complete answer. */
export type OnAnswered = (connection: Connection, error: ErrorKind | undefined) => void;

export class Connection {
  readonly parser: ResponseParser;
  /** When the request was handed to the connection, also if that was not made yet. */
  sentAt = 0;
  /** When the first byte of the answer came; 0 before. */
  firstByteAt = 0;
  readonly #socket: Socket;
  #onAnswered: OnAnswered | undefined;
  #connected = false;
  #open = true;

  constructor({ host, port, bodyBytesMax, buffer }: ConnectionOptions, onClosed: (connection: Connection) => void) {
    this.parser = new ResponseParser(bodyBytesMax);
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      onread: { buffer, callback: (size, bytes) => this.#read(bytes as Buffer, size) },
    });
    this.#socket.on('connect', () => {
      this.#connected = true;
    });
    this.#socket.on('end', () => this.#finish(this.parser.end() === 'done' ? undefined : 'reset', true));
    this.#socket.on('error', () => this.#finish(this.#connected ? 'reset' : 'connect', true));
    this.#socket.on('close', () => {
      this.#finish('reset', true);
      onClosed(this);
    });
  }

  get isOpen(): boolean {
    return this.#open;
  }

  get isBusy(): boolean {
    return this.#onAnswered !== undefined;
  }

  /** Only on an open connection that is not busy. */
  send(request: WireRequest, onAnswered: OnAnswered): void {
    this.#onAnswered = onAnswered;
    this.parser.begin(request.method, request.keepsBody);
    this.firstByteAt = 0;
    // Before the write: what the kernel takes for it is no time of the generator's.
    this.sentAt = performance.now();
    if (typeof request.bytes === 'string') this.#socket.write(request.bytes, 'latin1');
    else this.#socket.write(request.bytes);
  }

  /** Gives the request up that is on it, and the connection. */
  giveUp(): void {
    this.#finish('timeout', true);
  }

  close(): void {
    this.#open = false;
    this.#onAnswered = undefined;
    this.#socket.destroy();
  }

  #read(bytes: Buffer, size: number): boolean {
    if (this.firstByteAt === 0) this.firstByteAt = performance.now();
    const parsed = this.parser.push(bytes, size);
    if (parsed === 'done') this.#finish(undefined, this.parser.head?.keepsAlive !== true);
    else if (parsed === 'malformed') this.#finish('malformed', true);
    return true;
  }

  #finish(error: ErrorKind | undefined, last: boolean): void {
    if (last && this.#open) {
      this.#open = false;
      this.#socket.destroy();
    }
    const onAnswered = this.#onAnswered;
    if (!onAnswered) return;
    this.#onAnswered = undefined;
    onAnswered(this, error);
  }
}
