/**
 * Reads HTTP/1.1 answers (RFC 9112) as their bytes come, one after the other, and keeps no more of them than was asked for.
 *
 *   head ──► length ─────────────► done      content-length; nothing for HEAD, 204 and 304
 *     │ ───► size ⇄ chunk ─► trailer ─► done transfer-encoding: chunked
 *     └────► until the end ──────► done      neither; the end of the connection ends the answer
 *
 * Strict: what a client could understand in two ways is malformed. Bounded: {@link HEAD_BYTES_MAX}, the body by option.
 */

export const HEAD_BYTES_MAX: number = 64 * 1024;
const SIZE_LINE_BYTES_MAX = 1_024;
const TRAILER_BYTES_MAX = 16 * 1024;

export interface ResponseHead {
  readonly status: number;
  /** By name in lower case; several fields of a name in order. */
  readonly fields: ReadonlyMap<string, string | readonly string[]>;
  readonly keepsAlive: boolean;
}

export type Parsed = 'more' | 'done' | 'malformed';

type State = 'head' | 'length' | 'until the end' | 'size' | 'chunk' | 'chunk end' | 'trailer' | 'done';

const LF = 0x0a;
const CR = 0x0d;
const END_OF_HEAD = '\r\n\r\n';

export class ResponseParser {
  /** Of the answer that is complete, or whose body is on its way. */
  head: ResponseHead | undefined;
  /** What makes it malformed. */
  reason = '';
  /** Of heads and bodies, as they came over the wire. */
  bytes = 0;
  readonly #bodyBytesMax: number;
  #state: State = 'done';
  #isHead = false;
  /** What came of a head, of a line, before its end did. */
  #text = '';
  #missing = 0;
  #bodyBytes = 0;
  #kept: Buffer[] | undefined;

  constructor(bodyBytesMax: number) {
    this.#bodyBytesMax = bodyBytesMax;
  }

  /** The next answer is that to a request with this method. */
  begin(method: string, keepsBody: boolean): void {
    this.#state = 'head';
    this.#isHead = method === 'HEAD';
    this.#text = '';
    this.#bodyBytes = 0;
    this.#kept = keepsBody ? [] : undefined;
    this.head = undefined;
    this.bytes = 0;
  }

  /** The body, if it was to be kept. */
  get body(): Buffer {
    return this.#kept === undefined ? Buffer.alloc(0) : Buffer.concat(this.#kept);
  }

