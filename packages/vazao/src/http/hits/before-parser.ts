/**
 * Hits that Node's parser never sees. For each request `node:http` makes two objects with streams of their own, and writes a head
 * field by field: more work than all of ours. So each connection is read here first, and what is a plain request (`plain-head.ts`)
 * for an answer that is there is answered with a text that is there, by one write. Everything else is Node's, byte for byte as it came.
 *
 *   new ──(its first request: Node's)──► between requests ◄────────────────┐
 *    │                                      │  │                           │ its answer is written
 *    │ no plain request                     │  └─(plain, no hit: Node's)─► answering
 *    ▼                                      ▼                              │
 *   Node's for good ◄──(no plain request)───┴──(anything that comes)───────┘
 *
 * Between requests Node's parser holds nothing: all that it was given was one plain head, which it said was one complete request. So
 * whoever reads the next bytes reads the beginning of a message, and the two can't be of two opinions about where one ends.
 * The first request is Node's, since it takes a connection on which it has read nothing for one that sends its head slowly.
 * Beside `listeners`, `on` and `removeListener` of the socket nothing of Node's insides is touched: its parser is called with the bytes
 * as if they had come from the socket, and takes the slower of its own two ways for that. Without TLS, and HTTP/1.1 alone.
 */
import { channel } from 'node:diagnostics_channel';
import { type IncomingMessage, Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { lookUp } from '../lookup.ts';
import { formatMessage } from '../sending/format-message.ts';
import type { Hits } from './hits.ts';
import type { HitListenerOptions } from './listener.ts';
import { type PlainRequest, parsePlainHead } from './plain-head.ts';

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

export function answerBeforeParser(server: Server | object, hits: Hits, options: Options): NoteParsed {
  // Who counts the requests of a connection counts them all.
  if (!(server instanceof Server) || (server.maxRequestsPerSocket ?? 0) > 0) return () => {};
  const readers = new WeakMap<Socket, Reader>();
  const answer = createAnswer(server, hits, options);
  server.on('connection', (socket: Socket) => {
    const [parse, ...others] = socket.listeners('data') as ((chunk: Buffer) => void)[];
    if (parse && others.length === 0) readers.set(socket, new Reader(socket, parse, answer));
  });
  return (request, response) => readers.get(request.socket)?.noteParsed(request, response);
}

/** Answers a hit; false, and nothing is done, where Node has to read the request. */
function createAnswer(server: Server, hits: Hits, options: Options): (request: PlainRequest) => boolean {
  const { cache, identities, hitStatus, timings, spellings, isClosing, isRefused, refresher } = options;
  return (request) => {
    if (isClosing() || OF_NODE.some(({ hasSubscribers }) => hasSubscribers)) return false;
    const key = spellings.find(request.url) ?? request.url;
    // Without a word to the cache of how often it was asked for: what is no hit is looked up again.
    const first = cache.peek(key);
    if (!first || (first.value.kind === 'node' && request.repeatsFields)) return false;
    const found = lookUp(cache, key, request, identities);
    if (found instanceof Promise) {
      found.catch(() => {}); // it is asked again
      return false;
    }
    const hit = hits.find(found, request.rawHeaders);
    if (!hit || timings.wants(request)) return false;
    const hasEnd = hit.entry.expiresAtMs !== Number.POSITIVE_INFINITY;
    if (refresher && hasEnd && request.repeatsFields) return false;
    const { stored, fields, acceptable, own } = hit;
    const message = formatMessage(stored, fields, acceptable, own, hitStatus.text, server.keepAliveTimeout);
    if (!message || isRefused(request)) return false;
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

class Reader {
  readonly #socket: Socket;
  readonly #parse: (chunk: Buffer) => void;
  readonly #answer: (request: PlainRequest) => boolean;
  #state: 'new' | 'between requests' | 'answering' | "Node's for good" = 'new';
  /** Requests that Node has read. */
  #parsed = 0;
  /** Of these the last, until it was answered. */
  #request: IncomingMessage | undefined;

  constructor(socket: Socket, parse: (chunk: Buffer) => void, answer: (request: PlainRequest) => boolean) {
    this.#socket = socket;
    this.#parse = parse;
    this.#answer = answer;
    socket.removeListener('data', parse);
    socket.on('data', this.#read);
  }

  noteParsed(request: IncomingMessage, response: ServerResponse): void {
    if (this.#state === "Node's for good") return;
    this.#parsed++;
    this.#request = request;
    response.once('finish', () => {
      if (this.#state === 'answering') this.#state = 'between requests';
      this.#request = undefined;
    });
  }

  readonly #read = (chunk: Buffer): void => {
    const isFree = this.#state === 'new' || (this.#state === 'between requests' && this.#socket.writableLength === 0);
    const request = isFree ? parsePlainHead(chunk, this.#socket) : undefined;
    if (!request) {
      this.#leave();
      this.#parse(chunk);
      return;
    }
    if (this.#state === 'between requests' && this.#answer(request)) return;
    this.#state = 'answering';
    const before = this.#parsed;
    this.#parse(chunk);
    const isWhole = this.#parsed === before + 1 && (this.#request === undefined || this.#request.complete);
    if (!isWhole) this.#leave();
  };

  /** Before the bytes are handed on: for an upgrade Node takes its own listener away, and expects no other. */
  #leave(): void {
    if (this.#state === "Node's for good") return;
    this.#state = "Node's for good";
    this.#request = undefined;
    this.#socket.removeListener('data', this.#read);
    this.#socket.on('data', this.#parse);
  }
}
