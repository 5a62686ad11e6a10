import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { bypassStatus } from '../../http/cache-status.ts';
import { Capture } from '../../http/capture.ts';
import type { ValueCache } from '../../standalone/value-cache.ts';
import { type Answer, prepare } from '../kept-answer.ts';
import { type Handled, type HeaderWatch, type RouteOptions, RouteReads } from '../route-reads.ts';

/** What is used of Express' request; its own types would be asked for of everybody who uses ours. */
export type ExpressRequest = IncomingMessage & { readonly originalUrl?: string | undefined };
export type ExpressHandler<Request extends ExpressRequest> = (
  request: Request,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Caches the answers of a GET route of Express, exactly: `app.get('/books/:id', cached(cache), handler)`. Put it directly
 * before the handler, whose statements run on `cache.db`. Requests with `Cookie` or `Authorization` pass by unless `key` says
 * who may share an answer. Throws `CacheError` for options that can't be.
 */
export function cached<Request extends ExpressRequest = ExpressRequest>(
  cache: ValueCache,
  options: RouteOptions<Request> = {},
): ExpressHandler<Request> {
  const reads = new RouteReads<Request>(cache, options);
  return (request, response, next) => {
    const { headers } = request;
    const asked = {
      method: request.method ?? '',
      url: request.originalUrl ?? request.url ?? '',
      header: (name: string): string | undefined => headers[name]?.toString(),
    };
    let found: ReturnType<typeof reads.keyOf>;
    try {
      found = reads.keyOf(request, asked);
    } catch (error) {
      next(error);
      return;
    }
    if ('bypass' in found) {
      if (asked.method === 'GET') response.setHeader('cache-status', bypassStatus(found.bypass));
      next();
      return;
    }
    const handle = (): Promise<Handled> => runHandler(request, response, next, reads.bodyMaxBytes);
    reads.answer(found.key, asked, handle).then((given) => {
      if (given) write(response, prepare(given.answer, headers['if-none-match'], given.cacheStatus));
    }, next);
  };
}

/** Runs the rest of the chain and takes its answer, before it leaves. */
function runHandler(
  request: IncomingMessage,
  response: ServerResponse,
  next: () => void,
  bodyMaxBytes: number,
): Promise<Handled> {
  const watch = new RequestWatch(request, response);
  // What earlier middleware has said is of this request, and said again of the next (a request's id, what is left of a limit).
  const before = response.getHeaders();
  return new Promise((resolve) => {
    const pass = (): void => {
      watch.end();
      resolve({ answer: undefined, watch });
    };
    const capture = new Capture(response, bodyMaxBytes, {
      onComplete: ({ status, headers, body }) => {
        capture.restore();
        watch.end();
        const given = Object.entries(headers).flatMap(([name, value]) =>
          value === undefined || (value === before[name] && name !== 'vary')
            ? []
            : [[name, Array.isArray(value) ? value.map(String) : String(value)] as const],
        );
        resolve({ answer: { status, headers: Object.fromEntries(given), body }, watch });
      },
      onTooLarge: pass,
      onLost: pass,
    });
    next();
  });
}

/** By the response's own methods, so that what wraps them (compression) does its work for each client. */
function write(response: ServerResponse, { status, headers, body }: Answer): void {
  if (response.headersSent) return;
  for (const name of response.getHeaderNames()) if (!(name in headers)) keepOrRemove(response, name, status);
  for (const [name, value] of Object.entries(headers)) {
    if (name !== 'content-length' && name !== 'transfer-encoding') response.setHeader(name, value);
  }
  response.statusCode = status;
  if (status !== 204 && status !== 304) response.setHeader('content-length', body.length);
  response.end(body);
}

/** What other middleware has set stays (`x-powered-by`); what says how long a body is does not, where there is none. */
function keepOrRemove(response: ServerResponse, name: string, status: number): void {
  if (status === 304 && name.startsWith('content-')) response.removeHeader(name);
}

/** With these a handler would answer for one client's copy. They are answered here. */
const CONDITIONAL = new Set([
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'range',
]);
/** Methods of the response in which Node looks at the socket, as at the server's option for lenient headers. */
const WRITING = ['setHeader', 'setHeaders', 'appendHeader', 'addTrailers', 'writeEarlyHints'];
const UNKEYED = ['rawHeaders', 'headersDistinct', 'socket', 'connection'] as const;

class RequestWatch implements HeaderWatch {
  readonly names = new Set<string>();
  unkeyed: { readonly code: string; readonly detail: string } | undefined;
  readonly #headers: IncomingHttpHeaders;
  readonly #before: [owner: object, name: string, own: PropertyDescriptor | undefined][] = [];
  /** Node reads, and not the handler. */
  #isIgnoring = false;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#headers = request.headers;
    const note = (name: string | symbol): boolean => this.#note(name);
    const watched = new Proxy(this.#headers, {
      get: (headers, name) => (note(name) ? Reflect.get(headers, name) : undefined),
      has: (headers, name) => note(name) && Reflect.has(headers, name),
      getOwnPropertyDescriptor: (headers, name) =>
        note(name) ? Reflect.getOwnPropertyDescriptor(headers, name) : undefined,
      ownKeys: (headers) => {
        this.#refuse(
          'all-headers',
          'The handler listed all headers of the request. Read those that matter by their names.',
        );
        return Reflect.ownKeys(headers);
      },
    });
    this.#replace(request, 'headers', { get: () => watched });
    for (const name of UNKEYED) {
      const own = Object.getOwnPropertyDescriptor(request, name);
      const inherited = Object.getPrototypeOf(request) as object;
      this.#replace(request, name, {
        get: () => {
          this.#refuse(
            'raw-request',
            `The handler read \`${name}\` of the request (as \`req.ip\` does), which no key can hold.`,
          );
          return own ? own.value : Reflect.get(inherited, name, request);
        },
        set: (value) => {
          if (own) own.value = value;
          else Reflect.set(inherited, name, value, request);
        },
      });
    }
    for (const name of WRITING) this.#ignoreWithin(response, name);
    this.#ignoreWithin(request, '_destroy'); // when the client goes away
  }

  /** Gives the request and the response their own properties back. */
  end(): void {
    this.#isIgnoring = true;
    for (const [owner, name, own] of this.#before.splice(0)) {
      if (own) Object.defineProperty(owner, name, own);
      else delete (owner as Record<string, unknown>)[name];
    }
  }

  #replace(owner: object, name: string, descriptor: PropertyDescriptor): void {
    this.#before.push([owner, name, Object.getOwnPropertyDescriptor(owner, name)]);
    Object.defineProperty(owner, name, { ...descriptor, configurable: true });
  }

  /** Within a method of Node's own, what is read is read by Node, and does not reach the answer. */
  #ignoreWithin(owner: object, name: string): void {
    const method = Reflect.get(owner, name) as ((...args: unknown[]) => unknown) | undefined;
    if (!method) return;
    const value = (...args: unknown[]): unknown => {
      const before = this.#isIgnoring;
      this.#isIgnoring = true;
      try {
        return method.apply(owner, args);
      } finally {
        this.#isIgnoring = before;
      }
    };
    this.#replace(owner, name, { writable: true, value });
  }

  /** Whether the handler may see it. */
  #note(name: string | symbol): boolean {
    if (typeof name !== 'string') return true;
    if (CONDITIONAL.has(name)) return false;
    if (name === 'authorization')
      this.#refuse(
        'authorization',
        'The handler read the `authorization` header; read it before, and let `key` name the caller.',
      );
    this.names.add(name);
    return true;
  }

  #refuse(code: string, detail: string): void {
    if (!this.#isIgnoring) this.unkeyed ??= { code, detail };
  }
}
