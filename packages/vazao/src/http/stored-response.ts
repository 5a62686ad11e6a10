/** An answer as it is kept: everything that goes over the wire, ready to be written (`sending/`). */
import { hash } from 'node:crypto';
import type { OutgoingHttpHeader, ServerResponse } from 'node:http';
import { type FacetValue, varyOf } from './facets.ts';
import { inOwnMemory } from './own-memory.ts';
import { POSITION_HEADER, type Seen } from './position-token.ts';
import { type Coding, isNegotiated } from './sending/content-coding.ts';
import { parseHttpDate } from './sending/preconditions.ts';
import { type PreparedHead, prepareHead } from './sending/prepared-head.ts';

/** A body, and the fields before it, also as one text. */
export interface Representation extends PreparedHead {
  /** A short one is a text of one byte a character: it goes out in one piece with its head. {@link bodyBytes} */
  readonly body: Buffer | string;
  /** Name, value, name, value …, as `writeHead` takes them. The last value is for `Cache-Status`, set before each writing. */
  readonly head: string[];
}

/** Of larger ones the copy would cost more than the second piece. */
export const TEXT_MAX_BYTES = 4_096;

/** What of an answer has been encoded so far; made later, and counted by the cache when it is there. */
export interface Codings extends Record<Coding, Representation | 'not smaller' | undefined> {
  /** Where the answer stands in the cache; undefined when it is not kept. */
  key: string | undefined;
  /** Hits whose client would have taken a better coding than there was. */
  wanted: number;
  /** One is being made, or will be soon. */
  pending: Promise<void> | undefined;
}

export interface StoredResponse extends Representation {
  readonly kind: 'response';
  readonly status: number;
  /** Of the body as it is; those of its codings derive from it: {@link etagOf}. */
  readonly etag: string;
  /** Milliseconds since 1970, by the answer's own `Last-Modified`. */
  readonly lastModifiedMs: number | undefined;
  /** Undefined: it is sent as it is, to everybody. */
  readonly codings: Codings | undefined;
  /** The head of a 304 in one piece, for the entity tag that was sent last. */
  preparedNotModified: { readonly etag: string; readonly head: PreparedHead } | undefined;
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
 * @param mayEncode - false: the route says `compress: false`
 */
export function createStoredResponse(
  { status, headers, body }: CapturedResponse,
  facets: readonly FacetValue[],
  identityHeaders: readonly string[],
  requestId: string | undefined,
  { position, token }: Seen,
  mayEncode: boolean,
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
  const negotiated = mayEncode && mayHaveCodings(status, headers, body.length);
  if (negotiated) vary.add('accept-encoding');
  if (vary.size > 0) head.push('vary', [...vary].join(', '));

  if (token !== undefined) head.push(POSITION_HEADER, token);

  if (status !== 204) head.push('content-length', String(body.length));
  head.push('cache-status', '');
  return {
    kind: 'response',
    status,
    etag,
    lastModifiedMs: findLastModified(head),
    codings: negotiated ? createCodings() : undefined,
    ...prepare(status, head, body),
    preparedNotModified: undefined,
    facets,
    position,
    token,
    bytes: countBytes(head, body),
  };
}

/** Whether the answer is one of those that come in several codings. */
export function mayHaveCodings(status: number, headers: CapturedHeaders, bytes: number): boolean {
  const text = (name: string): string | undefined => headers[name]?.toString();
  return status !== 206 && isNegotiated(bytes, text('content-type'), text('content-encoding'), text('cache-control'));
}

/** The keys are there from the beginning: hits read them, and objects of one shape are read fastest. */
export function createCodings(): Codings {
  return { key: undefined, wanted: 0, pending: undefined, br: undefined, zstd: undefined, gzip: undefined };
}

/** The entity tag of an answer in a coding: other bytes, so another strong tag. A weak one holds for all. */
export function etagOf(etag: string, coding: Coding): string {
  return etag.startsWith('W/') ? etag : `${etag.slice(0, -1)}-${coding}"`;
}

/** The stored form of a body that was encoded. */
export function createRepresentation(stored: StoredResponse, coding: Coding, body: Buffer): Representation {
  const head = [...stored.head];
  setField(head, 'etag', etagOf(stored.etag, coding));
  setField(head, 'content-length', String(body.length));
  head.splice(-2, 0, 'content-encoding', coding);
  return prepare(stored.status, head, body);
}

/** When it is kept, and not by its first hit: with many answers, many hits are first ones. */
export function prepare(status: number, head: readonly string[], body: Buffer): Representation {
  return {
    body: body.length > TEXT_MAX_BYTES ? inOwnMemory(body) : body.toString('latin1'),
    head: head.slice(), // without the room that `push` has left in it
    ...prepareHead(status, head),
  };
}

export function bodyBytes({ body }: Pick<Representation, 'body'>): Buffer {
  return typeof body === 'string' ? Buffer.from(body, 'latin1') : body;
}

/** The fields of a 304, in the form of {@link Representation.head}. */
export function headNotModified({ head }: StoredResponse, etag: string): string[] {
  const fields: string[] = [];
  for (let at = 0; at < head.length; at += 2) {
    const name = head[at] as string;
    if (ON_NOT_MODIFIED.has(name)) fields.push(name, name === 'etag' ? etag : (head[at + 1] as string));
  }
  fields.push('cache-status', '');
  return fields;
}

/** The head of a 304 that names an entity tag. */
export function prepareNotModified(stored: StoredResponse, etag: string): PreparedHead {
  if (stored.preparedNotModified?.etag !== etag)
    stored.preparedNotModified = { etag, head: prepareHead(304, headNotModified(stored, etag)) };
  return stored.preparedNotModified.head;
}

/** Gives a field another value in its place. Returns false when there is none of that name. */
export function setField(head: string[], name: string, value: string): boolean {
  for (let at = 0; at < head.length; at += 2) {
    if (head[at] !== name) continue;
    head[at + 1] = value;
    return true;
  }
  return false;
}

/** The date of the field of that name, if the answer has one. */
export function findLastModified(head: readonly string[]): number | undefined {
  for (let at = 0; at < head.length; at += 2)
    if (head[at] === 'last-modified') return parseHttpDate(head[at + 1] as string);
  return undefined;
}

/** What is counted for a body and the fields before it, which stand there once more in one piece. */
export function countBytes(head: readonly string[], body: Buffer | string): number {
  return 2 * head.reduce((sum, text) => sum + text.length, 0) + body.length;
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
