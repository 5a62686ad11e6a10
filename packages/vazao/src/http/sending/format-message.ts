/**
 * A stored answer as a whole message, byte for byte what `node:http` would write on a connection that is kept
 * (`hits/before-parser.test.ts` compares them).
 */
import type { OwnFields } from '../position-token.ts';
import { prepareNotModified, type StoredResponse } from '../stored-response.ts';
import { chooseForm } from './choose-form.ts';
import type { Acceptable } from './content-coding.ts';
import type { SendingFields } from './preconditions.ts';
import type { PreparedHead } from './prepared-head.ts';

export interface Message {
  readonly status: number;
  /** The head, and a short body; each character is a byte. */
  readonly text: string;
  /** A long body. */
  readonly body: Buffer | undefined;
}

/** Undefined where the head is not there in one piece: it has fields for this client alone, or others than a prepared head may have. */
export function formatMessage(
  stored: StoredResponse,
  fields: SendingFields,
  acceptable: Acceptable,
  own: OwnFields | undefined,
  cacheStatus: string,
  keepAliveTimeoutMs: number,
): Message | undefined {
  if (own || fields.hasRange) return undefined;
  const form = chooseForm(stored, fields, acceptable);
  if (form?.kind === 'not modified') {
    const head = formatHead(prepareNotModified(stored, form.etag), cacheStatus, keepAliveTimeoutMs);
    return head === undefined ? undefined : { status: 304, text: head, body: undefined };
  }
  if (form?.kind !== 'whole') return undefined;
  const { body } = form.representation;
  const head = formatHead(form.representation, cacheStatus, keepAliveTimeoutMs);
  if (head === undefined) return undefined;
  if (typeof body === 'string') return { status: stored.status, text: head + body, body: undefined };
  return { status: stored.status, text: head, body };
}

function formatHead(
  { lines, contentLength, lastName }: PreparedHead,
  lastValue: string,
  keepAliveTimeoutMs: number,
): string | undefined {
  if (lines === undefined) return undefined;
  const length = contentLength === undefined ? '' : `content-length: ${contentLength}\r\n`;
  return `${lines}${lastName}: ${lastValue}\r\n${length}${dateField()}${connectionFields(keepAliveTimeoutMs)}\r\n`;
}

let date = '';
let dateSecond = Number.NaN;

function dateField(): string {
  const second = Math.floor(Date.now() / 1_000);
  if (second !== dateSecond) {
    dateSecond = second;
    date = `Date: ${new Date(second * 1_000).toUTCString()}\r\n`;
  }
  return date;
}

let connection = '';
let connectionTimeoutMs = Number.NaN;

function connectionFields(keepAliveTimeoutMs: number): string {
  if (keepAliveTimeoutMs !== connectionTimeoutMs) {
    connectionTimeoutMs = keepAliveTimeoutMs;
    const keepAlive = keepAliveTimeoutMs > 0 ? `Keep-Alive: timeout=${Math.floor(keepAliveTimeoutMs / 1_000)}\r\n` : '';
    connection = `Connection: keep-alive\r\n${keepAlive}`;
  }
  return connection;
}
