import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { until } from '../../testing/cached-app.ts';
import { startRedisServer } from '../../torture/parts/redis-server.ts';
import { openConnection } from './connection.ts';

const redis = await startRedisServer();
after(() => redis.close());

test('a connection whose other end says nothing any more is given up for a new one', async () => {
  const { hostname, port } = new URL(redis.url);
  const sockets: Socket[] = [];
  /** Of the connections that are there by then: as if the host had lost its power. */
  let silent: readonly Socket[] = [];
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    sockets.push(client, upstream);
    for (const socket of [client, upstream]) socket.on('error', () => {});
    client.on('data', (chunk) => silent.includes(client) || upstream.write(chunk));
    upstream.on('data', (chunk) => silent.includes(client) || client.write(chunk));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const url = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const connection = await openConnection({ url, callTimeoutMs: 50, silenceMs: 300 });
  try {
    await until('a connection', () => connection.isReady);
    silent = [...sockets];
    await assert.rejects(connection.call('state', ['{v}meta'], []), /timed out/);
    let answer: unknown;
    await until('an answer', async () => {
      answer = await connection.call('state', ['{v}meta'], []).catch(() => undefined);
      return answer !== undefined;
    });
    assert.ok(Array.isArray(answer));
  } finally {
    connection.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});
