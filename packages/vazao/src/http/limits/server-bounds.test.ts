/** Slow and oversized clients, over raw sockets. Node's checks are made every second at most, so each test waits for them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import Fastify, { type FastifyInstance } from 'fastify';
import { exchange, open, read } from '../../testing/raw-http.ts';
import { type LimitsOptions, limitsPlugin, type ServerBounds, serverOptions } from './index.ts';

async function start(
  bounds: ServerBounds,
  limits: LimitsOptions = {},
): Promise<AsyncDisposable & { origin: string; app: FastifyInstance }> {
  const app = Fastify({ ...serverOptions(bounds), forceCloseConnections: true });
  await app.register(limitsPlugin, limits);
  app.get('/', async () => 'ok');
  app.get('/large', async () => Buffer.alloc(8 * 1024 * 1024, 'x'));
  app.get('/never', () => new Promise(() => {}));
  app.post('/', async (request) => request.body);
  const origin = await app.listen({ host: '127.0.0.1', port: 0 });
  return { origin, app, [Symbol.asyncDispose]: () => app.close() };
}

const problem = (body: string): unknown => (JSON.parse(body) as { code: string }).code;

test('fields that arrive byte by byte are cut off with 408', async () => {
  await using server = await start({ headerTimeoutMs: 300 });
  const socket = open(server.origin);
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n');
  const drip = setInterval(() => socket.write('X: y\r\n'), 50);
  const { answers, closed } = await read(socket, 2);
  clearInterval(drip);
  assert.equal(answers[0]?.status, 408);
  assert.equal(answers[0]?.headers.connection, 'close');
  assert.equal(problem(answers[0]?.body ?? ''), 'ERR_LIMIT_SLOW_REQUEST');
  assert.ok(closed);
});

test('a body that arrives byte by byte is cut off with 408', async () => {
  await using server = await start({ requestTimeoutMs: 300 });
  const socket = open(server.origin);
  socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n');
  const drip = setInterval(() => socket.write('"'), 50);
  const { answers, closed } = await read(socket, 2);
  clearInterval(drip);
  assert.deepEqual([answers[0]?.status, closed], [408, true]);
});

test('a connection on which nothing is asked is closed', async () => {
  await using server = await start({ headerTimeoutMs: 300, keepAliveTimeoutMs: 200 });
  assert.ok((await read(open(server.origin), 2)).closed, 'without a request');
  const { answers, closed } = await exchange(server.origin, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 2);
  assert.deepEqual([answers[0]?.status, closed], [200, true]);
});

test('a client that does not read its answer is cut off', async () => {
  await using server = await start({}, { readStallMs: 200, readMinBytesPerSecond: 100 * 1024 * 1024 });
  const socket = open(server.origin);
  socket.pause();
  socket.write('GET /large HTTP/1.1\r\nHost: a\r\n\r\n');
  await new Promise<void>((resolve) => {
    const look = setInterval(() => {
      if (server.app.limits?.figures().slowReaders !== 1) return;
      clearInterval(look);
      resolve();
    }, 20);
  });
  socket.resume();
  assert.ok((await read(socket, 1)).closed);
});

test('an answer that does not come is a 503 with Retry-After', async () => {
  await using server = await start({ answerTimeoutMs: 200 });
  const answer = await fetch(`${server.origin}/never`);
  assert.equal(answer.status, 503);
  assert.match(answer.headers.get('retry-after') ?? '', /^[1-5]$/);
  assert.equal(problem(await answer.text()), 'ERR_LIMIT_SLOW_ANSWER');
});

test('bodies and fields that are too large are refused, whatever they say of their length', async () => {
  await using server = await start({ bodyMaxBytes: 100, headerMaxBytes: 2_000 });
  const post = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n';
  const named = await exchange(server.origin, `${post}Content-Length: 101\r\n\r\n`);
  const chunked = await exchange(
    server.origin,
    `${post}Transfer-Encoding: chunked\r\n\r\n65\r\n${'1'.repeat(101)}\r\n`,
  );
  for (const { answers } of [named, chunked]) {
    assert.equal(answers[0]?.status, 413);
    assert.equal(problem(answers[0]?.body ?? ''), 'ERR_LIMIT_BODY');
    assert.equal(answers[0]?.headers.connection, 'close');
  }
  const fields = await exchange(server.origin, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(2_000)}\r\n\r\n`, 2);
  assert.deepEqual([fields.answers[0]?.status, fields.closed], [431, true]);
  const url = await exchange(server.origin, `GET /${'a'.repeat(3_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 2);
  assert.deepEqual([url.answers[0]?.status, url.closed], [431, true], 'the request line counts with the fields');
});

test('connections beyond the most are closed at once, and the others are served', async () => {
  await using server = await start({}, { connectionsMax: 2 });
  const held = [open(server.origin), open(server.origin)];
  await Promise.all(held.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
  const connections = (): Promise<number> =>
    new Promise((resolve) => server.app.server.getConnections((_error, count) => resolve(count)));
  while ((await connections()) < 2) await delay(5);
  assert.ok((await read(open(server.origin), 1)).closed);
  const [first] = held;
  assert.ok(first);
  first.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal((await read(first, 1)).answers[0]?.status, 200);
  for (const socket of held) socket.destroy();
});

test('of requests sent at once, those before a malformed one are answered before it is refused', async () => {
  await using server = await start({});
  const good = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
  const { answers, closed } = await exchange(server.origin, `${good}${good}GET / HTTP/9.9\r\n\r\n${good}`, 4);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 400],
  );
  assert.ok(closed);
});
