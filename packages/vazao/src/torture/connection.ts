/**
 * One HTTP/1.1 connection, one request at a time, kept alive: a reader that sees which connection it is on.
 *
 * Written on `node:net`, because the reader shares the machine with all that it watches, and because a client without a
 * token is promised something only for as long as it stays on one connection: pools hide which one that is.
 */
import { connect, type Socket } from 'node:net';

export interface Answer {
  readonly status: number;
  /** Status line and fields, as they came. */
  readonly head: string;
  readonly body: Buffer;
}

export type ConnectionErrorCode = 'ERR_TORTURE_CONNECTION_LOST' | 'ERR_TORTURE_ANSWER_LATE';

export class ConnectionError extends Error {
  readonly code: ConnectionErrorCode;

  constructor(code: ConnectionErrorCode, message: string) {
    super(message);
    this.name = 'ConnectionError';
    this.code = code;
  }
}

/** Larger answers are a mistake of the profile. */
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;
const HEAD_END = Buffer.from('\r\n\r\n');

export class Connection {
  readonly port: number;
  #socket: Socket | undefined;
  #received: Buffer = Buffer.alloc(0);
  #resolve: ((answer: Answer) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(port: number) {
    this.port = port;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /**
   * Sends a request that is written out, and resolves to its answer. Throws {@link ConnectionError}; the connection is then
   * closed, and what was asked for may have been done all the same.
   */
  ask(request: string, timeoutMs: number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new ConnectionError('ERR_TORTURE_CONNECTION_LOST', 'The connection is closed.'));
      this.#resolve = resolve;
      this.#reject = reject;
      this.#timer = setTimeout(
        () => this.#end(new ConnectionError('ERR_TORTURE_ANSWER_LATE', `No answer within ${timeoutMs} ms.`)),
        timeoutMs,
      );
      this.#socket ??= this.#open();
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#end(new ConnectionError('ERR_TORTURE_CONNECTION_LOST', 'The connection was closed here.'));
  }

  #open(): Socket {
    const socket = connect({ host: '127.0.0.1', port: this.port, noDelay: true });
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.#end(new ConnectionError('ERR_TORTURE_CONNECTION_LOST', error.message)));
    socket.on('close', () =>
      this.#end(new ConnectionError('ERR_TORTURE_CONNECTION_LOST', 'The server closed the connection.')),
    );
    return socket;
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    if (this.#received.length > ANSWER_BYTES_MAX) {
      this.#end(new ConnectionError('ERR_TORTURE_CONNECTION_LOST', 'The answer is too large.'));
      return;
    }
    const answer = parseAnswer(this.#received);
    if (!answer) return;
    this.#received = Buffer.alloc(0);
    clearTimeout(this.#timer);
    const resolve = this.#resolve;
    this.#resolve = undefined;
    this.#reject = undefined;
    if (/\r\nconnection: *close/i.test(answer.head)) this.close();
    resolve?.(answer);
  }

  #end(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
    const reject = this.#reject;
    this.#resolve = undefined;
    this.#reject = undefined;
    reject?.(error);
  }
}

/** The whole answer; undefined while a part of it is missing. */
export function parseAnswer(received: Buffer): Answer | undefined {
  const headEnd = received.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const head = received.toString('latin1', 0, headEnd);
  const status = Number(head.slice(9, 12));
  const start = headEnd + HEAD_END.length;
  if (status === 204 || status === 304) return { status, head, body: Buffer.alloc(0) };
  const length = findField(head, 'content-length');
  if (length !== undefined) {
    const end = start + Number(length);
    return received.length < end ? undefined : { status, head, body: received.subarray(start, end) };
  }
  const body = parseChunks(received, start);
  return body && { status, head, body };
}

function parseChunks(received: Buffer, start: number): Buffer | undefined {
  const parts: Buffer[] = [];
  for (let at = start; ; ) {
    const lineEnd = received.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(received.toString('latin1', at, lineEnd), 16);
    const end = lineEnd + 2 + size;
    if (received.length < end + 2) return undefined;
    if (size === 0) return Buffer.concat(parts);
    parts.push(received.subarray(lineEnd + 2, end));
    at = end + 2;
  }
}

/** The first field of that name, which is written in small letters, as Node's servers do. */
export function findField(head: string, name: string): string | undefined {
  const wanted = `\r\n${name}: `;
  let at = head.indexOf(wanted);
  if (at < 0) {
    at = head.toLowerCase().indexOf(wanted);
    if (at < 0) return undefined;
  }
  const end = head.indexOf('\r\n', at + 2);
  return head.slice(at + wanted.length, end < 0 ? undefined : end);
}

/** A request as it goes over the wire. */
export function writeRequest(
  method: string,
  url: string,
  headers: Readonly<Record<string, string>>,
  body?: string,
): string {
  let text = `${method} ${url} HTTP/1.1\r\nhost: 127.0.0.1\r\n`;
  for (const [name, value] of Object.entries(headers)) text += `${name}: ${value}\r\n`;
  if (body === undefined) return `${text}\r\n`;
  return `${text}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
