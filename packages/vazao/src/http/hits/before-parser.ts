/**
 * Hits that Node's parser never sees. For each request `node:http` makes two objects with streams of their own, and writes a head
 * field by field: more work than all of ours. So each connection is read here first, and what is a plain request (`plain-head.ts`)
 * for an answer that is there is answered with a text that is there, by one write. Everything else is Node's, byte for byte as it came.
 *
 *   new ──(its first request: Node's)──► between requests ◄──(its answer is written)──┐
 *    │                                      │  │   ├──(plain, no hit: Node's)──► answering
 *    │ no plain request                     │  │   └──(a hit, of which a part waits)──► sending
 *    ▼                                      ▼  └◄─(a hit)                              │
 *   Node's for good ◄──(no plain request)───┴────────(anything that comes)─────────────┘
 *
 * Between requests Node's parser holds nothing: all that it was given was one plain head, which it said was one complete request. So
 * whoever reads the next bytes reads the beginning of a message, and the two can't be of two opinions about where one ends.
 * The first request is Node's, since it takes a connection on which it has read nothing for one that sends its head slowly.
 * A connection that stays between requests for a second has no parser, until Node has to read something (`spare-parsers.ts`).
 * Beside `listeners`, `on` and `removeListener` of the socket, nothing of Node's insides is touched: its parser is called with the bytes
 * as if they had come from the socket, and takes the slower of its own two ways for that. Without TLS, and HTTP/1.1 alone.
 */
