/** An answer as it is kept: everything that goes over the wire, ready to be written. */
import { hash } from 'node:crypto';
import type { OutgoingHttpHeader, ServerResponse } from 'node:http';
import { type FacetValue, varyOf } from './facets.ts';
import { type OwnFields, POSITION_HEADER, type Seen } from './position-token.ts';

export interface StoredResponse {
  readonly kind: 'response';
  readonly status: number;
  readonly body: Buffer;
  readonly etag: string;
  /** Name, value, name, value …, as `writeHead` takes them. The last value is for `Cache-Status`, set before each writing. */
  readonly head: string[];
  /** The same for a 304. */
  readonly headNotModified: string[];
  /** What the answer depends on beside the URL. */
  readonly facets: readonly FacetValue[];
  /** What the answer shows was committed before this position; 0 when it shows nothing of the database. */
  readonly position: bigint;
  /** That position for the client to carry. */
  readonly token: string | undefined;
  readonly bytes: number;
}

/** What Node writes itself, or what belongs to one sending. */
const NOT_STORED = new Set([
  'connection',
  'content-length',
  'cache-status',
  'date',
  'keep-alive',
  'server-timing',
  'transfer-encoding',
  POSITION_HEADER,
]);
/** Of those, what the bytes that are written decide, or what we say ourselves. */
const FRAMING = new Set(['cache-status', 'content-length', 'transfer-encoding', POSITION_HEADER]);
/** What a 304 repeats (RFC 9110, 15.4.5). */
const ON_NOT_MODIFIED = new Set(['cache-control', 'content-location', 'etag', 'expires', 'vary', POSITION_HEADER]);

export type CapturedHeaders = Readonly<Record<string, OutgoingHttpHeader | undefined>>;

/** A response as it left the application. */
export interface CapturedResponse {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: CapturedHeaders;
  readonly body: Buffer;
}

/**
 * Makes the stored form.
 * @param requestId - a field with this value belongs to the request that made the answer, and is left out
 */
export function createStoredResponse(
  { status, headers, body }: CapturedResponse,
  facets: readonly FacetValue[],
  identityHeaders: readonly string[],
  requestId: string | undefined,
  { position, token }: Seen,
): StoredResponse {
  const head: string[] = [];
  let etag = '';
  let cacheControl = false;
  const vary = new Set<string>();
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || value === requestId || NOT_STORED.has(name)) continue;
    if (name === 'vary') {
      for (const field of String(value).split(',')) vary.add(field.trim().toLowerCase());
      continue;
    }
    if (name === 'etag') etag = String(value);
    if (name === 'cache-control') cacheControl = true;
    for (const one of Array.isArray(value) ? value : [value]) head.push(name, String(one));
  }
  for (const [facet] of facets) for (const name of varyOf(facet, identityHeaders)) vary.add(name);
  if (!etag) {
    etag = `"${hash('sha1', body, 'base64url')}"`;
    head.push('etag', etag);
  }
  if (!cacheControl) {
    // Whoever keeps a copy asks before using it: we alone know when it ends. Only what no caller can change is public.
    const isPersonal = facets.some(
      ([facet]) => facet === 'user' || facet.startsWith('cookie:') || facet === 'header:cookie',
    );
    head.push('cache-control', isPersonal ? 'private, no-cache' : 'public, no-cache');
  }
  if (vary.size > 0) head.push('vary', [...vary].join(', '));

  if (token !== undefined) head.push(POSITION_HEADER, token);

  const headNotModified: string[] = [];
  for (let i = 0; i < head.length; i += 2) {
    if (ON_NOT_MODIFIED.has(head[i] as string)) headNotModified.push(head[i] as string, head[i + 1] as string);
  }
  headNotModified.push('cache-status', '');
  if (status !== 204) head.push('content-length', String(body.length));
  head.push('cache-status', '');
  const headBytes = [...head, ...headNotModified].reduce((sum, text) => sum + text.length, 0);
  return {
    kind: 'response',
    status,
    body,
    etag,
    head,
    headNotModified,
    facets,
    position,
    token,
    bytes: body.length + headBytes,
  };
}

/** Gives the request that made the answer what is not kept of its headers: what is for this one sending. */
export function writeOwnHeaders(
  response: ServerResponse,
  headers: CapturedHeaders,
  requestId: string | undefined,
): void {
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || FRAMING.has(name)) continue;
    if (value === requestId || NOT_STORED.has(name)) response.setHeader(name, value);
  }
}

/**
 * Writes the answer, or a 304 when the client has it.
 * @param condition - the `If-None-Match` field of the request
 * @param own - fields for this client
 */
export function writeStoredResponse(
  stored: StoredResponse,
  method: string | undefined,
  condition: string | undefined,
  response: ServerResponse,
  cacheStatus: string,
  own: OwnFields | undefined,
): void {
  if (condition !== undefined && stored.status === 200 && matchesEtag(condition, stored.etag)) {
    stored.headNotModified[stored.headNotModified.length - 1] = cacheStatus;
    response.writeHead(304, withOwn(stored.headNotModified, own));
    response.end();
    return;
  }
  stored.head[stored.head.length - 1] = cacheStatus;
  response.writeHead(stored.status, withOwn(stored.head, own));
  if (method === 'HEAD') response.end();
  else response.end(stored.body);
}

function withOwn(head: string[], own: OwnFields | undefined): string[] {
  if (!own) return head;
  const copy = [...head];
  if (own.cookie !== undefined) copy.push('set-cookie', own.cookie);
  if (own.token === undefined) return copy;
  const at = copy.indexOf(POSITION_HEADER);
  if (at < 0) copy.push(POSITION_HEADER, own.token);
  else copy[at + 1] = own.token;
  return copy;
}

/** Weak comparison (RFC 9110, 13.1.2). */
export function matchesEtag(condition: string, etag: string): boolean {
  if (condition === etag || condition.trim() === '*') return true;
  const opaque = (tag: string): string => tag.trim().replace(/^W\//, '');
  // An opaque tag may hold a comma, so the list is read tag by tag.
  for (const [tag] of condition.matchAll(/(?:W\/)?"[^"]*"/g)) if (opaque(tag) === opaque(etag)) return true;
  return false;
}
