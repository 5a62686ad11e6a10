/**
 * Facets: the parts of a request that an answer may depend on, beside its URL.
 *
 * Keys form a tree for each URL, discovered by fills. A node stands in the cache like an entry and names the next facet
 * to look at; a leaf is the answer:
 *
 *   /painel                                  node: user
 *   /painel ␀ user=-                         answer for anonymous callers
 *   /painel ␀ user=+{"id":7}                 node: header:accept-language
 *   /painel ␀ user=+{"id":7} ␀ header:accept-language==pt-BR     answer
 */
import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { KnownIdentity } from './identities.ts';

export type Facet = 'user' | `header:${string}` | `cookie:${string}`;

export type FacetValue = readonly [facet: Facet, value: string];

/** Longer values stand in keys as their hash. */
const VALUE_LENGTH_MAX = 100;
const SEPARATOR = '\u0000';

export function extendKey(key: string, facet: Facet, value: string): string {
  return `${key}${SEPARATOR}${facet}=${value}`;
}

/** The value of a facet in a request. An absent header differs from an empty one. */
export function facetValue(facet: Facet, headers: IncomingHttpHeaders, caller: KnownIdentity): string {
  if (facet === 'user') return shorten(caller.key);
  const name = facet.slice(facet.indexOf(':') + 1);
  // Cookies may be secrets, and keys reach the second tier and those who look into the cache.
  if (facet.startsWith('cookie:')) return hashed(cookieValues(headers.cookie, name));
  if (name === 'cookie') return hashed(headers.cookie === undefined ? '-' : `=${headers.cookie}`);
  const value = headers[name];
  return value === undefined ? '-' : shorten(`=${Array.isArray(value) ? value.join('\n') : value}`);
}

/** What a shared cache beyond us must know: the header that carries the facet. */
export function varyOf(facet: Facet, identityHeaders: readonly string[]): readonly string[] {
  if (facet === 'user') return identityHeaders;
  if (facet.startsWith('cookie:')) return ['cookie'];
  const name = facet.slice('header:'.length);
  // HTTP/2 keeps parts of the URL among the headers, which `Vary` has no names for.
  return name.startsWith(':') ? [] : [name];
}

/** All raw values that the header gives a name, whatever parser the application takes its cookies from. */
function cookieValues(header: string | undefined, name: string): string {
  let found = '-';
  for (const pair of header?.split(';') ?? []) {
    const equals = pair.indexOf('=');
    if (equals >= 0 && pair.slice(0, equals).trim() === name) found += `=${pair.slice(equals + 1).trim()}`;
  }
  return found;
}

function shorten(value: string): string {
  return value.length <= VALUE_LENGTH_MAX ? value : hashed(value);
}

function hashed(value: string): string {
  return value === '-' ? value : `#${hash('sha256', value, 'base64url')}`;
}