import { channel } from 'node:diagnostics_channel';
import { EventEmitter } from 'node:events';
import { IncomingMessage, maxHeaderSize, Server, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { walk } from '../lookup.ts';
import { OwnListeners } from '../own-listeners.ts';
import { formatMessage } from '../sending/format-message.ts';
import { isWriteHeadOriginal } from '../sending/prepared-head.ts';
import type { Hit, Hits } from './hits.ts';
import type { HitListenerOptions } from './listener.ts';
import { type HeadBounds, type PlainRequest, parsePlainHead } from './plain-head.ts';
import { SpareParsers, type Waiting } from './spare-parsers.ts';

type Options = Pick<
  HitListenerOptions,
  'cache' | 'identities' | 'hitStatus' | 'timings' | 'spellings' | 'isClosing' | 'isRefused' | 'refresher'
>;
/** To be told of each request that Node's parser has read. */
type NoteParsed = (request: IncomingMessage, response: ServerResponse) => void;

/** Whoever subscribes to what Node tells of its server wants to know of all requests. */
const OF_NODE = ['http.server.request.start', 'http.server.response.created', 'http.server.response.finish'].map(
  (name) => channel(name),
);
/** Node's default, which its server adds to the time that it promises to keep a connection. */
const KEEP_ALIVE_BUFFER_MS = 1_000;

export function answerBeforeParser(server: Server | object, hits: Hits, options: Options): NoteParsed {
  if (!(server instanceof Server)) return () => {};
  const readers = new WeakMap<Socket, Reader>();
  const listeners = new OwnListeners(server);
  /** Whether somebody wants to see each request, or its response, as Node's. */
  const isWatched = (): boolean =>
    OF_NODE.some(({ hasSubscribers }) => hasSubscribers) ||
    server.emit !== EventEmitter.prototype.emit ||
    !isWriteHeadOriginal() ||
    !listeners.areAlone();
  const parts: Parts = {
    server,
    answer: createAnswer(server, hits, options, isWatched),
    parsers: new SpareParsers(server, () => !isWatched()),
  };
  server.on('connection', (socket: Socket) => {
    // Node takes any stream (`server.emit('connection', stream)`), also one that has no time-outs.
    if (!(socket instanceof Socket)) return;
    const [parse, ...others] = socket.listeners('data') as ((chunk: Buffer) => void)[];
    if (parse && others.length === 0) readers.set(socket, new Reader(parts, socket, parse));
  });
  return (request, response) => readers.get(request.socket)?.noteParsed(request, response);
}

/** Answers a hit; false, and nothing is done, where Node has to read the request. */
function createAnswer(
  server: Server,
  hits: Hits,
  options: Options,
  isWatched: () => boolean,
): (request: PlainRequest) => boolean {
  const { cache, spellings, hitStatus, timings, isClosing, isRefused, refresher } = options;
  return (request) => {
    if (isClosing() || isWatched() || (server.maxRequestsPerSocket ?? 0) > 0) return false;
    const key = spellings.find(request.url) ?? request.url;
    const hit = findHit(key, request, hits, options);
    if (!hit || timings.wants(request)) return false;
    const { stored, fields, acceptable, own, entry } = hit;
    if (refresher && entry.expiresAtMs !== Number.POSITIVE_INFINITY && request.repeatsFields) return false;
    const message = formatMessage(stored, fields, acceptable, own, hitStatus.text, server.keepAliveTimeout);
    if (!message || isRefused(request)) return false;
    if (entry.key === key) cache.get(key); // counts; a walk has counted
    const { socket } = request;
    if (message.body) socket.cork();
    socket.write(message.text, 'latin1');
    if (message.body) {
      socket.write(message.body);
      socket.uncork();
    }
    hits.note(hit, message.status, request);
    return true;
  };
}

/** At a URL of one answer without a word to the cache that it was asked for: what is no hit is looked up again. */
function findHit(key: string, request: PlainRequest, hits: Hits, { cache, identities }: Options): Hit | undefined {
  const entry = cache.peek(key);
  if (entry?.value.kind !== 'node') return entry && hits.find({ key, path: [], entry }, request.rawHeaders);
  if (request.repeatsFields) return undefined;
  const caller = identities.known(request.headers);
  if (!caller || caller.failure) return undefined;
  return hits.find(walk(cache, key, request, caller), request.rawHeaders);
}

type State = 'new' | 'between requests' | 'answering' | 'sending' | "Node's for good";

/** What the readers of all connections have in common. */
interface Parts {
  readonly server: Server;
  readonly answer: (request: PlainRequest) => boolean;
  readonly parsers: SpareParsers;
}

class Reader implements Waiting {
  readonly socket: Socket;
  readonly #parts: Parts;
  #parse: ((chunk: Buffer) => void) | undefined;
  #state: State = 'new';
  /** Requests that Node has read. */
  #parsed = 0;
  /** Of these the last, until it was answered. */
  #request: IncomingMessage | undefined;

  constructor(parts: Parts, socket: Socket, parse: (chunk: Buffer) => void) {
    this.socket = socket;
    this.#parts = parts;
    this.#parse = parse;
    socket.removeListener('data', parse);
    socket.on('data', this.#read);
  }

  get parse(): ((chunk: Buffer) => void) | undefined {
    return this.#parse;
  }

  get isWaiting(): boolean {
    return this.#state === 'between requests';
  }

  onReleased(): void {
    this.#parse = undefined;
  }

  noteParsed(request: IncomingMessage, response: ServerResponse): void {
    if (this.#state === "Node's for good") return;
    this.#parsed++;
    this.#request = request;
    // A server of somebody's own kind of requests, or of responses, is to see them all.
    if (request.constructor !== IncomingMessage || response.constructor !== ServerResponse) this.#leave();
    response.once('finish', () => {
      this.#request = undefined;
      if (!response.shouldKeepAlive) this.#leave();
      else if (this.#state === 'answering') this.#wait();
    });
  }

  readonly #read = (chunk: Buffer): void => {
    // Empty lines before a request are nothing to Node's parser; a new one would begin to wait for the rest.
    if (this.#parse === undefined && this.#state === 'between requests' && isBlank(chunk)) return;
    const isFree = this.#state === 'new' || (this.#state === 'between requests' && this.socket.writable);
    const request = isFree ? parsePlainHead(chunk, this.socket, this.#bounds) : undefined;
    if (!request) {
      this.#leave()(chunk);
      return;
    }
    if (this.#state === 'between requests' && this.#parts.answer(request)) {
      if (this.socket.writableLength > 0) this.#awaitSent();
      else this.#keep();
      return;
    }
    this.#state = 'answering';
    this.#parts.parsers.noteBusy(this);
    const before = this.#parsed;
    let isWhole = false;
    try {
      this.#parser()(chunk);
      isWhole = this.#parsed === before + 1 && (this.#request === undefined || this.#request.complete);
    } finally {
      // Also when a listener threw: the parser takes that for an error of its own.
      if (!isWhole) this.#leave();
    }
  };

  #wait(): void {
    this.#state = 'between requests';
    this.#parts.parsers.noteWaiting(this);
  }

  /** Node's listener for bytes; with a parser, should there be none. */
  #parser(): (chunk: Buffer) => void {
    if (this.#parse) return this.#parse;
    this.socket.removeListener('data', this.#read);
    this.#parse = this.#parts.parsers.give(this.socket);
    this.socket.on('data', this.#read);
    return this.#parse;
  }

  get #bounds(): HeadBounds {
    const { maxHeaderSize: bytes, maxHeadersCount: fields } = this.#parts.server as Server & { maxHeaderSize?: number };
    return { bytes: bytes || maxHeaderSize, fields: fields || Number.POSITIVE_INFINITY };
  }

  /** As Node does: while an answer is on its way, the time-out is that of the server, and not of a connection that waits. */
  #awaitSent(): void {
    this.#state = 'sending';
    if (keptMs(this.#parts.server) !== undefined) this.socket.setTimeout(this.#parts.server.timeout || 0);
    this.socket.write('', () => {
      if (this.#state !== 'sending') return;
      this.#state = 'between requests';
      this.#keep();
    });
  }

  /** The time-out of a connection that waits, which may have been changed. */
  #keep(): void {
    const ms = keptMs(this.#parts.server);
    if (ms !== undefined && this.socket.timeout !== ms) this.socket.setTimeout(ms);
  }

  /** Before the bytes are handed on: for an upgrade Node takes its own listener away, and expects no other. */
  #leave(): (chunk: Buffer) => void {
    const parse = this.#parser();
    if (this.#state === "Node's for good") return parse;
    // What Node sets with the next request.
    if (this.#state === 'sending' && keptMs(this.#parts.server) !== undefined)
      this.socket.setTimeout(this.#parts.server.timeout || 0);
    this.#state = "Node's for good";
    this.#parts.parsers.noteBusy(this);
    this.#request = undefined;
    this.socket.removeListener('data', this.#read);
    this.socket.on('data', parse);
    return parse;
  }
}

/** For how long Node keeps a connection that waits (`resOnFinish`); undefined: it leaves the time-out as it is. */
function keptMs(server: Server): number | undefined {
  const { keepAliveTimeout, keepAliveTimeoutBuffer: buffer } = server as Server & {
    readonly keepAliveTimeoutBuffer?: number;
  };
  if (!(Number.isFinite(keepAliveTimeout) && keepAliveTimeout > 0)) return undefined;
  return (
    keepAliveTimeout + (Number.isFinite(buffer) && (buffer as number) >= 0 ? (buffer as number) : KEEP_ALIVE_BUFFER_MS)
  );
}

function isBlank(chunk: Buffer): boolean {
  return chunk.every((byte) => byte === 0x0d || byte === 0x0a);
}
