/** What Node's server promises those who use it holds for hits that its parser never sees. */
import assert from 'node:assert/strict';
import { type IncomingMessage, type RequestListener, Server, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../testing/cached-app.ts';
import { byHttp, Client, get, startHits } from '../../testing/hits-app.ts';

const FIELD = /^x-watched: yes/m;
const watch = (response: ServerResponse): void => void response.setHeader('x-watched', 'yes');
const WATCHERS: readonly (readonly [name: string, begin: (server: Server) => () => void])[] = [
  [
    'a listener',
    (server) => {
      const listener = (_request: IncomingMessage, response: ServerResponse): void => watch(response);
      server.prependListener('request', listener);
      return () => server.removeListener('request', listener);
    },
  ],
  [
    'a listener in the place of ours',
    (server) => {
      const ours = server.listeners('request') as RequestListener[];
      server.removeAllListeners('request').on('request', (request, response) => {
        watch(response);
        for (const listener of ours) listener(request, response);
      });
      return () => {
        server.removeAllListeners('request');
        for (const listener of ours) server.on('request', listener);
      };
    },
  ],
  [
    'a wrapped `emit`',
    (server) => {
      const { emit } = server;
      Server.prototype.emit = function (this: Server, name: string, ...args: unknown[]) {
        if (name === 'request') watch(args[1] as ServerResponse);
        return emit.call(this, name, ...args);
      } as typeof emit;
      return () => Reflect.deleteProperty(Server.prototype, 'emit');
    },
  ],
  [
    'a wrapped `writeHead`',
    () => {
      const { writeHead } = ServerResponse.prototype;
      ServerResponse.prototype.writeHead = function (this: ServerResponse, ...args: unknown[]) {
        watch(this);
        return writeHead.apply(this, args as Parameters<typeof writeHead>);
      } as typeof writeHead;
      return () => Object.assign(ServerResponse.prototype, { writeHead });
    },
  ],
];

test('whoever stands between Node and the hits, and came later, sees each of them', async (context) => {
  await using setting = await startHits({ by: 'text' });
  const { app, origin, parsed } = setting;
  const client = new Client(origin);
  await client.ask(get('/short'));
  for (const [name, begin] of WATCHERS)
    await context.test(name, async () => {
      const end = begin(app.server);
      for (let at = 0; at < 3; at++) assert.match(await client.ask(get('/short')), FIELD);
      end();
      const before = parsed();
      assert.doesNotMatch(await client.ask(get('/short')), FIELD);
      assert.equal(parsed(), before);
    });
  app.server.maxRequestsPerSocket = 3;
  const others = new Client(origin);
  for (let at = 0; at < 2; at++) assert.match(await others.ask(get('/short')), /^keep-alive: timeout=72, max=3/im);
  assert.match(await others.ask(get('/short')), /^connection: close/im);
  client.destroy();
});

test('a server with responses of its own kind makes each answer', async () => {
  class Watched extends ServerResponse {
    override writeHead(...args: unknown[]): this {
      watch(this);
      return super.writeHead(...(args as [number]));
    }
  }
  await using setting = await startHits({
    by: 'text',
    plugin: { fastify: byHttp({ ServerResponse: Watched as typeof ServerResponse }) },
  });
  const client = new Client(setting.origin);
  for (let at = 0; at < 4; at++) assert.match(await client.ask(get('/short')), FIELD);
  client.destroy();
});

test('bounds of the server on heads hold on a connection that is kept', async () => {
  await using setting = await startHits({ by: 'text', plugin: { fastify: byHttp({ maxHeaderSize: 2_048 }) } });
  const client = new Client(setting.origin);
  for (let at = 0; at < 2; at++) await client.ask(get('/short'));
  assert.match(await client.ask(get('/short', `X: ${'x'.repeat(3_000)}\r\n`)), /^HTTP\/1\.1 431/);
});

test('who asks who a caller is asks once, however the answer comes', async () => {
  let asked = 0;
  const user = async ({ 'x-user': id }: Record<string, string | undefined>) => {
    asked++;
    return id === 'ana' ? { id } : undefined;
  };
  await using setting = await startHits({
    by: 'text',
    plugin: { plugin: { identify: { headers: ['x-user'], user } } },
  });
  const client = new Client(setting.origin);
  for (let at = 0; at < 4; at++) assert.match(await client.ask(get('/me', 'X-User: ana\r\n')), /um ana$/);
  assert.equal(asked, 1);
  assert.equal(setting.parsed(), 1);
  for (let at = 0; at < 10; at++) await client.ask(get('/me', `X-User: ${at}\r\n`));
  assert.equal(asked, 11);
  client.destroy();
});

const LARGE = 'x'.repeat(16 * 1024 * 1024);
/** The time-out of connections that wait, and that of the server, of which Node keeps the one that is in force. */
const TIMEOUTS = [
  { keepAliveTimeout: 100, connectionTimeout: 0, isCut: false },
  { keepAliveTimeout: 60_000, connectionTimeout: 500, isCut: true },
];
for (const { isCut, ...fastify } of TIMEOUTS)
  test(`a client that does not read for a while is ${isCut ? 'cut off' : 'waited for'}, as the server’s time-out says`, async () => {
    await using setting = await startHits({
      by: 'text',
      plugin: { fastify: { ...fastify, forceCloseConnections: true }, plugin: { bodyMaxBytes: 2 * LARGE.length } },
      register: ({ app, read }) =>
        void app.get('/large', { config: { cache: true, compress: false } }, async () => `${await read()} ${LARGE}`),
    });
    await (await fetch(`${setting.origin}/large`)).arrayBuffer();
    const client = new Client(setting.origin);
    await client.ask(get('/short'));
    const before = setting.parsed();
    client.pause();
    client.send(get('/large'));
    await delay(2_500);
    assert.equal(setting.parsed(), before);
    client.resume();
    const isWhole = (): boolean => client.bytes.length > LARGE.length;
    await until('the rest', () => client.isClosed || isWhole());
    assert.equal(isWhole(), !isCut);
    client.destroy();
  });
