/**
 * Heads whose fields are one text already. For each response `writeHead` checks and joins its fields anew, which is a tenth of a hit
 * (`npm run bench:serve`). Beneath it, `_storeHeader` takes the status line with whatever lines stand behind it, and adds what
 * belongs to the connection (`Date`, `Connection`, `Keep-Alive`) and the framing. It is Node's own and not documented;
 * `light-my-request` and others have called it for ten years. What it writes is what `writeHead` does, to the byte, with the length
 * as the last field (`prepared-head.test.ts`). Where a response hasn't got it (HTTP/2), has fields of its own already, or a
 * `writeHead` that somebody has wrapped, `writeHead` it is.
 */
import { ServerResponse, STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http';

export interface PreparedHead {
  /** The status line and the fields, but for the length and the last one; undefined: not for us. */
  readonly lines: string | undefined;
  /** The value of `content-length`, which Node must see; undefined: there is none. */
  readonly contentLength: string | undefined;
  /** Name of the field that each sending gives its own value. */
  readonly lastName: string;
}

/** Whoever wraps it (`app.inject`, timings, libraries) wants to know of each head. */
const WRITE_HEAD = ServerResponse.prototype.writeHead;
/** Whether all responses of Node write their heads as they did when this was loaded. */
export function isWriteHeadOriginal(): boolean {
  return ServerResponse.prototype.writeHead === WRITE_HEAD;
}

/** What Node looks for among the fields, to know what else to write. */
const SEEN_BY_NODE = new Set(['connection', 'date', 'expect', 'keep-alive', 'trailer', 'transfer-encoding', 'upgrade']);

/** @param head - name, value, name, value …, as `writeHead` takes them; the last value is left out */
export function prepareHead(status: number, head: readonly string[]): PreparedHead {
  let contentLength: string | undefined;
  const lastName = head.at(-2) as string;
  let lines = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`;
  for (let at = 0; at < head.length - 2; at += 2) {
    const [name, value] = [head[at] as string, head[at + 1] as string];
    if (name === 'content-length') contentLength = value;
    else if (SEEN_BY_NODE.has(name) || !isValid(name, value)) return { lines: undefined, contentLength, lastName };
    else lines += `${name}: ${value}\r\n`;
  }
  // In one piece: a text that was put together stays a tree of its parts, to be walked by each hit.
  return { lines: Buffer.from(lines, 'latin1').toString('latin1'), contentLength, lastName };
}

interface Inner {
  readonly _storeHeader?: (firstLines: string, fields: readonly string[]) => void;
  readonly _expect_continue?: boolean;
  _hasBody: boolean;
}

/** Writes the head, as `writeHead` would. Returns false, and does nothing, where that must do it. */
export function writePreparedHead(
  response: ServerResponse,
  status: number,
  { lines, contentLength, lastName }: PreparedHead,
  lastValue: string,
): boolean {
  const inner = response as unknown as Inner;
  if (lines === undefined || response.writeHead !== WRITE_HEAD || !inner._storeHeader || inner._expect_continue)
    return false;
  if (response.headersSent || response.getHeaderNames().length > 0) return false;
  response.statusCode = status;
  response.statusMessage = STATUS_CODES[status] ?? 'unknown';
  if (status === 204 || status === 304) inner._hasBody = false;
  const seen = contentLength === undefined ? [] : ['content-length', contentLength];
  inner._storeHeader(`${lines}${lastName}: ${lastValue}\r\n`, seen);
  return true;
}

function isValid(name: string, value: string): boolean {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return true;
  } catch {
    return false;
  }
}
