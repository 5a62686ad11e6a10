/** From a scenario's request to the bytes on the wire. */
import { LabError } from '../errors.ts';
import type { Headers, HttpRequest } from '../scenario/scenario.ts';
import type { WireRequest } from './connection.ts';

/** As browsers say it; an answer is decompressed only if a check reads it. */
const ACCEPT_ENCODING = 'gzip, deflate, br';
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const PATH = /^\/[!-~]*$/;

export interface WireOptions {
  /** Host and port, for the field `Host`. */
  readonly authority: string;
  readonly keepsBody: boolean;
  /** Later ones replace earlier ones of the same name. */
  readonly headers: readonly (Headers | undefined)[];
  /** Value of the field `Cookie`. */
  readonly cookie: string;
}

/** Throws {@link LabError} for what can't be sent. */
export function encodeRequest(request: HttpRequest, options: WireOptions): WireRequest {
  const content = encodeContent(request);
  const method = request.method ?? (content ? 'POST' : 'GET');
  const path = PATH.test(request.path) ? request.path : encodePath(request.path);
  const fields: Record<string, string> = {
    host: options.authority,
    'accept-encoding': ACCEPT_ENCODING,
    ...(content && { 'content-type': content.type, 'content-length': String(content.bytes.byteLength) }),
  };
  if (!content && !['GET', 'HEAD', 'OPTIONS', 'DELETE'].includes(method)) fields['content-length'] = '0';
  if (options.cookie !== '') fields.cookie = options.cookie;
  for (const headers of [...options.headers, request.headers]) {
    for (const [name, value] of Object.entries(headers ?? {})) {
      if (!NAME.test(name) || !VALUE.test(value)) {
        throw new LabError('ERR_LAB_SCENARIO', `The field ${JSON.stringify(`${name}: ${value}`)} can't be sent.`);
      }
      if (/^(content-length|transfer-encoding|connection)$/i.test(name)) {
        throw new LabError('ERR_LAB_SCENARIO', `A scenario sets no ${name}: the engine does.`);
      }
      fields[name.toLowerCase()] = value;
    }
  }
  let head = `${method} ${path} HTTP/1.1\r\n`;
  for (const name in fields) head += `${name}: ${fields[name]}\r\n`;
  head += '\r\n';
  const bytes = content ? Buffer.concat([Buffer.from(head, 'latin1'), content.bytes]) : head;
  return { method, bytes, keepsBody: options.keepsBody };
}

function encodeContent({
  json,
  form,
  body,
}: HttpRequest): { readonly type: string; readonly bytes: Buffer } | undefined {
  if ([json, form, body].filter((given) => given !== undefined).length > 1) {
    throw new LabError('ERR_LAB_SCENARIO', 'A request has at most one of json, form and body.');
  }
  if (json !== undefined) return { type: 'application/json', bytes: Buffer.from(JSON.stringify(json)) };
  if (form !== undefined) {
    return { type: 'application/x-www-form-urlencoded', bytes: Buffer.from(new URLSearchParams(form).toString()) };
  }
  if (body === undefined) return undefined;
  return { type: 'application/octet-stream', bytes: Buffer.from(body as string) };
}

function encodePath(path: string): string {
  const url = path.startsWith('/') ? URL.parse(path, 'http://host') : null;
  if (url === null || url.host !== 'host') {
    throw new LabError('ERR_LAB_SCENARIO', `A path begins with one slash; it says ${JSON.stringify(path)}.`);
  }
  return url.pathname + url.search;
}