  /** Takes the bytes in `chunk[0, end)`, which may change after the call. */
  push(chunk: Buffer, end: number): Parsed {
    this.bytes += end;
    let at = 0;
    if (this.#state === 'done') return this.#malformed('it came without a request');
    while (at < end) {
      switch (this.#state) {
        case 'head': {
          const next = this.#readHead(chunk, at, end);
          if (next < 0) return next === NEED_MORE ? 'more' : 'malformed';
          at = next;
          break;
        }
        case 'length':
        case 'chunk':
        case 'until the end': {
          const size = this.#state === 'until the end' ? end - at : Math.min(this.#missing, end - at);
          this.#bodyBytes += size;
          if (this.#bodyBytes > this.#bodyBytesMax) return this.#tooLarge();
          this.#kept?.push(Buffer.from(chunk.subarray(at, at + size)));
          at += size;
          this.#missing -= size;
          if (this.#missing === 0 && this.#state !== 'until the end') {
            this.#state = this.#state === 'length' ? 'done' : 'chunk end';
          }
          break;
        }
        case 'chunk end':
        case 'size':
        case 'trailer': {
          const next = this.#readLine(chunk, at, end);
          if (next < 0) return next === NEED_MORE ? 'more' : 'malformed';
          at = next;
          break;
        }
        case 'done':
          return this.#malformed('more bytes came than the answer has');
      }
    }
    return this.#state === 'done' ? 'done' : 'more';
  }

  /** The connection ended. */
  end(): Parsed {
    if (this.#state !== 'until the end') return 'more';
    this.#state = 'done';
    return 'done';
  }

  /** Returns where the head ended, or one of the negative words. */
  #readHead(chunk: Buffer, from: number, end: number): number {
    let text: string;
    let next: number;
    if (this.#text === '') {
      const found = chunk.indexOf(END_OF_HEAD, from, 'latin1');
      next = found < 0 || found + 4 > end ? -1 : found + 4;
      text = chunk.toString('latin1', from, next < 0 ? end : next);
    } else {
      const before = this.#text.length;
      text = this.#text + chunk.toString('latin1', from, Math.min(end, from + HEAD_BYTES_MAX));
      // The end may have been cut in two.
      const found = text.indexOf(END_OF_HEAD, Math.max(0, before - 3));
      next = found < 0 ? -1 : from + found + 4 - before;
      if (found >= 0) text = text.slice(0, found + 4);
    }
    if (text.length > HEAD_BYTES_MAX) {
      this.#malformed(`its head is larger than ${HEAD_BYTES_MAX} bytes`);
      return WRONG;
    }
    if (next < 0) {
      this.#text = text;
      return NEED_MORE;
    }
    this.#text = '';
    const head = parseHead(text);
    if (typeof head === 'string') {
      this.#malformed(head);
      return WRONG;
    }
    if (head.status < 200) return next; // Interim: the answer proper is still to come.
    this.head = head;
    const framed = this.#frame(head);
    if (framed === undefined) return next;
    this.#malformed(framed);
    return WRONG;
  }

  /** RFC 9112, section 6.3. Returns what is wrong. */
  #frame(head: ResponseHead): string | undefined {
    const { status, fields } = head;
    const coding = fields.get('transfer-encoding');
    const length = fields.get('content-length');
    const size = length === undefined ? undefined : readLength(length);
    if (size !== undefined && Number.isNaN(size)) return `content-length is ${JSON.stringify(length)}`;
    if (coding !== undefined && size !== undefined) return 'it has both transfer-encoding and content-length';
    if (coding !== undefined && (typeof coding !== 'string' || coding.toLowerCase() !== 'chunked')) {
      return `transfer-encoding is ${JSON.stringify(coding)}; nothing but chunked was asked for`;
    }
    if (this.#isHead || status === 204 || status === 304) this.#state = 'done';
    else if (coding !== undefined) this.#state = 'size';
    else if (size === undefined) this.#state = 'until the end';
    else {
      if (size > this.#bodyBytesMax) return this.#tooLargeReason();
      this.#missing = size;
      this.#state = size === 0 ? 'done' : 'length';
    }
    return undefined;
  }

  #readLine(chunk: Buffer, from: number, end: number): number {
    const found = chunk.indexOf(LF, from);
    const complete = found >= 0 && found < end;
    const next = complete ? found + 1 : end;
    this.#text += chunk.toString('latin1', from, next);
    const bound = this.#state === 'trailer' ? TRAILER_BYTES_MAX : SIZE_LINE_BYTES_MAX;
    if (this.#text.length > bound) {
      this.#malformed(`a line of the chunked body is longer than ${bound} bytes`);
      return WRONG;
    }
    if (!complete) return NEED_MORE;
    if (this.#text.charCodeAt(this.#text.length - 2) !== CR) {
      this.#malformed('a line of the chunked body does not end with CR LF');
      return WRONG;
    }
    const line = this.#text.slice(0, -2);
    this.#text = '';
    return this.#takeLine(line) ? next : WRONG;
  }

  #takeLine(line: string): boolean {
    if (this.#state === 'chunk end') {
      this.#state = 'size';
      return line === '' || this.#malformed('a chunk is longer than its size') === 'more';
    }
    if (this.#state === 'trailer') {
      if (line === '') this.#state = 'done';
      return true;
    }
    const size = /^([0-9a-fA-F]{1,8})[ \t]*(?:;.*)?$/.exec(line)?.[1];
    if (size === undefined) {
      this.#malformed(`${JSON.stringify(line)} is no size of a chunk`);
      return false;
    }
    this.#missing = Number.parseInt(size, 16);
    this.#state = this.#missing === 0 ? 'trailer' : 'chunk';
    return true;
  }

  #tooLarge(): Parsed {
    return this.#malformed(this.#tooLargeReason());
  }

  #tooLargeReason(): string {
    return `its body is larger than ${this.#bodyBytesMax} bytes`;
  }

  #malformed(reason: string): Parsed {
    this.reason = reason;
    this.#state = 'done';
    return 'malformed';
  }
}

const NEED_MORE = -1;
const WRONG = -2;
/** RFC 9110: token, and field content with obsolete text. */
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/;

/** Returns what is wrong instead, as a text. */
function parseHead(text: string): ResponseHead | string {
  const lineEnd = text.indexOf('\r\n');
  const line = text.slice(0, lineEnd);
  const status = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/.exec(line);
  if (!status) return `${JSON.stringify(line.slice(0, 80))} is no status line of HTTP/1.1`;
  const fields = new Map<string, string | string[]>();
  for (let at = lineEnd + 2; at < text.length - 2; ) {
    const end = text.indexOf('\r\n', at);
    const field = FIELD.exec(text.slice(at, end));
    if (!field) return `${JSON.stringify(text.slice(at, Math.min(end, at + 80)))} is no field`;
    const name = (field[1] as string).toLowerCase();
    const value = field[2] as string;
    const before = fields.get(name);
    if (before === undefined) fields.set(name, value);
    else if (typeof before === 'string') fields.set(name, [before, value]);
    else before.push(value);
    at = end + 2;
  }
  if (status[2] === '101') return 'it changes to another protocol, which nobody asked for';
  const connection = String(fields.get('connection') ?? '').toLowerCase();
  const keepsAlive = status[1] === '1' ? !/\bclose\b/.test(connection) : /\bkeep-alive\b/.test(connection);
  return { status: Number(status[2]), fields, keepsAlive };
}

/** Equal values of several fields count as one. */
function readLength(value: string | readonly string[]): number {
  const values = (typeof value === 'string' ? value : value.join(',')).split(',').map((one) => one.trim());
  const [first = ''] = values;
  return /^\d{1,15}$/.test(first) && values.every((one) => one === first) ? Number(first) : Number.NaN;
}
