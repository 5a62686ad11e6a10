/**
 * Takes the answer of a fill where it leaves Fastify: all hooks have run, and what is kept is what the client gets.
 *
 * The response is held back until it is complete, so that one place decides what is written: the stored form, an older
 * answer, or the response as it is. A response that grows beyond the limit, that is flushed early, or that is a stream
 * of events passes through. Meanwhile it says of itself what it would say uncached: begun (`headersSent`) once something
 * was written, and ended (`writableEnded`) once `end` was called, so that nobody sends a second answer.
 */
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { CapturedHeaders, CapturedResponse } from './stored-response.ts';

export interface CaptureListener {
  /** The response is complete. Must {@link Capture.restore} and write it: with {@link Capture.passThrough}, or by itself. */
  onComplete(captured: CapturedResponse): void;
  /** The response can't be held back; it goes out as it comes. */
  onTooLarge(): void;
  /** The connection was destroyed before the response was complete. */
  onLost(): void;
}

type WriteArguments = [chunk: unknown, encoding?: unknown, callback?: unknown];

export class Capture {
  readonly #response: ServerResponse;
  readonly #listener: CaptureListener;
  readonly #bodyMaxBytes: number;
  readonly #chunks: Buffer[] = [];
  readonly #callbacks: (() => void)[] = [];
  #bytes = 0;
  #head: unknown[] | undefined;
  #headers: Record<string, unknown> = {};
  #ended = false;
  /** What is written from now on passes through. */
  #passing = false;
  #done = false;
  readonly #before = new Map<string, PropertyDescriptor | undefined>();

  constructor(response: ServerResponse, bodyMaxBytes: number, listener: CaptureListener) {
    this.#response = response;
    this.#bodyMaxBytes = bodyMaxBytes;
    this.#listener = listener;
    this.#replace('writeHead', { value: (...args: unknown[]) => this.#writeHead(args) });
    this.#replace('write', { value: (...args: WriteArguments) => this.#write(args) });
    this.#replace('end', { value: (...args: WriteArguments) => this.#end(args) });
    this.#replace('flushHeaders', {
      value: () => {
        if (this.#ended) return;
        this.#release();
        response.flushHeaders();
      },
    });
    this.#replace('headersSent', { get: () => this.hasBegun });
    this.#replace('writableEnded', { get: () => this.#ended });
    response.once('close', () => {
      if (!this.#done && !this.#ended) this.#listener.onLost();
    });
  }

  /** The application has written something. */
  get hasBegun(): boolean {
    return this.#ended || this.#head !== undefined || this.#chunks.length > 0;
  }

  /** Holds nothing back any longer but a response that comes in one piece. */
  pass(): void {
    if (this.#done || this.#ended) return;
    this.#passing = true;
    if (this.hasBegun) this.#release();
  }

  /** Writes the response as the application made it, with one more header. Call {@link Capture.restore} before. */
  passThrough(captured: CapturedResponse, extra: OutgoingHttpHeaders): void {
    const response = this.#response;
    const head = this.#head ?? [captured.status];
    const headers = head.find((word) => typeof word === 'object' && word !== null);
    if (Array.isArray(headers)) {
      for (const [name, value] of Object.entries(extra)) headers.push(name, value);
    } else if (headers) {
      Object.assign(headers, extra);
    } else {
      for (const [name, value] of Object.entries(extra)) if (value !== undefined) response.setHeader(name, value);
    }
    response.writeHead(...(head as [number]));
    response.end(captured.body);
  }

  /** Gives the response its own methods back: those of Node, or of whoever had wrapped them before. */
  restore(): void {
    this.#done = true;
    for (const [name, own] of this.#before) {
      if (own) Object.defineProperty(this.#response, name, own);
      else delete (this.#response as unknown as Record<string, unknown>)[name];
    }
    this.#before.clear();
  }

  #replace(name: string, descriptor: PropertyDescriptor): void {
    this.#before.set(name, Object.getOwnPropertyDescriptor(this.#response, name));
    const writable = 'value' in descriptor ? { writable: true } : {};
    Object.defineProperty(this.#response, name, { ...descriptor, ...writable, configurable: true });
  }

  #writeHead(args: unknown[]): ServerResponse {
    if (this.hasBegun) {
      // As Node does; Fastify knows the code.
      const error = new Error('Cannot write headers after they are sent to the client');
      throw Object.assign(error, { code: 'ERR_HTTP_HEADERS_SENT' });
    }
    this.#head = args;
    this.#response.statusCode = args[0] as number;
    const headers = args.find((word) => typeof word === 'object' && word !== null);
    if (Array.isArray(headers)) {
      for (let i = 0; i < headers.length; i += 2) this.#addHeader(String(headers[i]).toLowerCase(), headers[i + 1]);
    } else {
      for (const [name, value] of Object.entries(headers ?? {})) this.#headers[name.toLowerCase()] = value;
    }
    if (this.#isEventStream()) this.#release();
    return this.#response;
  }

  /** In a list a name may come several times. */
  #addHeader(name: string, value: unknown): void {
    const before = this.#headers[name];
    this.#headers[name] = before === undefined ? value : [before, value].flat();
  }

  #isEventStream(): boolean {
    const type = this.#headers['content-type'] ?? this.#response.getHeader('content-type');
    return String(type ?? '').startsWith('text/event-stream');
  }

  #write([chunk, encoding, callback]: WriteArguments): boolean {
    if (this.#ended) return false;
    this.#keep(chunk, encoding);
    const done = [encoding, callback].find((word) => typeof word === 'function') as (() => void) | undefined;
    if (done) this.#callbacks.push(done);
    if (this.#bytes > this.#bodyMaxBytes || this.#passing || this.#isEventStream()) {
      this.#release();
      return !this.#response.writableNeedDrain;
    }
    if (done) process.nextTick(this.#callbacks.pop() as () => void);
    return true;
  }

  #end(args: WriteArguments): ServerResponse {
    if (this.#ended) return this.#response;
    const [chunk, encoding] = args;
    if (chunk != null && typeof chunk !== 'function') this.#keep(chunk, encoding);
    const done = args.find((word) => typeof word === 'function') as (() => void) | undefined;
    if (done) this.#response.once('finish', done);
    if (this.#bytes > this.#bodyMaxBytes) {
      this.#release();
      return this.#response.end();
    }
    const captured = {
      status: this.#response.statusCode,
      headers: { ...this.#response.getHeaders(), ...this.#headers } as CapturedHeaders,
      body: Buffer.concat(this.#chunks),
    };
    this.#ended = true;
    this.#listener.onComplete(captured);
    return this.#response;
  }

  #keep(chunk: unknown, encoding: unknown): void {
    const buffer =
      typeof chunk === 'string'
        ? Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
        : Buffer.from(chunk as Uint8Array);
    this.#bytes += buffer.length;
    this.#chunks.push(buffer);
  }

  /** Stops holding back: writes what there is, and lets the rest pass. */
  #release(): void {
    this.restore();
    this.#listener.onTooLarge();
    if (this.#head) this.#response.writeHead(...(this.#head as [number]));
    for (const chunk of this.#chunks) this.#response.write(chunk);
    for (const callback of this.#callbacks) process.nextTick(callback);
  }
}
