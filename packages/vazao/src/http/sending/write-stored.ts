/** Writes a stored answer: in the coding that its client takes, whole, as a 304, or as a refused precondition. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type OwnFields, POSITION_HEADER } from '../position-token.ts';
import { etagOf, type Representation, type StoredResponse, setField } from '../stored-response.ts';
import type { Compression } from './compression.ts';
import { type Acceptable, acceptableCodings } from './content-coding.ts';
import { evaluatePreconditions, readSendingFields, type SendingFields } from './preconditions.ts';
import { prepareHead, writePreparedHead } from './prepared-head.ts';

/** One sending of an answer. */
export interface Sending {
  readonly request: Pick<IncomingMessage, 'method' | 'rawHeaders'>;
  readonly response: ServerResponse;
  readonly cacheStatus: string;
  /** Fields for this client. */
  readonly own: OwnFields | undefined;
}

/**
 * Sends the answer, as soon as there is a coding that its client takes if one is about to be made.
 * @param begin - called right before the first byte
 */
export function sendStoredResponse(
  stored: StoredResponse,
  sending: Sending,
  compression: Compression,
  begin: () => void = () => {},
): Promise<void> | undefined {
  const fields = readSendingFields(sending.request.rawHeaders);
  const acceptable = acceptableCodings(fields.acceptEncoding);
  const write = (): void => {
    begin();
    const { request, response, cacheStatus, own } = sending;
    if (writeStoredResponse(stored, request.method, fields, acceptable, response, cacheStatus, own)) return;
    response.writeHead(406, ['vary', 'accept-encoding', 'content-length', '0', 'cache-status', cacheStatus]);
    response.end();
  };
  const ready = compression.prepare(stored, acceptable);
  if (ready) return ready.then(write);
  write();
  return undefined;
}

/**
 * Writes the answer, or what its preconditions say instead. `Range` is not honoured, which RFC 9110 (14.2) leaves to the
 * server: the parts of an answer that the next write ends would not fit together.
 * @returns false, and writes nothing, when the client refuses the body as it is and there is no other yet
 */
export function writeStoredResponse(
  stored: StoredResponse,
  method: string | undefined,
  fields: SendingFields,
  acceptable: Acceptable,
  response: ServerResponse,
  cacheStatus: string,
  own: OwnFields | undefined,
): boolean {
  if (hasCondition(fields) && stored.status >= 200 && stored.status < 300) {
    const { lastModifiedMs } = stored;
    const verdict = evaluatePreconditions(fields, { etags: acceptableEtags(stored, acceptable), lastModifiedMs });
    if (verdict === 'precondition failed') {
      response.writeHead(412, withOwn(['content-length', '0', 'cache-status', cacheStatus], own, false));
      response.end();
      return true;
    }
    if (verdict !== 'send') {
      writeNotModified(
        stored,
        verdict.notModified ?? (acceptableEtags(stored, acceptable)[0] as string),
        response,
        cacheStatus,
        own,
      );
      response.end();
      return true;
    }
  }
  const representation = select(stored, acceptable);
  if (!representation) return false;
  const { head, body } = representation;
  const isPlain = !own && !fields.hasRange;
  if (!isPlain || !writePreparedHead(response, stored.status, representation.prepared, cacheStatus)) {
    head[head.length - 1] = cacheStatus;
    response.writeHead(stored.status, withOwn(head, own, fields.hasRange));
  }
  if (method === 'HEAD') response.end();
  // As text Node joins it with the head, and one piece costs a tenth less than two.
  else if (representation.text !== undefined) response.end(representation.text, 'latin1');
  else response.end(body);
  return true;
}

function writeNotModified(
  stored: StoredResponse,
  etag: string,
  response: ServerResponse,
  cacheStatus: string,
  own: OwnFields | undefined,
): void {
  const head = stored.headNotModified;
  if (!own) {
    if (stored.preparedNotModified?.etag !== etag) {
      setField(head, 'etag', etag);
      stored.preparedNotModified = { etag, head: prepareHead(304, head) };
    }
    if (writePreparedHead(response, 304, stored.preparedNotModified.head, cacheStatus)) return;
  }
  setField(head, 'etag', etag);
  head[head.length - 1] = cacheStatus;
  response.writeHead(304, withOwn(head, own, false));
}

function hasCondition(fields: SendingFields): boolean {
  return (
    fields.ifNoneMatch !== undefined ||
    fields.ifMatch !== undefined ||
    fields.ifModifiedSince !== undefined ||
    fields.ifUnmodifiedSince !== undefined
  );
}

/** The best coding for the client of those that are there. */
function select(stored: StoredResponse, acceptable: Acceptable): Representation | undefined {
  const { codings } = stored;
  if (!codings) return stored;
  for (const coding of acceptable) {
    if (coding === 'identity') return stored;
    const representation = codings[coding];
    if (representation !== undefined && representation !== 'not smaller') return representation;
  }
  return undefined;
}

/**
 * The tags that the answer has in the codings that the client takes, what it would get now first. A copy that it made from
 * any of them is current, also when that coding is not there any more, or not yet again.
 */
function acceptableEtags(stored: StoredResponse, acceptable: Acceptable): string[] {
  const { codings, etag } = stored;
  if (!codings || etag.startsWith('W/')) return [etag];
  const etags: string[] = [];
  let hasCurrent = false;
  for (const coding of acceptable) {
    const tag = coding === 'identity' ? etag : etagOf(etag, coding);
    const isThere = coding === 'identity' || typeof codings[coding] === 'object';
    if (isThere && !hasCurrent) {
      etags.unshift(tag);
      hasCurrent = true;
    } else etags.push(tag);
  }
  return etags;
}

function withOwn(head: string[], own: OwnFields | undefined, hasRange: boolean): string[] {
  const saysRanges = hasRange && !head.includes('accept-ranges');
  if (!own && !saysRanges) return head;
  const copy = [...head];
  if (saysRanges) copy.push('accept-ranges', 'none');
  if (own?.cookie !== undefined) copy.push('set-cookie', own.cookie);
  if (own?.token !== undefined && !setField(copy, POSITION_HEADER, own.token)) copy.push(POSITION_HEADER, own.token);
  return copy;
}
