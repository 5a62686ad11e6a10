/**
 * One spelling for the query of a URL, where the route's schema says that another would mean the same.
 *
 * The key of an answer is the URL as the client wrote it, and nothing else is sound as long as a handler can see more than
 * the key holds. So a spelling is never hidden from the key alone: the request itself gets the one form before any hook
 * of the application sees it (`request.url`, `request.originalUrl`, `request.raw.url`, the order of `request.query`).
 * What is left out is what the schema would remove before the handler runs.
 *
 * The path is never rewritten: how dots, slashes and percent-encoding lead to a route is for the router to say, and a
 * cache that is of another opinion serves one address under the name of another.
 */
import type { FastifyRequest, RouteOptions } from 'fastify';
import { LRUCache } from 'lru-cache';

/** Names of the parameters, in the order in which they are written. */
export type QueryForm = readonly string[];

const SPELLINGS_MAX_BYTES = 4 * 1024 * 1024;
const SPELLING_OVERHEAD_BYTES = 200;
const SCALARS = new Set(['string', 'number', 'integer', 'boolean']);
/** What a schema of such a query says; with anything else in it, names may depend on one another. */
const KEYWORDS = new Set(['type', 'properties', 'required', 'additionalProperties', '$id', 'title', 'description']);

/** Undefined unless the schema names all parameters, each of them with one plain value. */
export function resolveQueryForm({ schema: schemas }: Pick<RouteOptions, 'schema'>): QueryForm | undefined {
  const { querystring, query } = (schemas ?? {}) as Record<string, unknown>;
  const schema = (querystring ?? query) as Record<string, unknown> | null | undefined;
  if (typeof schema !== 'object' || schema === null) return undefined;
  if (schema.type !== 'object' || schema.additionalProperties !== false) return undefined;
  if (!Object.keys(schema).every((keyword) => KEYWORDS.has(keyword))) return undefined;
  const properties = Object.entries((schema.properties ?? {}) as Record<string, { type?: unknown } | undefined>);
  if (!properties.every(([, property]) => SCALARS.has(String(property?.type)))) return undefined;
  return properties.map(([name]) => name).sort();
}

/** What addresses that were written otherwise came to, so that their hits need no routing. What is forgotten is routed. */
export class Spellings {
  readonly #normal = new LRUCache<string, string>({
    maxSize: SPELLINGS_MAX_BYTES,
    sizeCalculation: (normal, url) => SPELLING_OVERHEAD_BYTES + (normal.length + url.length) * 2,
  });

  find(url: string): string | undefined {
    return this.#normal.size === 0 ? undefined : this.#normal.get(url);
  }

  /** Gives the request the one form of its query, and remembers it. */
  normalize(request: FastifyRequest, form: QueryForm): void {
    const url = request.raw.url as string;
    normalizeQuery(request, form);
    if (request.raw.url !== url) this.#normal.set(url, request.raw.url as string);
  }
}

/** Leaves the request alone where another spelling would not be the same. */
function normalizeQuery(request: FastifyRequest, form: QueryForm): void {
  const url = request.raw.url as string;
  const at = url.indexOf('?');
  // Some routers end the path at a semicolon.
  if (at < 0 || url.lastIndexOf(';', at) >= 0) return;
  const given = request.query as Record<string, unknown>;
  const query = Object.create(Object.getPrototypeOf(given)) as Record<string, unknown>;
  const written: string[] = [];
  for (const name of form) {
    if (!Object.hasOwn(given, name)) continue;
    const value = given[name];
    if (typeof value !== 'string' || !value.isWellFormed()) return; // named twice, or read by a parser of another kind
    query[name] = value;
    written.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  }
  const hasUnknown = written.length < Object.keys(given).length;
  if (hasUnknown && !isRemoved(request, given, form)) return;
  const normal = url.slice(0, at) + (written.length > 0 ? `?${written.join('&')}` : '');
  if (normal === url) return;
  request.raw.url = normal;
  request.query = query;
  // Fastify remembers it when somebody has asked before: a serializer of the log, say.
  Object.defineProperty(request, 'originalUrl', { value: normal, configurable: true, enumerable: true });
}

/** Whether what the schema does not name is taken away before the handler runs: asked of the route's own validation. */
function isRemoved(request: FastifyRequest, given: Record<string, unknown>, form: QueryForm): boolean {
  const validate = request.getValidationFunction('querystring') as ((query: unknown) => unknown) | undefined;
  const copy = { ...given };
  return validate?.(copy) === true && Object.keys(copy).every((name) => form.includes(name));
}
