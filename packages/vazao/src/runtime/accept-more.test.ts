import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import Fastify from 'fastify';
import { acceptMore, LISTENERS, stopListening } from './accept-more.ts';
import { listen } from './listen.ts';

const linux = { skip: process.platform !== 'linux' && 'the kernel shares connections out among sockets on Linux only' };

/** On eight sockets of one address. */
async function start(): Promise<{ server: Server; port: number }> {
  const server = createServer((_request, response) => response.end('ok'));
  server.listen({ host: '127.0.0.1', port: 0, reusePort: true });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await acceptMore(server, Array(7).fill({ host: '127.0.0.1', port, reusePort: true }), 128);
  return { server, port };
}

async function connectAll(port: number, count: number): Promise<net.Socket[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const socket = net.connect(port, '127.0.0.1');
      socket.on('error', () => {});
      await once(socket, 'connect');
      return socket;
    }),
  );
}

test('a server takes several connections in a turn of its loop', linux, async () => {
  const CLIENTS = 64;
  const app = Fastify({ forceCloseConnections: true });
  await listen(app, { host: '127.0.0.1', port: 0, fds: undefined });
  const { port } = app.server.address() as AddressInfo;
  let turn = 0;
  const taken = new Map<number, number>();
  app.server.on('connection', () => taken.set(turn, (taken.get(turn) ?? 0) + 1));
  const count = (): number => [...taken.values()].reduce((sum, one) => sum + one, 0);
  // The kernel finishes the handshakes of all while this process does nothing.
  const script = `const net = require('node:net'); let n = 0; for (let i = 0; i < ${CLIENTS}; i++) net.connect(${port}, '127.0.0.1', () => ++n === ${CLIENTS} && require('node:fs').writeSync(1, 'x')).on('error', () => {})`;
  const clients = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const buffer = new Int32Array(new SharedArrayBuffer(4));
  const done = new Promise<void>((resolve) => {
    const go = (): void => {
      turn++;
      Atomics.wait(buffer, 0, 0, 25); // a turn as long as under overload
      if (count() === CLIENTS) resolve();
      else setImmediate(go);
    };
    setImmediate(go);
  });
  await done;
  clients.kill();
  await app.close();
  assert.ok(Math.max(...taken.values()) > 1 && Math.max(...taken.values()) <= LISTENERS, JSON.stringify([...taken]));
  assert.ok(taken.size < CLIENTS / 2, `${taken.size} turns for ${CLIENTS} connections`);
});

test('the most connections are those of all sockets together', linux, async () => {
  const { server, port } = await start();
  server.maxConnections = 10;
  const sockets = await connectAll(port, 40);
  const closed = sockets.map((socket) => once(socket.resume(), 'close'));
  let gone = 0;
  await new Promise<void>((resolve) => {
    for (const one of closed) void one.then(() => ++gone === 30 && resolve());
  });
  assert.equal(await new Promise((resolve) => server.getConnections((_error, count) => resolve(count))), 10);
  for (const socket of sockets) socket.destroy();
  server.close();
  await once(server, 'close');
});

test('who stops listening keeps its connections, on all sockets, and closing waits for them', linux, async () => {
  const { server, port } = await start();
  const sockets = await connectAll(port, 20);
  while ((await new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))) !== 20)
    await new Promise((resolve) => setImmediate(resolve));
  stopListening(server);
  const refused = net.connect(port, '127.0.0.1');
  assert.equal(((await once(refused, 'error')) as [NodeJS.ErrnoException])[0].code, 'ECONNREFUSED');
  const answers = sockets.map((socket) => {
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    return new Promise<string>((resolve) => {
      let text = '';
      socket.on('data', (chunk) => (text += chunk));
      socket.on('close', () => resolve(text));
    });
  });
  const closing = once(server, 'close');
  for (const answer of await Promise.all(answers)) assert.match(answer, /^HTTP\/1\.1 200 OK/);
  await closing;
});

test('closing ends all sockets', linux, async () => {
  const { server, port } = await start();
  const [socket] = await connectAll(port, 1);
  server.close();
  server.closeAllConnections();
  await Promise.all([once(server, 'close'), once(socket?.resume() as net.Socket, 'close')]);
  const refused = net.connect(port, '127.0.0.1');
  assert.equal(((await once(refused, 'error')) as [NodeJS.ErrnoException])[0].code, 'ECONNREFUSED');
});
