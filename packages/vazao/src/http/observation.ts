/**
 * Watches what a cached handler, and the hooks around it, read of the request. What they read becomes part of the key;
 * what can't become part of a key makes the answer uncacheable. It is done where Node keeps the data, on the request
 * object of `node:http`, so that Fastify's own accessors (`request.headers`, `request.ip`, `request.host` …) pass by it.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Facet, type FacetValue, facetValue } from './facets.ts';
import type { KnownIdentity } from './identities.ts';

/** Properties of `IncomingMessage`, and of its HTTP/2 counterpart, that no key can hold. `headersDistinct` reads the first. */
const UNKEYED = ['rawHeaders', 'socket', 'connection', 'client', 'stream', 'authority', 'scheme'];
/** The same of the response. */
const UNKEYED_OF_RESPONSE = ['socket', 'connection', 'stream'];
/** Whoever reads the body calls one of these, or lets Node do so: the body is no part of the key. */
const BODY_READERS = ['read', 'resume'];
/** What tells a handler that its client has left. */
const LEAVING = ['aborted', 'destroyed', 'closed', 'errored', 'readableAborted'];
const LEAVING_OF_RESPONSE = ['destroyed', 'closed', 'errored'];
const LEAVING_EVENTS = new Set<string | symbol>(['close', 'aborted', 'error']);
/** Methods of the response in which Node looks at the socket, as at the server's option for lenient headers. */
const WRITING = ['setHeader', 'setHeaders', 'appendHeader', 'addTrailers', 'writeEarlyHints'];
const LOG_METHODS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

