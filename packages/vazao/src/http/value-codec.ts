/** Answers and nodes of the tree of keys as bytes, for the second tier. What comes back is checked piece by piece. */
import type { Facet, FacetValue } from './facets.ts';
import type { CacheValue } from './lookup.ts';
import { bodyBytes, countBytes, createCodings, findLastModified, prepare } from './stored-response.ts';

interface Bytes {
  encode(value: CacheValue): Buffer;
  decode(bytes: Buffer): CacheValue | undefined;
}

const LENGTH_BYTES = 4;
/** What a header may hold (RFC 9110, 5.5), so that nothing that is read here could begin a header of its own. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const FIELD_NAME = /^[\w!#$%&'*+.^`|~-]+$/;

/** 4 bytes length, JSON of everything but the body, body. */
export const valueCodec: Bytes = {
  encode(value) {
    const { body, facts } = split(value);
    const json = Buffer.from(JSON.stringify(facts));
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(json.length);
    return Buffer.concat([length, json, body]);
  },
  decode(bytes) {
    const end = LENGTH_BYTES + bytes.readUInt32BE(0);
    const json: unknown = JSON.parse(bytes.toString('utf8', LENGTH_BYTES, end));
    if (typeof json !== 'object' || json === null) return undefined;
    const facts = json as Record<string, unknown>;
    if (facts.kind === 'node') return isFacet(facts.facet) ? { kind: 'node', facet: facts.facet } : undefined;
    return facts.kind === 'response' ? readResponse(facts, bytes.subarray(end)) : undefined;
  },
};

function split(value: CacheValue): { readonly body: Buffer; readonly facts: object } {
  if (value.kind !== 'response') return { body: Buffer.alloc(0), facts: value };
  // What was encoded is made again where it is asked for: it would be sent over once for each coding.
  const { kind, status, etag, head, facets, position, token, codings, bytes } = value;
  const kept = { kind, status, etag, head, facets, token, bytes };
  return { body: bodyBytes(value), facts: { ...kept, position: String(position), negotiated: codings !== undefined } };
}

function readResponse(facts: Record<string, unknown>, body: Buffer): CacheValue | undefined {
  const { status, etag, head, facets, position, token } = facts;
  if (!Number.isInteger(status) || (status as number) < 200 || (status as number) > 599) return undefined;
  if (typeof etag !== 'string' || !isHead(head)) return undefined;
  if (typeof position !== 'string' || !/^\d{1,30}$/.test(position)) return undefined;
  if (token !== undefined && typeof token !== 'string') return undefined;
  if (!Array.isArray(facets) || !facets.every(isFacetValue)) return undefined;
  const length = head[head.indexOf('content-length') + 1];
  if (head.includes('content-length') && length !== String(body.length)) return undefined;
  return {
    kind: 'response',
    status: status as number,
    etag,
    lastModifiedMs: findLastModified(head),
    codings: facts.negotiated === true ? createCodings() : undefined,
    ...prepare(status as number, head, body),
    preparedNotModified: undefined,
    facets,
    position: BigInt(position),
    token,
    bytes: countBytes(head, body),
  };
}

function isHead(list: unknown): list is string[] {
  return (
    Array.isArray(list) &&
    list.length % 2 === 0 &&
    list.at(-2) === 'cache-status' &&
    list.every((text, at) => typeof text === 'string' && (at % 2 === 0 ? FIELD_NAME : FIELD_VALUE).test(text))
  );
}

function isFacetValue(value: unknown): value is FacetValue {
  return Array.isArray(value) && value.length === 2 && isFacet(value[0]) && typeof value[1] === 'string';
}

function isFacet(value: unknown): value is Facet {
  return typeof value === 'string' && (value === 'user' || /^(header|cookie):./.test(value));
}
