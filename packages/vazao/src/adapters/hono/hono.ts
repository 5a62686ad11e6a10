import { bypassStatus } from '../../http/cache-status.ts';
import type { ValueCache } from '../../standalone/value-cache.ts';
import { type Answer, prepare } from '../kept-answer.ts';
import { type Handled, type HeaderWatch, type RouteOptions, RouteReads } from '../route-reads.ts';

/** What is used of Hono's context. */
export interface HonoContext {
  readonly req: { readonly method: string; readonly url: string; readonly raw: Request };
  res: Response;
}

type Body = ConstructorParameters<typeof Response>[0];

export type HonoHandler<Context extends HonoContext> = (context: Context, next: () => Promise<void>) => Promise<void>;

/**
 * Caches the answers of a GET route of Hono, exactly: `app.get('/books/:id', cached(cache), handler)`. Put it directly before
 * the handler, whose statements run on `cache.db`. Requests with `Cookie` or `Authorization` pass by unless `key` says who
 * may share an answer. Throws `CacheError` for options that can't be.
 */
// biome-ignore lint/suspicious/noExplicitAny: Hono's context is generic in three ways, all of which may be used in `key`.
export function cached<Context extends HonoContext = any>(
  cache: ValueCache,
  options: RouteOptions<Context> = {},
): HonoHandler<Context> {
  const reads = new RouteReads<Context>(cache, options);
  return async (context, next) => {
    const { method, raw } = context.req;
    const { headers } = raw;
    const { pathname, search, host } = new URL(context.req.url);
    const header = (name: string): string | undefined => headers.get(name) ?? (name === 'host' ? host : undefined);
    const asked = { method, url: pathname + search, header };
    const found = reads.keyOf(context, asked);
    if ('bypass' in found) {
      await next();
      if (method === 'GET') context.res.headers.set('cache-status', bypassStatus(found.bypass));
      return;
    }
    // What earlier middleware has said is of this request, and said again of the next (a request's id).
    const before = new Headers(context.res.headers);
    const handle = (): Promise<Handled> => runHandler(context, next, before, reads.bodyMaxBytes);
    const given = await reads.answer(found.key, asked, handle);
    if (!given) return; // in `context.res` as it is
    const { status, headers: own, body } = prepare(given.answer, header('if-none-match'), given.cacheStatus);
    const response = new Response(status === 204 || status === 304 ? null : (body as Body), { status });
    for (const [name, value] of Object.entries(own)) {
      for (const one of [value].flat()) response.headers.append(name, one);
    }
    for (const [name, value] of before) if (!response.headers.has(name)) response.headers.append(name, value);
    // Hono would put the headers of the response before over those of this one.
    context.res = undefined as unknown as Response;
    context.res = response;
  };
}

/** Runs the rest of the chain and takes its answer. */
async function runHandler(
  context: HonoContext,
  next: () => Promise<void>,
  before: Headers,
  bodyMaxBytes: number,
): Promise<Handled> {
  const watch = new HeadersWatch(context.req.raw);
  try {
    await next();
  } finally {
    watch.end();
  }
  const { res } = context;
  if (res.headers.get('content-type')?.startsWith('text/event-stream')) return { answer: undefined, watch };
  const body = await readBody(context, bodyMaxBytes);
  if (!body) return { answer: undefined, watch };
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of res.headers) if (name === 'vary' || before.get(name) !== value) headers[name] = value;
  const cookies = res.headers.getSetCookie();
  if (cookies.length > 0) headers['set-cookie'] = cookies;
  return { answer: { status: res.status, headers, body } satisfies Answer, watch };
}

/** Undefined when it is larger; then the context has a response with all of it again. */
async function readBody(context: HonoContext, maxBytes: number): Promise<Uint8Array | undefined> {
  const { res } = context;
  if (!res.body) return new Uint8Array(0);
  const reader = res.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    bytes += part.value.length;
    if (bytes > maxBytes) {
      const rest = new ReadableStream<Uint8Array>({
        async pull(controller) {
          const chunk = chunks.shift() ?? (await reader.read()).value;
          if (chunk) controller.enqueue(chunk);
          else controller.close();
        },
        cancel: (reason) => reader.cancel(reason),
      });
      const whole = new Response(rest as unknown as Body, res);
      context.res = undefined as unknown as Response;
      context.res = whole;
      return undefined;
    }
  }
  return Buffer.concat(chunks);
}

/** Lists of all headers, which no key can hold. */
const LISTING = new Set(['entries', 'keys', 'values', 'forEach', Symbol.iterator]);
/** With these a handler would answer for one client's copy. They are answered here. */
const CONDITIONAL = /^(if-(none-)?match|if-(un)?modified-since|if-range|range)$/i;

class HeadersWatch implements HeaderWatch {
  readonly names = new Set<string>();
  unkeyed: { readonly code: string; readonly detail: string } | undefined;
  readonly #request: Request;

  constructor(request: Request) {
    this.#request = request;
    const { headers } = request;
    const watched = new Proxy(headers, {
      get: (target, name) => {
        if (LISTING.has(name))
          this.unkeyed ??= {
            code: 'all-headers',
            detail: 'The handler listed all headers of the request. Read those that matter by their names.',
          };
        const method: unknown = Reflect.get(target, name, target);
        if (typeof method !== 'function') return method;
        if (name !== 'get' && name !== 'has') return method.bind(target);
        return (header: string) => (this.#note(header) ? method.call(target, header) : name === 'get' ? null : false);
      },
    });
    Object.defineProperty(request, 'headers', { configurable: true, value: watched });
  }

  /** Gives the request its own headers back. */
  end(): void {
    delete (this.#request as unknown as Record<string, unknown>).headers;
  }

  /** Whether the handler may see it. */
  #note(header: string): boolean {
    if (CONDITIONAL.test(header)) return false;
    const name = header.toLowerCase();
    if (name === 'authorization')
      this.unkeyed ??= {
        code: 'authorization',
        detail: 'The handler read the `authorization` header; read it before, and let `key` name the caller.',
      };
    this.names.add(name);
    return true;
  }
}
