/**
 * What goes over the wire (the HTML standard, 9.2.5), made once and written to all: the bytes have their place in a chunk
 * of HTTP/1.1 (RFC 9112, 7.1) around them, so that writing them is one call for each client.
 */
import { isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import { inOwnMemory } from '../own-memory.ts';
import { bodyBytes, type StoredResponse } from '../stored-response.ts';

export interface Frame {
  /** Tells states apart: of answers that did not change it is the same. */
  readonly mark: string;
  /** As a chunk. */
  readonly chunk: Buffer;
  /** The same without the chunk's framing. */
  readonly plain: Buffer;
}

/** The end of a chunked body. */
export const LAST_CHUNK: Buffer = Buffer.from('0\r\n\r\n');
/** A comment, which clients ignore and proxies count as life. */
export const COMMENT: Frame = createFrame('', ':\n\n');

/** What a client sends back as `Last-Event-ID`: the position token of what it saw, and the mark. */
const ID = /^([\w-]{54})?\.([\w-]{22})$/;

export interface LastEvent {
  readonly token: string | undefined;
  readonly mark: string;
}

export function parseLastEventId(field: string | undefined): LastEvent | undefined {
  const match = ID.exec(field ?? '');
  return match ? { token: match[1], mark: match[2] as string } : undefined;
}

/** The answer as an event without a name, so that `onmessage` gets it; undefined where it is no text. */
export function createStateFrame(stored: StoredResponse): Frame | undefined {
  if (!isText(stored)) return undefined;
  const mark = markOf(stored.status, stored.etag);
  return createFrame(mark, `id: ${stored.token ?? ''}.${mark}\n${toData(bodyBytes(stored).toString())}\n`);
}

/** There is no such answer any more, or none at the moment: an event `status` with problem details (RFC 9457). */
export function createStatusFrame(status: number, stored: StoredResponse | undefined): Frame {
  const own = stored && isProblem(stored) && isText(stored) ? bodyBytes(stored).toString() : undefined;
  const problem = own ?? JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status });
  const mark = markOf(status, '');
  return createFrame(mark, `event: status\nid: .${mark}\n${toData(problem)}\n`);
}

/** The last event of a stream that we end. */
export function createEndFrame(reason: EndReason, retryMs: number): Frame {
  return createFrame('', `retry: ${retryMs}\nevent: end\n${toData(JSON.stringify({ reason }))}\n`);
}

/** How long the client is to wait before it comes back, should the connection break. */
export function createRetryFrame(retryMs: number): Frame {
  return createFrame('', `retry: ${retryMs}\n\n`);
}

/**
 * `restart`: the server closes; `expired`: the proof of identity does; `refused`: the answer is not for this client any
 * more; `uncacheable`: the answer is not kept, so nobody knows when it changes.
 */
export type EndReason = 'restart' | 'expired' | 'refused' | 'uncacheable';

function createFrame(mark: string, text: string): Frame {
  const bytes = Buffer.byteLength(text);
  const size = bytes.toString(16);
  const chunk = inOwnMemory(Buffer.from(`${size}\r\n${text}\r\n`));
  return { mark, chunk, plain: chunk.subarray(size.length + 2, -2) };
}

export function markOf(status: number, etag: string): string {
  return hash('sha256', `${status} ${etag}`, 'base64url').slice(0, 22);
}

/** A line for each of the body's: CR, LF or both end one, and the client puts LF between them. */
function toData(body: string): string {
  const lines = body.split(/\r\n|\r|\n/);
  return `data: ${lines.join('\ndata: ')}\n`;
}

/** Streams of events are UTF-8, and nothing else. */
function isText(stored: StoredResponse): boolean {
  if ((fieldOf(stored, 'content-encoding') ?? 'identity') !== 'identity') return false;
  const type = (fieldOf(stored, 'content-type') ?? '').toLowerCase();
  const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/.exec(type)?.[1] ?? 'utf-8';
  if (charset !== 'utf-8' && charset !== 'utf8' && charset !== 'us-ascii') return false;
  return TEXT.test(type) && isUtf8(bodyBytes(stored));
}

const TEXT = /^(?:text\/|application\/(?:[\w.+-]*\+)?(?:json|xml)\s*(?:;|$)|application\/javascript)/;

function isProblem(stored: StoredResponse): boolean {
  return /^application\/problem\+json/i.test(fieldOf(stored, 'content-type') ?? '');
}

function fieldOf({ head }: StoredResponse, name: string): string | undefined {
  const at = head.findIndex((word, i) => i % 2 === 0 && word === name);
  return at < 0 ? undefined : head[at + 1];
}
