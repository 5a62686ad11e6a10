/**
 * Watches what a cached handler, and the hooks around it, read of the request. What they read becomes part of the key;
 * what can't become part of a key makes the answer uncacheable. It is done where Node keeps the data, on the request
 * object of `node:http`, so that Fastify's own accessors (`request.headers`, `request.ip`, `request.host` …) pass by it.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { type Facet, type FacetValue, facetValue } from './facets.ts';
import type { KnownIdentity } from './identities.ts';

/**
 * Properties of `IncomingMessage` that no key can hold. Its accessors `headersDistinct`, `rawTrailers` and `connection`
 * read these two.
 */
const UNKEYED = ['rawHeaders', 'socket'] as const;

export class Observation {
  readonly #headers: IncomingHttpHeaders;
  readonly #caller: KnownIdentity;
  readonly #facets = new Map<Facet, string>();
  readonly #onUnkeyed: (code: string, detail: string) => void;
  readonly #raw: IncomingMessage;
  readonly #replaced: [name: string, own: PropertyDescriptor | undefined][] = [];
  /** How often the whole cookie header was read; see `#watchCookies`. */
  #cookieReads = 0;
  #requestId: string | undefined;
  #sending = false;
  #destroying = false;

  /** @param onUnkeyed - called when something was read that makes the answer uncacheable */
  constructor(request: FastifyRequest, caller: KnownIdentity, onUnkeyed: (code: string, detail: string) => void) {
    this.#raw = request.raw;
    this.#headers = request.raw.headers;
    this.#caller = caller;
    this.#onUnkeyed = onUnkeyed;
    this.#replace('headers', { get: () => this.#watchedHeaders() });
    for (const name of UNKEYED) {
      const value = this.#raw[name];
      this.#replace(name, {
        get: () => {
          if (!this.#sending && !this.#destroying) {
            this.#onUnkeyed(
              'raw-request',
              `The handler, or a hook, read \`${name}\` of the raw request (as request.ip does), which no key can hold.`,
            );
          }
          return value;
        },
      });
    }
    this.#ignoreDestroy();
    this.#watchId(request);
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

  /** Called by the accessor of `request.user`. */
  readUser(): void {
    this.#read('user');
  }

  /** The handler is done; Fastify itself looks at the socket from here on. Headers are still watched. */
  startSending(): void {
    this.#sending = true;
  }

  /** Gives the request its own properties back. */
  end(): void {
    this.#sending = true;
    for (const [name, own] of this.#replaced) {
      if (own) Object.defineProperty(this.#raw, name, own);
      else delete (this.#raw as unknown as Record<string, unknown>)[name];
    }
  }

  /** The id is of one request, and may come from a header of its client. Reading it is common (logs); sending it is not. */
  #watchId(request: FastifyRequest): void {
    const { id } = request;
    Object.defineProperty(request, 'id', {
      configurable: true,
      enumerable: true,
      get: () => {
        this.#requestId = String(id);
        return id;
      },
    });
  }

  /** When the client goes away Node itself looks at the socket, in here; the handler may go on, and others wait for it. */
  #ignoreDestroy(): void {
    const raw = this.#raw;
    const destroy = raw._destroy;
    this.#replace('_destroy', {
      writable: true,
      value: (...args: Parameters<typeof destroy>) => {
        this.#destroying = true;
        try {
          destroy.apply(raw, args);
        } finally {
          this.#destroying = false;
        }
      },
    });
  }

  /** Puts a property of our own before the request's, which may be its own or its prototype's. */
  #replace(name: string, descriptor: PropertyDescriptor): void {
    this.#replaced.push([name, Object.getOwnPropertyDescriptor(this.#raw, name)]);
    Object.defineProperty(this.#raw, name, { ...descriptor, configurable: true });
  }

  #read(facet: Facet): void {
    if (!this.#facets.has(facet)) this.#facets.set(facet, facetValue(facet, this.#headers, this.#caller));
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
        this.#onUnkeyed(
          'all-headers',
          'The handler, or a hook, listed all headers of the request. Read those that matter by their names.',
        );
        return Reflect.ownKeys(headers);
      },
    });
  }

  #readHeader(name: string): void {
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
            if (typeof name === 'string') this.#read(`cookie:${name}`);
            return Reflect.get(target, name);
          },
          has: (target, name) => {
            if (typeof name === 'string') this.#read(`cookie:${name}`);
            return Reflect.has(target, name);
          },
          getOwnPropertyDescriptor: (target, name) => {
            if (typeof name === 'string') this.#read(`cookie:${name}`);
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
}
