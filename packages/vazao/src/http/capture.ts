/**
 * Takes the answer of a fill where it leaves Fastify: all hooks have run, and what is kept is what the client gets.
 *
 * The response is held back until it is complete, so that one place decides what is written: the stored form, an older
 * answer, or the response as it is. A response that grows beyond the limit, or that is flushed early, passes through.
 */
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { CapturedHeaders, CapturedResponse } from './stored-response.ts';

export interface CaptureListener {
  /** The response is complete. Must write it: with {@link Capture.passThrough}, or by itself. */
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
  #done = false;

  constructor(response: ServerResponse, bodyMaxBytes: number, listener: CaptureListener) {
    this.#response = response;
    this.#bodyMaxBytes = bodyMaxBytes;
    this.#listener = listener;
    Object.assign(response, {
      writeHead: (...args: unknown[]) => this.#writeHead(args),
      write: (...args: WriteArguments) => this.#write(args),
      end: (...args: WriteArguments) => this.#end(args),
      flushHeaders: () => {
        this.#release();
        response.flushHeaders();
      },
    });
    response.once('close', () => {
      if (!this.#done && response.destroyed && !response.writableEnded) this.#listener.onLost();
    });
  }

  /** Writes the response as the application made it, with one more header. */
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

  /** Gives the response its own methods back. */
  restore(): void {
    this.#done = true;
    const response = this.#response as unknown as Record<string, unknown>;
    for (const name of ['writeHead', 'write', 'end', 'flushHeaders']) delete response[name];
  }

  #writeHead(args: unknown[]): ServerResponse {
    this.#head = args;
    this.#response.statusCode = args[0] as number;
    const headers = args.find((word) => typeof word === 'object' && word !== null);
    if (Array.isArray(headers)) {
      for (let i = 0; i < headers.length; i += 2) this.#headers[String(headers[i]).toLowerCase()] = headers[i + 1];
    } else {
      for (const [name, value] of Object.entries(headers ?? {})) this.#headers[name.toLowerCase()] = value;
    }
    return this.#response;
  }

  #write([chunk, encoding, callback]: WriteArguments): boolean {
    this.#keep(chunk, encoding);
    const done = [encoding, callback].find((word) => typeof word === 'function') as (() => void) | undefined;
    if (done) this.#callbacks.push(done);
    if (this.#bytes > this.#bodyMaxBytes) {
      this.#release();
      return !this.#response.writableNeedDrain;
    }
    if (done) process.nextTick(this.#callbacks.pop() as () => void);
    return true;
  }

  #end(args: WriteArguments): ServerResponse {
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
    this.restore();
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
