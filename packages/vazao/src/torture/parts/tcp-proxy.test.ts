import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { untilTold } from './bounded.ts';
import { startTcpProxy } from './tcp-proxy.ts';

const BOUND_MS = 60_000;

/** A server that answers each connection with its name, and then says back what it hears after the first byte. */
async function startEcho(
  name: string,
): Promise<AsyncDisposable & { url: string; received: () => number; accepted: () => number }> {
  const sockets = new Set<Socket>();
  let received = 0;
  let accepted = 0;
  const server = createServer((socket) => {
    accepted++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('readable', () => {
      socket.read(1);
      socket.on('data', (chunk) => {
        received += chunk.length;
      });
      socket.write(`${name} `);
      socket.pipe(socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return {
    url: `tcp://127.0.0.1:${address.port}`,
    received: () => received,
    accepted: () => accepted,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

async function open(port: number): Promise<{ socket: Socket; heard: () => string }> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    text += chunk;
  });
  await once(socket, 'connect');
  socket.write('!');
  return { socket, heard: () => text };
}

const until = (what: string, isTrue: () => boolean): Promise<boolean> => untilTold(what, isTrue, BOUND_MS);

test('what is delayed or held up arrives in the order in which it was sent', async () => {
  await using echo = await startEcho('first');
  await using proxy = await startTcpProxy(echo.url);
  const { socket, heard } = await open(proxy.port);
  await until('the greeting', () => heard() === 'first ');
  proxy.delay(200);
  socket.write('a');
  await until('a is held up', () => socket.bytesWritten === 2);
  await new Promise(setImmediate);
  proxy.delay(1);
  socket.write('b');
  await until('both', () => heard().length === 8);
  assert.equal(heard(), 'first ab');
  proxy.pause();
  socket.write('c');
  await until('c is sent', () => socket.bytesWritten === 4);
  assert.equal(echo.received(), 2);
  proxy.resume();
  await until('c', () => heard() === 'first abc');
  socket.destroy();
});

test('a paused connection holds no more than the network would, and loses nothing', async () => {
  await using echo = await startEcho('first');
  await using proxy = await startTcpProxy(echo.url);
  const { socket, heard } = await open(proxy.port);
  await until('the greeting', () => heard() === 'first ');
  proxy.pause();
  const chunks = 1024;
  for (let n = 0; n < chunks; n += 1) socket.write(Buffer.alloc(65_536, 'x'));
  let before = Number.POSITIVE_INFINITY;
  let looksStill = 0;
  await until('it takes no more', () => {
    looksStill = socket.writableLength === before ? looksStill + 1 : 0;
    before = socket.writableLength;
    return looksStill === 20;
  });
  assert.ok(socket.writableLength > 0, 'the writer is made to wait');
  proxy.resume();
  await until('all of it', () => heard().length === chunks * 65_536 + 6);
  socket.destroy();
});

test('a proxy that points elsewhere sends new connections there, and leaves open ones', async () => {
  await using first = await startEcho('first');
  await using second = await startEcho('second');
  await using proxy = await startTcpProxy(first.url);
  const old = await open(proxy.port);
  await until('the first answers', () => old.heard() === 'first ');
  proxy.pointTo(second.url);
  const next = await open(proxy.port);
  await until('the second answers', () => next.heard() === 'second ');
  old.socket.write('still here');
  await until('the old connection lives', () => old.heard() === 'first still here');
  proxy.drop();
  await until('both are broken', () => old.socket.closed && next.socket.closed);
});

test('a connection that is refused is none for the server', async () => {
  await using echo = await startEcho('first');
  await using proxy = await startTcpProxy(echo.url);
  const before = await open(proxy.port);
  await until('the greeting', () => before.heard() === 'first ');
  proxy.cut();
  await until('it is broken', () => before.socket.closed);
  const refused = await open(proxy.port);
  await until('it is refused', () => refused.socket.closed);
  proxy.resume();
  const after = await open(proxy.port);
  await until('the greeting of the next', () => after.heard() === 'first ');
  assert.equal(echo.accepted(), 2);
  after.socket.destroy();
});

test('a connection that is opened while all is paused is open when it goes on', async () => {
  await using echo = await startEcho('first');
  await using proxy = await startTcpProxy(echo.url);
  proxy.pause();
  const { socket, heard } = await open(proxy.port);
  await until('the first byte is sent', () => socket.bytesWritten === 1);
  await new Promise(setImmediate);
  assert.equal(echo.accepted(), 0);
  proxy.resume();
  await until('the greeting', () => heard() === 'first ');
  socket.destroy();
});
