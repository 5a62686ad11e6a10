/**
 * The head of a plain request: a GET of HTTP/1.1 without a body, all of it in one piece, and nothing else after it. It understands
 * much less than RFC 9112 allows, and nothing that could be read in two ways: whatever is not written as browsers, proxies and
 * libraries write it is for Node's parser. What it does take, that parser reads just so (`plain-head.test.ts` compares them).
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';

/** What is longer is no hit's business. */
const HEAD_MAX_BYTES = 8 * 1024;
/** Names and values. */
const WORDS_MAX = 200;

const ODD = /[^\t\r\n\x20-\x7e]/;
const REQUEST_LINE = /GET (\/[\x21-\x7e]*) HTTP\/1\.1\r\n/y;
/** A name as RFC 9110, 5.6.2 has it, and a value, which may be followed by white space. Each blank can be read in one way alone. */
const FIELD = /([\w!#$%&'*+.^`|~-]+):[ \t]*((?![ \t])[^\r\n]*)\r\n/y;
const HOST = /^[\w.-]+(?::\d{1,5})?$|^\[[\da-f:.]+\](?::\d{1,5})?$/i;

/** Has of Node's `IncomingMessage` what hits are answered by. */
export class PlainRequest {
  readonly method = 'GET';
  readonly httpVersionMajor = 1;
  readonly url: string;
  readonly rawHeaders: string[];
  readonly socket: Socket;
  #headers: IncomingHttpHeaders | undefined;
  #repeatsFields = false;

  constructor(url: string, rawHeaders: string[], socket: Socket) {
    this.url = url;
    this.rawHeaders = rawHeaders;
    this.socket = socket;
  }

  /** By their names in lower case. Not Node's where {@link repeatsFields}. */
  get headers(): IncomingHttpHeaders {
    if (this.#headers) return this.#headers;
    const headers: IncomingHttpHeaders = {};
    const { rawHeaders } = this;
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const name = (rawHeaders[at] as string).toLowerCase();
      if (Object.hasOwn(headers, name) || name === 'set-cookie' || name === '__proto__') this.#repeatsFields = true;
      else headers[name] = rawHeaders[at + 1] as string;
    }
    this.#headers = headers;
    return headers;
  }

  /** Whether a field comes twice, or is one for which Node has a list: how these are joined is its business. */
  get repeatsFields(): boolean {
    return this.headers !== undefined && this.#repeatsFields;
  }
}

/** What a server takes at most. */
export interface HeadBounds {
  readonly bytes: number;
  readonly fields: number;
}

/** Undefined for all that is not such a head. */
export function parsePlainHead(bytes: Buffer, socket: Socket, bounds: HeadBounds): PlainRequest | undefined {
  if (bytes.length > HEAD_MAX_BYTES || bytes.length > bounds.bytes) return undefined;
  // Most of what is none ends here: `G`, and the empty line.
  if (bytes[0] !== 0x47 || bytes[bytes.length - 1] !== 0x0a) return undefined;
  const text = bytes.toString('latin1');
  REQUEST_LINE.lastIndex = 0;
  const url = REQUEST_LINE.exec(text)?.[1];
  if (url === undefined || !text.endsWith('\r\n\r\n') || ODD.test(text)) return undefined;
  const rawHeaders: string[] = [];
  const wordsMax = Math.min(WORDS_MAX, bounds.fields * 2);
  const end = text.length - 2;
  let hosts = 0;
  for (let at = REQUEST_LINE.lastIndex; at < end; at = FIELD.lastIndex) {
    FIELD.lastIndex = at;
    const [, name, written] = FIELD.exec(text) ?? [];
    if (name === undefined || written === undefined || rawHeaders.length >= wordsMax) return undefined;
    const value = written.trimEnd();
    if (name.length === 4 && name.toLowerCase() === 'host') {
      if (++hosts > 1 || !HOST.test(value)) return undefined;
    } else if (!isHarmless(name, value)) return undefined;
    rawHeaders.push(name, value);
  }
  return hosts === 1 ? new PlainRequest(url, rawHeaders, socket) : undefined;
}

/** False for what says where the message ends, what becomes of the connection, or that an answer is awaited before. */
function isHarmless(name: string, value: string): boolean {
  switch (name.length) {
    case 6:
      return name.toLowerCase() !== 'expect';
    case 7:
      return name.toLowerCase() !== 'upgrade' && name.toLowerCase() !== 'trailer';
    case 10:
      return name.toLowerCase() !== 'connection' || value.toLowerCase() === 'keep-alive';
    case 14:
      return name.toLowerCase() !== 'content-length';
    case 16:
      return name.toLowerCase() !== 'proxy-connection';
    case 17:
      return name.toLowerCase() !== 'transfer-encoding';
    default:
      return true;
  }
}
