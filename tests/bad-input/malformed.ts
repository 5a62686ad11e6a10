/**
 * Requests that are not HTTP as RFC 9112 and RFC 9110 have it, or that servers and proxies in a row have been known to read
 * differently (request smuggling), and what must become of each.
 */
export interface Malformed {
  readonly name: string;
  readonly bytes: string;
  /** The statuses of the answers, in their order. No more may come, or a part of the bytes was read as another request. */
  readonly statuses: readonly number[];
  /** The connection is closed, so that nothing of what was sent can become the beginning of a next request. */
  readonly closes: boolean;
}

const SMUGGLED = 'GET /segredo HTTP/1.1\r\nHost: a\r\n\r\n';
const GET = 'GET /itens/1 HTTP/1.1\r\nHost: a\r\n';
const POST = 'POST /eco HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n';

const refused = (name: string, bytes: string, status = 400): Malformed => ({
  name,
  bytes,
  statuses: [status],
  closes: true,
});

export const MALFORMED: readonly Malformed[] = [
  // RFC 9112, 6.3: a message with both is an attempt to smuggle, or to split.
  refused('CL.TE', `${POST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`),
  refused('TE.CL', `${POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2\r\n{}\r\n0\r\n\r\n${SMUGGLED}`),
  refused('CL.TE behind a tab', `${POST}Content-Length: 6\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`),
  refused(
    'TE.TE: chunked is not the last coding',
    `${POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ),
  refused('TE.TE: an unknown coding', `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`),
  refused(
    'TE.TE: twice, the second unknown',
    `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ),
  refused('TE.TE: quoted', `${POST}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n${SMUGGLED}`),
  refused('TE with a space before the colon', `${POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`),
  refused('TE with a vertical tab', `${POST}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`),
  refused(
    'TE in HTTP/1.0',
    `POST /eco HTTP/1.0\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
  ),
  // RFC 9112, 6.3, 5: differing or invalid lengths.
  refused('two lengths that differ', `${POST}Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}${SMUGGLED}`),
  refused('a list of lengths', `${POST}Content-Length: 2, 40\r\n\r\n{}${SMUGGLED}`),
  refused('the same length twice', `${POST}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}`),
  refused('a length with a sign', `${POST}Content-Length: +2\r\n\r\n{}`),
  refused('a negative length', `${POST}Content-Length: -2\r\n\r\n{}`),
  refused('a length in hexadecimal', `${POST}Content-Length: 0x2\r\n\r\n{}`),
  refused('a length with something behind', `${POST}Content-Length: 2 2\r\n\r\n{}`),
  refused('a length that no number holds', `${POST}Content-Length: 99999999999999999999\r\n\r\n{}`),
  refused('a length with a space before the colon', `${POST}Content-Length : 2\r\n\r\n{}`),
  refused('an empty length', `${POST}Content-Length:\r\n\r\n{}`),
  // RFC 9112, 7.1: chunks.
  refused('a chunk size that is none', `${POST}Transfer-Encoding: chunked\r\n\r\nx\r\n{}\r\n0\r\n\r\n`),
  refused('a negative chunk', `${POST}Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n`),
  refused('a chunk in hexadecimal notation', `${POST}Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n`),
  refused(
    'a chunk size that no number holds',
    `${POST}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n0\r\n\r\n`,
  ),
  refused('a chunk longer than it says', `${POST}Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n`),
  refused('a chunk that ends with a bare LF', `${POST}Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n`),
  refused('an extension of a chunk that hides a line', `${POST}Transfer-Encoding: chunked\r\n\r\n2;\n{}\r\n0\r\n\r\n`),
  refused('extensions of chunks without end', `${POST}Transfer-Encoding: chunked\r\n\r\n2;${'x'.repeat(40_000)}`, 413),
  refused(
    'a body that is larger than it may be',
    `${POST}Transfer-Encoding: chunked\r\n\r\n2711\r\n${'1'.repeat(10_001)}`,
    413,
  ),
  // RFC 9112, 2.2 and 5: lines and fields.
  refused('a field line that is folded', `${GET}X: a\r\n b\r\n\r\n`),
  refused('a first field line that is folded', `GET /itens/1 HTTP/1.1\r\n Host: a\r\n\r\n`),
  refused('a bare LF after a field', `GET /itens/1 HTTP/1.1\r\nHost: a\nX: y\r\n\r\n`),
  refused('bare LFs throughout', `GET /itens/1 HTTP/1.1\nHost: a\n\n`),
  refused('a bare CR in a field', `${GET}X: a\rb\r\n\r\n`),
  refused('NUL in a value', `${GET}X: a\0b\r\n\r\n`),
  refused('NUL in a name', `${GET}X\0: a\r\n\r\n`),
  refused('a space before the colon', `${GET}X : a\r\n\r\n`),
  refused('a name with a space', `${GET}X Y: a\r\n\r\n`),
  refused('a field without a colon', `${GET}X\r\n\r\n`),
  refused('an empty name', `${GET}: a\r\n\r\n`),
  // RFC 9112, 3: the request line.
  refused('HTTP/0.9', `GET /itens/1\r\n\r\n`),
  refused('a version that does not exist', `GET /itens/1 HTTP/9.9\r\nHost: a\r\n\r\n`),
  refused('a version in lower case', `GET /itens/1 http/1.1\r\nHost: a\r\n\r\n`),
  refused('HTTP/1.1 with something behind', `GET /itens/1 HTTP/1.1x\r\nHost: a\r\n\r\n`),
  refused('a target with a space', `GET /itens/ 1 HTTP/1.1\r\nHost: a\r\n\r\n`),
  refused('a target with NUL', `GET /itens/1\0 HTTP/1.1\r\nHost: a\r\n\r\n`),
  refused('a method that does not exist', `GETS /itens/1 HTTP/1.1\r\nHost: a\r\n\r\n`),
  refused('a method in lower case', `get /itens/1 HTTP/1.1\r\nHost: a\r\n\r\n`),
  refused('TLS', `\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03`),
  refused('HTTP/2 without having been asked', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  // RFC 9112, 3.2: Host.
  refused('no Host', `GET /itens/1 HTTP/1.1\r\n\r\n`),
  refused('two Hosts', `GET /itens/1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`),
  refused('the same Host twice', `GET /itens/1 HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n`),
  refused('a Host with a path', `GET /itens/1 HTTP/1.1\r\nHost: a/b\r\n\r\n`),
  refused('a Host with a user', `GET /itens/1 HTTP/1.1\r\nHost: u@a\r\n\r\n`),
  // RFC 9110, 9.3.6, 9.3.8, 10.1.1, 7.8.
  { name: 'CONNECT', bytes: `CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n`, statuses: [], closes: true },
  {
    name: 'TRACE',
    bytes: `TRACE /itens/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    statuses: [404],
    closes: true,
  },
  {
    name: 'an expectation that nobody knows',
    bytes: `${GET}Expect: 200-ok\r\nConnection: close\r\n\r\n`,
    statuses: [417],
    closes: true,
  },
  {
    name: 'an upgrade to HTTP/2',
    bytes: `${GET}Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n`,
    statuses: [200],
    closes: true,
  },
  {
    name: 'an upgrade to WebSocket',
    bytes: `${GET}Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    statuses: [200],
    closes: true,
  },
  {
    name: 'a body of a GET that is a request',
    bytes: `${GET}Content-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}GET /itens/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    statuses: [200, 200],
    closes: true,
  },
  {
    name: 'a body in chunks of a GET that is a request',
    bytes: `${GET}Transfer-Encoding: chunked\r\n\r\n${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\nGET /itens/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    statuses: [200, 200],
    closes: true,
  },
  refused(
    'a trailer that would be a length',
    `${POST}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nContent-Length: 40\r\n\r\n${SMUGGLED}`,
  ),
  {
    name: 'after a malformed one nothing is read',
    bytes: `GET /itens/2 HTTP/1.1\r\nHost: a\r\n\r\n${GET}X : a\r\n\r\n${SMUGGLED}`,
    statuses: [200, 400],
    closes: true,
  },
  {
    name: 'an absolute target, whose authority wins',
    bytes: `GET http://b/anfitriao HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    statuses: [200],
    closes: true,
  },
  {
    name: 'an empty line before the request',
    bytes: `\r\n${GET}Connection: close\r\n\r\n`,
    statuses: [200],
    closes: true,
  },
  {
    name: 'bytes that are no UTF-8 in a URL',
    bytes: `GET /itens/%ff%fe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    statuses: [400],
    closes: true,
  },
  {
    name: 'half of a percent sign',
    bytes: `GET /itens/%4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    statuses: [400],
    closes: true,
  },
  {
    name: 'bytes that are no UTF-8 in a query',
    bytes: `GET /busca?q=%ff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    statuses: [200],
    closes: true,
  },
  {
    name: 'raw bytes above ASCII in a URL',
    bytes: `GET /busca?q=\xe3\x80 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    statuses: [400],
    closes: true,
  },
  {
    name: 'bytes that are no UTF-8 in a body',
    bytes: `${POST}Connection: close\r\nContent-Length: 4\r\n\r\n"\xff\xfe"`,
    statuses: [200],
    closes: true,
  },
  {
    name: 'a body that is no JSON',
    bytes: `${POST}Connection: close\r\nContent-Length: 1\r\n\r\n{`,
    statuses: [400],
    closes: true,
  },
  {
    name: 'a body without a type',
    bytes: `POST /eco HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}`,
    statuses: [415],
    closes: true,
  },
];
