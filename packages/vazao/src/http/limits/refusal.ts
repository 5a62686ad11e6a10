/**
 * How a request is refused: as problem details (RFC 9457), or as a page for a browser, with `Retry-After` where it helps to
 * come back. What is refused under load must be cheap, so each kind has its texts made once.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import { BARE_FIELDS } from '../bare-fields.ts';

export type RefusalCode =
  /** More requests than the process can work on. */
  | 'ERR_LIMIT_OVERLOAD'
  /** More requests than this client may make. */
  | 'ERR_LIMIT_RATE'
  | 'ERR_LIMIT_URL'
  | 'ERR_LIMIT_HEADERS'
  | 'ERR_LIMIT_BODY'
  /** The request did not arrive in time. */
  | 'ERR_LIMIT_SLOW_REQUEST'
  /** The answer was not there in time. */
  | 'ERR_LIMIT_SLOW_ANSWER'
  /** All connections to the database are in use, and the line for them is long, or did not move. */
  | 'ERR_LIMIT_DATABASE'
  /** What came is not HTTP/1.1 as RFC 9112 has it. */
  | 'ERR_LIMIT_MALFORMED';

export interface Refusal {
  readonly code: RefusalCode;
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  /** Whole seconds. */
  readonly retryAfter?: number | undefined;
  /** Names of the policies that were exceeded. */
  readonly violatedPolicies?: readonly string[] | undefined;
}

/** Renders a refusal for a person; returns a whole HTML document. */
export type RefusalPage = (refusal: Refusal) => string;

/** Registered by draft-ietf-httpapi-ratelimit-headers; the others are told by their code. */
const TYPES: Partial<Record<RefusalCode, string>> = {
  ERR_LIMIT_OVERLOAD: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
  ERR_LIMIT_DATABASE: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
  ERR_LIMIT_RATE: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
};

const KINDS: Readonly<Record<RefusalCode, Pick<Refusal, 'status' | 'title' | 'detail'>>> = {
  ERR_LIMIT_OVERLOAD: {
    status: 503,
    title: 'Too busy',
    detail: 'The server is working on as much as it can. Try again in a moment.',
  },
  ERR_LIMIT_RATE: {
    status: 429,
    title: 'Too many requests',
    detail: 'You have made too many requests. Please wait a little.',
  },
  ERR_LIMIT_URL: { status: 414, title: 'URL too long', detail: 'The address of the request is too long.' },
  ERR_LIMIT_HEADERS: {
    status: 431,
    title: 'Header too large',
    detail: 'The fields of the request are too many or too large.',
  },
  ERR_LIMIT_BODY: { status: 413, title: 'Body too large', detail: 'The body of the request is too large.' },
  ERR_LIMIT_SLOW_REQUEST: { status: 408, title: 'Request too slow', detail: 'The request did not arrive in time.' },
  ERR_LIMIT_SLOW_ANSWER: {
    status: 503,
    title: 'Answer too slow',
    detail: 'The answer took too long. Try again in a moment.',
  },
  ERR_LIMIT_DATABASE: { status: 503, title: 'Too busy', detail: 'The database is busy. Try again in a moment.' },
  ERR_LIMIT_MALFORMED: { status: 400, title: 'Malformed request', detail: 'The request is not well-formed HTTP.' },
};

export function refusal(code: RefusalCode, more: Partial<Refusal> = {}): Refusal {
  return { code, ...KINDS[code], ...more };
}

/** The body of a refusal, and what it is. */
export interface RefusalText {
  readonly type: 'application/problem+json' | 'text/html; charset=utf-8';
  readonly body: string;
}

/** @param accept - the `Accept` field of the request: a browser gets a page */
export function renderRefusal(refused: Refusal, accept: string | undefined, page: RefusalPage): RefusalText {
  if (accept !== undefined && /\btext\/html\b/i.test(accept))
    return { type: 'text/html; charset=utf-8', body: page(refused) };
  return { type: 'application/problem+json', body: problemOf(refused) };
}

/** Those that differ in nothing but `Retry-After`, which is a field and not in the body. */
const problems = new Map<RefusalCode, string>();

function problemOf(refused: Refusal): string {
  const { code, violatedPolicies } = refused;
  if (violatedPolicies) return formatProblem(refused);
  let text = problems.get(code);
  if (text === undefined) {
    text = formatProblem(refused);
    problems.set(code, text);
  }
  return text;
}

function formatProblem({ code, status, title, detail, violatedPolicies }: Refusal): string {
  return JSON.stringify({
    type: TYPES[code] ?? 'about:blank',
    title,
    status,
    detail,
    code,
    ...(violatedPolicies && { 'violated-policies': violatedPolicies }),
  });
}

/** The page where the application brings none. It fetches nothing, so that it costs nothing more. */
export function plainPage({ title, detail, retryAfter }: Refusal): string {
  const when = retryAfter === undefined ? '' : `<p>Try again in ${retryAfter} s.</p>`;
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><h1>${title}</h1><p>${detail}</p>${when}</html>`;
}

/** The application's page, or the plain one where that throws or returns no text: a refusal is no place to fail, least of all under load. */
export function reliablePage(page: RefusalPage): RefusalPage {
  let hasFailed = false;
  return (refused) => {
    try {
      const text: unknown = page(refused);
      if (typeof text === 'string') return text;
      Promise.resolve(text).catch(() => {}); // what it would have said comes too late
      throw new TypeError(`it returned ${text === null ? 'null' : typeof text}, and no string`);
    } catch (error) {
      if (!hasFailed)
        process.emitWarning(
          `The page of the limits failed, and a plain one is sent: ${error instanceof Error ? error.message : String(error)}`,
        );
      hasFailed = true;
      return plainPage(refused);
    }
  };
}

/** Whether the head of a request announces one. */
export function hasBody({ headers }: IncomingMessage): boolean {
  const { 'transfer-encoding': coding, 'content-length': length } = headers;
  return coding !== undefined || (length !== undefined && length !== '0');
}

/** Answers with none of the hooks. The connection is closed where a body is still to come: it would be read to be thrown away. */
export function writeRefusal(
  request: IncomingMessage,
  response: ServerResponse,
  refused: Refusal,
  page: RefusalPage,
): void {
  const { type, body } = renderRefusal(refused, request.headers.accept, page);
  const head = ['content-type', type, 'content-length', String(Buffer.byteLength(body)), ...BARE_FIELDS];
  if (refused.retryAfter !== undefined) head.push('retry-after', String(refused.retryAfter));
  const isLast = hasBody(request) || refused.code === 'ERR_LIMIT_MALFORMED';
  if (isLast && request.httpVersionMajor < 2) head.push('connection', 'close');
  response.writeHead(refused.status, head);
  if (request.method === 'HEAD') response.end();
  else response.end(body);
}

const BARE_LINES: readonly string[] = BARE_FIELDS.flatMap((name, at) =>
  at % 2 === 0 ? [`${name}: ${BARE_FIELDS[at + 1]}`] : [],
);

/** The whole message, for a socket on which no request came about; it is the last. */
export function formatLastMessage(refused: Refusal): string {
  const body = problemOf(refused);
  return [
    `HTTP/1.1 ${refused.status} ${STATUS_CODES[refused.status]}`,
    'connection: close',
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    `date: ${new Date().toUTCString()}`,
    ...BARE_LINES,
    '',
    body,
  ].join('\r\n');
}