export class Observation {
  readonly #headers: IncomingHttpHeaders;
  readonly #caller: KnownIdentity;
  readonly #facets = new Map<Facet, string>();
  readonly #onUnkeyed: (code: string, detail: string) => void;
  readonly #raw: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #replaced: [owner: object, name: string, own: PropertyDescriptor | undefined][] = [];
  readonly #onLooked: () => void;
  readonly #identityCookies: ReadonlySet<string>;
  readonly #noteListener = (event: string | symbol): void => {
    if (LEAVING_EVENTS.has(event)) this.#look();
  };
  /** How often the whole cookie header was read; see `#watchCookies`. */
  #cookieReads = 0;
  #requestId: string | undefined;
  #looked = false;
  /** Node itself, a serializer of the log, or nobody any more: what is read now does not reach the answer. */
  #ignoring = false;

  /**
   * @param onUnkeyed - called when something was read that makes the answer uncacheable
   * @param onLooked - called when the handler begins to watch whether its client is still there
   * @param identityCookies - names of the cookies that prove who is asking
   */
  constructor(
    request: FastifyRequest,
    reply: FastifyReply,
    caller: KnownIdentity,
    onUnkeyed: (code: string, detail: string) => void,
    onLooked: () => void,
    identityCookies: ReadonlySet<string>,
  ) {
    this.#raw = request.raw;
    this.#response = reply.raw;
    this.#headers = request.raw.headers;
    this.#caller = caller;
    this.#onUnkeyed = onUnkeyed;
    this.#onLooked = onLooked;
    this.#identityCookies = identityCookies;
    this.#replace(this.#raw, 'headers', { get: () => this.#watchedHeaders() });
    for (const name of UNKEYED) this.#watch(this.#raw, name, () => this.#readUnkeyed(name));
    for (const name of UNKEYED_OF_RESPONSE) this.#watch(this.#response, name, () => this.#readUnkeyed(name));
    for (const name of LEAVING) this.#watch(this.#raw, name, () => this.#look());
    for (const name of LEAVING_OF_RESPONSE) this.#watch(this.#response, name, () => this.#look());
    for (const emitter of [this.#raw, this.#response]) emitter.on('newListener', this.#noteListener);
    for (const name of BODY_READERS) this.#watchBodyReader(name);
    // When the client goes away; the handler may go on, and others wait for it.
    this.#ignoreWithin(this.#raw, '_destroy');
    for (const name of WRITING) this.#ignoreWithin(this.#response, name);
    this.#watchBody(request);
    this.#watchSignal(request);
    this.#watchId(request);
    this.#ignoreLog(request, reply);
    if (request.server.hasPlugin('@fastify/cookie')) this.#watchCookies(request);
  }

  /** What was read, in the order of its first reading. */
  get facets(): FacetValue[] {
    return [...this.#facets];
  }

  /** The request's id, if it was read. An answer that holds it is for this request alone. */
  get requestId(): string | undefined {
    return this.#requestId;
  }

  /** The id, if it was read, is one that the client chose. */
  get isIdOfClient(): boolean {
    return this.#requestId !== undefined && Object.values(this.#headers).includes(this.#requestId);
  }

  /** The handler, or a hook, may have noticed that the client left, and have cut its answer short. */
  get hasLooked(): boolean {
    return this.#looked;
  }

  /** Called for what no key may hold. */
  refuse(code: string, detail: string): void {
    if (!this.#ignoring) this.#onUnkeyed(code, detail);
  }

  /** Called by the accessor of `request.user`. */
  readUser(): void {
    this.#read('user');
  }

  /** Gives the request and the response their own properties back. */
  end(): void {
    // Not by a plugin that parses cookies, whose reading was taken back: see `#watchCookies`.
    if (this.#identityCookies.size > 0 && this.#facets.has('header:cookie')) this.#readProof();
    this.#ignoring = true;
    for (const emitter of [this.#raw, this.#response]) emitter.removeListener('newListener', this.#noteListener);
    for (const [owner, name, own] of this.#replaced) {
      if (own) Object.defineProperty(owner, name, own);
      else delete (owner as Record<string, unknown>)[name];
    }
  }

  #readUnkeyed(name: string): void {
    if (this.#ignoring) return;
    this.#onUnkeyed(
      'raw-request',
      `The handler, or a hook, read \`${name}\` of the raw request (as request.ip does), which no key can hold.`,
    );
  }

  #look(): void {
    if (this.#ignoring || this.#looked) return;
    this.#looked = true;
    this.#onLooked();
  }

  /** Calls `note` before each reading; writing goes through, and stays when the watch ends. */
  #watch(owner: object, name: string, note: () => void): void {
    if (!(name in owner)) return;
    const own = Object.getOwnPropertyDescriptor(owner, name);
    if (own && 'value' in own) {
      this.#replace(
        owner,
        name,
        {
          get: () => {
            note();
            return own.value;
          },
          set: (value) => {
            own.value = value; // the descriptor that `end` puts back
          },
        },
        own,
      );
      return;
    }
    const inherited = Object.getPrototypeOf(owner);
    this.#replace(owner, name, {
      get: () => {
        note();
        return Reflect.get(inherited, name, owner);
      },
      set: (value) => {
        Reflect.set(inherited, name, value, owner);
      },
    });
  }

  #watchBodyReader(name: string): void {
    const method = Reflect.get(this.#raw, name) as (...args: unknown[]) => unknown;
    this.#replace(this.#raw, name, {
      writable: true,
      value: (...args: unknown[]) => {
        this.#readUnkeyed('body');
        return method.apply(this.#raw, args);
      },
    });
  }

  /** A GET has one where the application allows it (`addHttpMethod`). */
  #watchBody(request: FastifyRequest): void {
    let { body } = request;
    Object.defineProperty(request, 'body', {
      configurable: true,
      enumerable: true,
      get: () => {
        this.#readUnkeyed('body');
        return body;
      },
      set: (parsed) => {
        body = parsed;
      },
    });
  }

  #watchSignal(request: FastifyRequest): void {
    Object.defineProperty(request, 'signal', {
      configurable: true,
      get: () => {
        this.#look();
        return Reflect.get(Object.getPrototypeOf(request), 'signal', request);
      },
    });
  }

  /** The id is of one request, and may come from a header of its client. Reading it is common (logs); sending it is not. */
  #watchId(request: FastifyRequest): void {
    let { id } = request;
    Object.defineProperty(request, 'id', {
      configurable: true,
      enumerable: true,
      get: () => {
        if (!this.#ignoring) this.#requestId = String(id);
        return id;
      },
      set: (own) => {
        id = own;
      },
    });
  }

  /** What a serializer of the log reads does not reach the answer. Fastify logs each failure with the whole request. */
  #ignoreLog(request: FastifyRequest, reply: FastifyReply): void {
    const { log } = request;
    const watched = Object.create(log);
    for (const method of LOG_METHODS) {
      watched[method] = (...args: unknown[]) =>
        this.#unobserved(() => (log[method] as (...all: unknown[]) => void)(...args));
    }
    request.log = watched;
    if (reply.log === log) reply.log = watched;
  }

  /** Within a method of Node's own, what is read is read by Node, and does not reach the answer. */
  #ignoreWithin(owner: object, name: string): void {
    const method = Reflect.get(owner, name) as ((...args: unknown[]) => unknown) | undefined;
    if (!method) return;
    this.#replace(owner, name, {
      writable: true,
      value: (...args: unknown[]) => this.#unobserved(() => method.apply(owner, args)),
    });
  }

  #unobserved<T>(work: () => T): T {
    const before = this.#ignoring;
    this.#ignoring = true;
    try {
      return work();
    } finally {
      this.#ignoring = before;
    }
  }

  /** Puts a property of our own before the owner's, which may be its own or its prototype's. */
  #replace(
    owner: object,
    name: string,
    descriptor: PropertyDescriptor,
    own = Object.getOwnPropertyDescriptor(owner, name),
  ): void {
    this.#replaced.push([owner, name, own]);
    Object.defineProperty(owner, name, { ...descriptor, configurable: true });
  }

  #read(facet: Facet): void {
    if (!this.#ignoring && !this.#facets.has(facet))
      this.#facets.set(facet, facetValue(facet, this.#headers, this.#caller));
  }

  #watchedHeaders(): IncomingHttpHeaders {
    return new Proxy(this.#headers, {
      get: (headers, name) => {
        if (typeof name === 'string') this.#readHeader(name);
        return Reflect.get(headers, name);
      },
      has: (headers, name) => {
        if (typeof name === 'string') this.#readHeader(name);
        return Reflect.has(headers, name);
      },
      getOwnPropertyDescriptor: (headers, name) => {
        if (typeof name === 'string') this.#readHeader(name);
        return Reflect.getOwnPropertyDescriptor(headers, name);
      },
      ownKeys: (headers) => {
        if (!this.#ignoring) {
          this.#onUnkeyed(
            'all-headers',
            'The handler, or a hook, listed all headers of the request. Read those that matter by their names.',
          );
        }
        return Reflect.ownKeys(headers);
      },
    });
  }

  #readHeader(name: string): void {
    if (this.#ignoring) return;
    if (name === 'authorization') {
      // The answer would outlive the credentials: nothing in the database says when they end. `identify` does.
      this.#onUnkeyed(
        'authorization',
        'The handler, or a hook, read the `authorization` header. Let the plugin option `identify` read it, and read `request.user`.',
      );
      return;
    }
    if (name === 'cookie') this.#cookieReads++;
    this.#read(`header:${name}`);
  }

  /**
   * `@fastify/cookie` reads the whole header in a hook and assigns `request.cookies`. If that was the only reading of the
   * header, the single cookies that are read later are what the answer depends on, and not the header.
   */
  #watchCookies(request: FastifyRequest): void {
    let cookies: Record<string, unknown> | undefined;
    Object.defineProperty(request, 'cookies', {
      configurable: true,
      enumerable: true,
      get: () => cookies,
      set: (parsed: Record<string, unknown>) => {
        if (this.#cookieReads === 1) this.#facets.delete('header:cookie');
        cookies = new Proxy(parsed, {
          get: (target, name) => {
            if (typeof name === 'string') this.#readCookie(name);
            return Reflect.get(target, name);
          },
          has: (target, name) => {
            if (typeof name === 'string') this.#readCookie(name);
            return Reflect.has(target, name);
          },
          getOwnPropertyDescriptor: (target, name) => {
            if (typeof name === 'string') this.#readCookie(name);
            return Reflect.getOwnPropertyDescriptor(target, name);
          },
          ownKeys: (target) => {
            this.#read('header:cookie');
            return Reflect.ownKeys(target);
          },
        });
      },
    });
  }

  #readCookie(name: string): void {
    if (this.#identityCookies.has(name)) this.#readProof();
    else this.#read(`cookie:${name}`);
  }

  /** The answer would outlive what the cookie proves: nothing in the database says when a session ends. `request.user` does. */
  #readProof(): void {
    if (this.#ignoring) return;
    this.#onUnkeyed(
      'session-cookie',
      'The handler, or a hook, read the cookie that proves who is asking. Read `request.user`.',
    );
  }
}
