/** From a request to its answer in the cache: walks the tree of facets of the URL. */
import type { IncomingMessage } from 'node:http';
import type { Cache, Entry } from '../cache/index.ts';
import { extendKey, type Facet, type FacetValue, facetValue } from './facets.ts';
import type { Identities, KnownIdentity } from './identities.ts';
import type { StoredResponse } from './stored-response.ts';

/** What stands in the cache under a key. */
export type CacheValue =
  | StoredResponse
  /** The answers differ by this facet: look under the longer key. */
  | { readonly kind: 'node'; readonly facet: Facet }
  /** Answers of this URL were not cacheable a moment ago: don't wait for one another. */
  | { readonly kind: 'bypass'; readonly reason: string };

export type HttpCache = Cache<CacheValue>;

export interface Found {
  /** The longest key that the tree knows for the request. */
  readonly key: string;
  readonly path: readonly FacetValue[];
  /** An answer or a bypass note, current or not; never a node. */
  readonly entry: Entry<CacheValue> | undefined;
}

/** More facets than this in one URL's tree are a mistake; the walk ends, and the request is a miss. */
export const DEPTH_MAX = 16;

/** Walks the tree; a promise only if the caller's identity must be computed first. */
export function lookUp(
  cache: HttpCache,
  key: string,
  request: Pick<IncomingMessage, 'headers'>,
  identities: Identities,
): Found | Promise<Found> {
  const entry = cache.get(key);
  if (entry?.value.kind !== 'node') return { key, path: [], entry };
  const caller = identities.of(request.headers);
  if (caller instanceof Promise) return caller.then((known) => walk(cache, key, request, known));
  // Thrown in a listener it would end the process.
  return caller.failure ? Promise.reject(caller.failure) : walk(cache, key, request, caller);
}

export function walk(
  cache: HttpCache,
  start: string,
  request: Pick<IncomingMessage, 'headers'>,
  caller: KnownIdentity,
): Found {
  const path: FacetValue[] = [];
  let key = start;
  let entry = cache.get(key);
  while (entry?.value.kind === 'node' && path.length < DEPTH_MAX) {
    const { facet } = entry.value;
    const value = facetValue(facet, request.headers, caller);
    path.push([facet, value]);
    key = extendKey(key, facet, value);
    entry = cache.get(key);
  }
  return { key, path, entry: entry?.value.kind === 'node' ? undefined : entry };
}

/** Makes the tree tell the facets apart that an answer depends on; returns the key of its leaf. */
export function growTree(cache: HttpCache, start: string, facets: readonly FacetValue[]): string {
  const missing = new Map(facets);
  let key = start;
  let depth = 0;
  for (let entry = cache.get(key); entry?.value.kind === 'node' && depth < DEPTH_MAX; entry = cache.get(key)) {
    const { facet } = entry.value;
    const value = missing.get(facet);
    if (value === undefined) break; // can't be: the tree was walked with this request before
    missing.delete(facet);
    key = extendKey(key, facet, value);
    depth++;
  }
  for (const [facet, value] of missing) {
    cache.note(key, { kind: 'node', facet }, facet.length);
    key = extendKey(key, facet, value);
  }
  return key;
}
