import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { Connection, findField, parseAnswer, writeRequest } from './connection.ts';

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

test('an answer is whole or not there, however it is cut into pieces', () => {
  const body = 'olá, ß, 😀';
  const bytes = Buffer.byteLength(body);
  const half = Buffer.from(body).subarray(0, 5);
  const rest = Buffer.from(body).subarray(5);
  const answers = [
    Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes}\r\nx: y\r\n\r\n${body}`),
    Buffer.concat([
      Buffer.from(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n`),
      half,
      Buffer.from(`\r\n${rest.length.toString(16)}\r\n`),
      rest,
      Buffer.from('\r\n0\r\n\r\n'),
    ]),
  ];
  fc.assert(
    fc.property(fc.constantFrom(...answers), fc.nat(), (answer, cut) => {
      const length = cut % answer.length;
      assert.equal(parseAnswer(answer.subarray(0, length)), undefined);
      const parsed = parseAnswer(answer);
      assert.equal(parsed?.status, 200);
      assert.equal(parsed.body.toString(), body);
    }),
  );
  assert.equal(parseAnswer(Buffer.from('HTTP/1.1 304 Not Modified\r\netag: "a"\r\n\r\n'))?.status, 304);
});

test('fields are found by their whole name, in capitals or not', () => {
  const head = 'HTTP/1.1 200 OK\r\nx-etag: no\r\nETag: "a"\r\ncache-status: vazao; hit';
  assert.equal(findField(head, 'etag'), '"a"');
  assert.equal(findField(head, 'cache-status'), 'vazao; hit');
  assert.equal(findField(head, 'tag'), undefined);
});

test('one request after the other on one connection; another when the server closes it', async () => {
  let connections = 0;
  const server = createServer((request, response) => {
    if (request.url === '/last') response.setHeader('connection', 'close');
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => response.end(`${request.method} ${request.url} ${body}`));
  });
  server.on('connection', () => connections++);
  const connection = new Connection(await listen(server));
  const ask = async (text: string): Promise<string> => (await connection.ask(text, 5_000)).body.toString();
  assert.equal(await ask(writeRequest('GET', '/a', {})), 'GET /a ');
  assert.equal(await ask(writeRequest('POST', '/b', { x: 'y' }, '"ç"')), 'POST /b "ç"');
  assert.equal(connections, 1);
  assert.equal(await ask(writeRequest('GET', '/last', {})), 'GET /last ');
  assert.equal(connection.isClosed, true);
  await assert.rejects(ask(writeRequest('GET', '/a', {})), { code: 'ERR_TORTURE_CONNECTION_LOST' });
  server.close();
});

test('no answer in time, a broken connection, nobody there: each is an error, and the connection is closed', async () => {
  const server = createServer((request) => {
    if (request.url === '/break') request.socket.destroy();
  });
  const port = await listen(server);
  for (const [url, code] of [
    ['/never', 'ERR_TORTURE_ANSWER_LATE'],
    ['/break', 'ERR_TORTURE_CONNECTION_LOST'],
  ] as const) {
    const connection = new Connection(port);
    await assert.rejects(connection.ask(writeRequest('GET', url, {}), url === '/never' ? 20 : 5_000), { code });
    assert.equal(connection.isClosed, true);
  }
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(new Connection(port).ask(writeRequest('GET', '/', {}), 5_000), {
    code: 'ERR_TORTURE_CONNECTION_LOST',
  });
});
