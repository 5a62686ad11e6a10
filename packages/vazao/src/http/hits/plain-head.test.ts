/** The oracle is Node's parser: what is taken for a plain head is to it one whole request, with the same fields. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { createRandom } from '../../testing/random.ts';
import { parsePlainHead } from './plain-head.ts';

let parsed: IncomingMessage[] = [];
const server = createServer((request, response) => {
  parsed.push(request);
  response.setHeader('connection', 'close').end();
});
after(() => server.close());

async function parseByNode(head: string): Promise<readonly IncomingMessage[]> {
  parsed = [];
  const [client, served] = duplexPair() as [Duplex, Duplex];
  server.emit('connection', served);
  client.end(Buffer.from(head, 'latin1'));
  await text(client).catch(() => {});
  return parsed;
}

const BOUNDS = { bytes: 16_384, fields: 2_000 };
const parse = (head: string, bounds = BOUNDS) => parsePlainHead(Buffer.from(head, 'latin1'), {} as Socket, bounds);

const HEADS: readonly (readonly [name: string, head: string, isPlain: boolean])[] = [
  ['the shortest', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', true],
  ['names in any case', 'GET /?a=%20b HTTP/1.1\r\nhOST: a.b:80\r\nX-y: z\r\n\r\n', true],
  ['an address of IPv6', 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', true],
  ['white space around a value', 'GET / HTTP/1.1\r\nHost:\t a \t\r\nX:\r\nY: \t \r\n\r\n', true],
  ['a connection that is to stay', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n', true],
  ['a field that comes twice', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n', true],
  ['a name of objects', 'GET / HTTP/1.1\r\nHost: a\r\n__proto__: 1\r\nconstructor: 2\r\n\r\n', true],
  ['no host', 'GET / HTTP/1.1\r\n\r\n', false],
  ['two hosts', 'GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n', false],
  ['a host that is none', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', false],
  ['another method', 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n', false],
  ['another version', 'GET / HTTP/1.0\r\nHost: a\r\n\r\n', false],
  ['a whole URL', 'GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n', false],
  ['a space in the target', 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n', false],
  ['bytes beyond ASCII in the target', 'GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n', false],
  ['bytes beyond ASCII in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: \xe9\r\n\r\n', false],
  ['a control character', 'GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n', false],
  ['a line that goes on', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n', false],
  ['white space before the colon', 'GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n', false],
  ['a bare line feed', 'GET / HTTP/1.1\nHost: a\r\n\r\n', false],
  ['a bare carriage return', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r2\r\n\r\n', false],
  ['no end', 'GET / HTTP/1.1\r\nHost: a\r\n', false],
  ['two requests', 'GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', false],
  ['an empty line before', '\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', false],
  ['a length', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n', false],
  ['chunks', 'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n', false],
  ['a connection that is to end', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', false],
  ['that by its other name', 'GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n', false],
  ['an upgrade', 'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n', false],
  ['an answer that is awaited', 'GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n', false],
  ['more fields than anybody has', `GET / HTTP/1.1\r\nHost: a\r\n${'X: 1\r\n'.repeat(200)}\r\n`, false],
  ['more bytes', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(8_192)}\r\n\r\n`, false],
];
for (const [name, head, isPlain] of HEADS)
  test(`${isPlain ? 'plain' : "left to Node's parser"}: ${name}`, async () => {
    assert.equal(parse(head) !== undefined, isPlain);
    await assertAsNode(head);
  });

test("left to Node's parser: more than the server takes", () => {
  const head = 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n';
  assert.ok(parse(head, { bytes: head.length, fields: 2 }));
  assert.equal(parse(head, { bytes: head.length - 1, fields: 2 }), undefined);
  assert.equal(parse(head, { bytes: head.length, fields: 1 }), undefined);
});

// In a form of the pattern that could read a blank in two ways, each of these took 90 ms.
test('a head is read once through, also one of blanks alone', { timeout: 30_000 }, () => {
  const head = `GET / HTTP/1.1\r\nHost: a\r\nX:${' '.repeat(8_000)}\n\r\n\r\n`;
  for (let at = 0; at < 2_000; at++) assert.equal(parse(head), undefined);
});

/** Heads put together at random: each piece is as it should be nine times of ten. */
const mostly = (good: readonly string[], bad: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof({ arbitrary: fc.constantFrom(...good), weight: 9 }, { arbitrary: fc.constantFrom(...bad), weight: 1 });
const end = mostly(['\r\n'], ['\n', '\r', '\r\n ', '']);
const field = fc
  .tuple(
    mostly(
      ['x', 'X-Y', 'Cookie', 'cookie', 'Accept', '__proto__', 'Set-Cookie', 'Connection', 'Referer', 'Age'],
      ['Host', 'Content-Length', 'Transfer-Encoding', 'Upgrade', 'Expect', 'x ', '', 'é'],
    ),
    mostly([':', ': ', ':\t'], [' :']),
    mostly(
      ['a', '', 'a, b', 'a=1; b=2', '*/*', 'keep-alive', '0', ' a ', '\ta\t'],
      ['close', '5', 'chunked', 'é', '\x01'],
    ),
    end,
  )
  .map((parts) => parts.join(''));
const anyHead = fc
  .tuple(
    mostly(['GET '], ['HEAD ', 'POST ', 'get ', 'GET  ']),
    mostly(['/', '/a?b=c', '/a%20b', '//a', '/#', '/?'], ['*', 'http://a/', '/a b', '']),
    mostly([' HTTP/1.1'], [' HTTP/1.0', ' HTTP/2.0', '']),
    end,
    mostly(['Host: a\r\n', 'host:a.b:80\r\n'], ['Host: a b\r\n', '']),
    fc.array(field, { maxLength: 5 }).map((fields) => fields.join('')),
    mostly(['\r\n'], ['', '\n', '\r\nGET', '\r\n\r\n']),
  )
  .map((parts) => parts.join(''));

test('whatever is taken for a plain head, Node reads just so', async (context) => {
  const { seed } = createRandom(context);
  let plain = 0;
  await fc.assert(
    fc.asyncProperty(anyHead, async (head) => {
      if (await assertAsNode(head)) plain++;
    }),
    { seed, numRuns: 3_000 },
  );
  assert.ok(plain > 300, `${plain} of them were plain`);
});

async function assertAsNode(head: string): Promise<boolean> {
  const request = parse(head);
  if (!request) return false;
  const [read, ...others] = await parseByNode(head);
  const { method, url, rawHeaders } = request;
  const wanted = { method, url, rawHeaders, complete: true };
  const found = { method: read?.method, url: read?.url, rawHeaders: read?.rawHeaders, complete: read?.complete };
  assert.deepEqual(found, wanted, JSON.stringify(head));
  assert.equal(others.length, 0);
  if (!request.repeatsFields) assert.deepEqual({ ...request.headers }, { ...read?.headers }, JSON.stringify(head));
  return true;
}
