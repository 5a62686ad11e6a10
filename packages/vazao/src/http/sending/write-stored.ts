/** Writes a stored answer to a response of Node's. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type OwnFields, POSITION_HEADER } from '../position-token.ts';
import { headNotModified, prepareNotModified, type StoredResponse, setField } from '../stored-response.ts';
import { chooseForm } from './choose-form.ts';
import type { Compression } from './compression.ts';
import { type Acceptable, acceptableCodings } from './content-coding.ts';
import { readSendingFields, type SendingFields } from './preconditions.ts';
import { writePreparedHead } from './prepared-head.ts';

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

/** @returns false, and writes nothing, when the client refuses the body as it is and there is no other yet */
export function writeStoredResponse(
  stored: StoredResponse,
  method: string | undefined,
  fields: SendingFields,
  acceptable: Acceptable,
  response: ServerResponse,
  cacheStatus: string,
  own: OwnFields | undefined,
): boolean {
  const form = chooseForm(stored, fields, acceptable);
  if (!form) return false;
  if (form.kind === 'precondition failed') {
    response.writeHead(412, withOwn(['content-length', '0', 'cache-status', cacheStatus], own, false));
    response.end();
    return true;
  }
  if (form.kind === 'not modified') {
    writeNotModified(stored, form.etag, response, cacheStatus, own);
    response.end();
    return true;
  }
  const { head, body } = form.representation;
  const isPlain = !own && !fields.hasRange;
  if (!isPlain || !writePreparedHead(response, stored.status, form.representation, cacheStatus)) {
    head[head.length - 1] = cacheStatus;
    response.writeHead(stored.status, withOwn(head, own, fields.hasRange));
  }
  if (method === 'HEAD') response.end();
  // As text Node joins it with the head, and one piece costs a tenth less than two.
  else if (typeof body === 'string') response.end(body, 'latin1');
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
  if (!own && writePreparedHead(response, 304, prepareNotModified(stored, etag), cacheStatus)) return;
  const head = headNotModified(stored, etag);
  head[head.length - 1] = cacheStatus;
  response.writeHead(304, withOwn(head, own, false));
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
