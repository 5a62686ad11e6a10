/** What counts as an answer is what RFC 9112 says, wherever the bytes are cut. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { HEAD_BYTES_MAX, type Parsed, ResponseParser } from './response-parser.ts';

interface Outcome {
  readonly parsed: Parsed;
  readonly status: number | undefined;
  readonly body: string;
  readonly reason: string;
}

/** Cuts the text into pieces of `size` bytes, in a buffer that is used again. */
function parse(text: string, { method = 'GET', size = text.length, ends = false, bodyBytesMax = 1_000 } = {}): Outcome {
  const parser = new ResponseParser(bodyBytesMax);
  const shared = Buffer.alloc(Math.max(1, size), 'x');
  parser.begin(method, true);
  let parsed: Parsed = 'more';
  for (let at = 0; at < text.length && parsed !== 'malformed'; at += size) {
    const length = shared.write(text.slice(at, at + size), 'latin1');
    parsed = parser.push(shared, length);
    shared.fill('x');
  }
  if (ends) parsed = parser.end();
  const body = parsed === 'malformed' ? '' : parser.body.toString('latin1');
  return { parsed, status: parser.head?.status, body, reason: parser.reason };
}

/** Every way of cutting must give the same. */
function parseEveryWay(text: string, options: { method?: string; ends?: boolean } = {}): Outcome {
  const whole = parse(text, options);
  for (let size = 1; size < text.length; size++)
    assert.deepEqual(parse(text, { ...options, size }), whole, `by ${size}`);
  return whole;
}

suite('complete answers', () => {
  const cases: [name: string, text: string, body: string, options?: { method?: string; ends?: boolean }][] = [
    ['content-length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', 'hello'],
    ['no reason phrase', 'HTTP/1.1 200\r\ncontent-length:0\r\n\r\n', ''],
    ['the same length twice', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok', 'ok'],
    [
      'chunked',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n',
      'hello0123456789',
    ],
    [
      'chunked with a trailer',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\n\n\r\n0\r\nA: b\r\n\r\n',
      '\n',
    ],
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', '', { method: 'HEAD' }],
    ['304', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', ''],
    ['204', 'HTTP/1.1 204 No Content\r\n\r\n', ''],
    [
      'interim answers before it',
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!',
      '!',
    ],
    ['until the connection ends', 'HTTP/1.1 200 OK\r\n\r\nall of it', 'all of it', { ends: true }],
  ];
  for (const [name, text, body, options] of cases) {
    test(name, () => {
      const outcome = parseEveryWay(text, options);
      assert.equal(outcome.parsed, 'done');
      assert.equal(outcome.body, body);
    });
  }

  test('fields are found by name, several of a name in order', () => {
    const parser = new ResponseParser(10);
    parser.begin('GET', false);
    const text = Buffer.from(
      'HTTP/1.0 200 OK\r\nSet-Cookie: a=1\r\nSET-COOKIE: b=2 \r\nX: \r\nContent-Length: 0\r\n\r\n',
    );
    assert.equal(parser.push(text, text.length), 'done');
    assert.deepEqual(parser.head?.fields.get('set-cookie'), ['a=1', 'b=2']);
    assert.equal(parser.head?.fields.get('x'), '');
    assert.equal(parser.head?.keepsAlive, false);
    assert.equal(parser.bytes, text.length);
  });

  test('one after the other on a connection', () => {
    const parser = new ResponseParser(10);
    for (const body of ['1', '22']) {
      parser.begin('GET', true);
      const text = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      assert.equal(parser.push(text, text.length), 'done');
      assert.equal(parser.body.toString(), body);
      assert.equal(parser.head?.keepsAlive, true);
    }
  });
});

suite('incomplete answers', () => {
  for (const text of [
    '',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n',
  ]) {
    test(JSON.stringify(text.slice(-20)), () => assert.equal(parse(text, { ends: true, size: 3 }).parsed, 'more'));
  }
});

suite('malformed answers', () => {
  const head = 'HTTP/1.1 200 OK\r\n';
  const cases: [name: string, text: string, reason: RegExp][] = [
    ['another protocol', 'SSH-2.0-x\r\n\r\n', /no status line/],
    ['HTTP/2', 'HTTP/2 200\r\n\r\n', /no status line/],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n', /no status line/],
    ['101', 'HTTP/1.1 101 Switching\r\n\r\n', /another protocol/],
    ['space before the colon', `${head}A : b\r\n\r\n`, /no field/],
    ['a folded line', `${head}A: b\r\n c\r\n\r\n`, /no field/],
    ['a bare line feed', `${head}A: b\nC: d\r\n\r\n`, /no field/],
    ['a NUL', `${head}A: b\0\r\n\r\n`, /no field/],
    ['two lengths', `${head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, /content-length/],
    ['a negative length', `${head}Content-Length: -1\r\n\r\n`, /content-length/],
    ['an empty length', `${head}Content-Length:\r\n\r\n`, /content-length/],
    ['length and coding', `${head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, /both/],
    ['another coding', `${head}Transfer-Encoding: gzip, chunked\r\n\r\n`, /chunked was asked/],
    ['no size', `${head}Transfer-Encoding: chunked\r\n\r\n-1\r\n`, /no size/],
    ['a size too long', `${head}Transfer-Encoding: chunked\r\n\r\n123456789\r\n`, /no size/],
    [
      'a chunk longer than its size',
      `${head}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n`,
      /longer than its size/,
    ],
    ['a size line that ends with LF', `${head}Transfer-Encoding: chunked\r\n\r\n1\nab`, /CR LF/],
    ['surplus bytes', `${head}Content-Length: 1\r\n\r\nab`, /more bytes|without a request/],
    ['a body over the bound', `${head}Content-Length: 1001\r\n\r\n`, /larger than 1000/],
    [
      'chunks over the bound',
      `${head}Transfer-Encoding: chunked\r\n\r\n3e9\r\n${'x'.repeat(1_001)}`,
      /larger than 1000/,
    ],
    ['an endless size line', `${head}Transfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(2_000)}`, /longer than 1024/],
    ['an endless head', `${head}A: ${'x'.repeat(HEAD_BYTES_MAX)}`, /larger than 65536/],
  ];
  for (const [name, text, reason] of cases) {
    test(name, () => {
      for (const size of [text.length, 97, 1]) {
        const outcome = parse(text, { size });
        assert.equal(outcome.parsed, 'malformed', `by ${size}`);
        assert.match(outcome.reason, reason);
      }
    });
  }

  test('bytes that nobody asked for', () => {
    const parser = new ResponseParser(10);
    assert.equal(parser.push(Buffer.from('HTTP/1.1 408 Request Timeout\r\n\r\n'), 32), 'malformed');
  });
});
