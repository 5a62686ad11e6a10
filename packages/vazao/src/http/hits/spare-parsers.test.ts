/** What Node does for a connection that waits holds without a parser; the oracle is Node, or the same connection with its parser. */
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { until } from '../../testing/cached-app.ts';
import { byHttp, Client, comparable, get, type Started, startHits } from '../../testing/hits-app.ts';
import { createRandom } from '../../testing/random.ts';
import { SpareParsers, type Waiting } from './spare-parsers.ts';

type Served = Socket & { readonly parser?: object | null };

/** An application, and its ends of the connections. */
async function start(options: Partial<Parameters<typeof startHits>[0]> = {}): Promise<Started & { served: Served[] }> {
  const served: Served[] = [];
  const setting = await startHits({
    by: 'text',
    ...options,
    register: async (created) => {
      created.app.server.on('connection', (socket: Served) => served.push(socket));
      await options.register?.(created);
    },
  });
  return Object.assign(setting, { served });
}

const isReleased = ({ parser, destroyed }: Served): boolean => parser === null && !destroyed;
const untilReleased = (served: readonly Served[]): Promise<void> =>
  until('the parsers are gone', () => served.every(isReleased));

/** A connection that was answered, and has no parser any more. */
async function openReleased({ origin, served }: Started & { served: Served[] }): Promise<[Client, Served]> {
  const client = new Client(origin);
  await client.ask(get('/short'));
  const socket = served.at(-1) as Served;
  assert.ok(socket.parser);
  await untilReleased([socket]);
  return [client, socket];
}

const BODY = '{"a":1}';
const POST = `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n`;
const PIECES = [
  get('/short'),
  get('/long'),
  get('/echo?a=1'),
  get('/later'),
  get('/none'),
  get('/short').replace('GET', 'HEAD'),
  POST + BODY,
  'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\n\r\n',
  get('/short') + get('/echo?b=2'),
  'GET /short HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n',
  get('/short', 'Upgrade: echo\r\nConnection: Upgrade\r\n'),
];

test('whatever comes after a while is answered as if nothing had been taken away', async (context) => {
  const { seed } = createRandom(context);
  await using byText = await start();
  await using byNode = await start({ by: 'Node' });
  const step = fc.record({
    piece: fc.constantFrom(...PIECES),
    /** Where it is cut in two. */
    cut: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 3 }),
    waitsLong: fc.boolean(),
  });
  const traffics = fc.sample(fc.array(step, { minLength: 1, maxLength: 4 }), { seed, numRuns: 200 });
  let released = 0;
  const send = async (setting: typeof byText, steps: (typeof traffics)[number]): Promise<string> => {
    const client = new Client(setting.origin);
    for (const { piece, cut, waitsLong } of steps) {
      const before = client.bytes.length;
      const at = cut === null ? piece.length : Math.floor(cut * piece.length);
      if (at > 0) client.send(piece.slice(0, at));
      if (at < piece.length) await delay(5);
      if (at < piece.length) client.send(piece.slice(at));
      await until('an answer, or the end', () => client.bytes.length > before || client.isClosed);
      await delay(waitsLong ? 1_400 : 60);
      if (waitsLong && setting === byText) released = Math.max(released, setting.served.filter(isReleased).length);
    }
    client.destroy();
    return `${comparable(client.bytes)}${client.isClosed ? '∎' : ''}`;
  };
  const fill = [get('/short'), get('/long')].map((piece) => ({ piece, cut: null, waitsLong: false }));
  for (const setting of [byText, byNode]) await send(setting, fill);
  const ask = (setting: typeof byText): Promise<string[]> => Promise.all(traffics.map((steps) => send(setting, steps)));
  const [text, node] = [await ask(byText), await ask(byNode)];
  for (const [at, steps] of traffics.entries())
    assert.ok(text[at] === node[at], showDifference(steps, text[at], node[at]));
  assert.ok(released > 20, `${released} connections were without a parser at once`);
});

function showDifference(steps: unknown, text = '', node = ''): string {
  const begin = Math.max(0, [...text].findIndex((character, at) => character !== node[at]) - 200);
  return JSON.stringify({ steps, text: text.slice(begin, begin + 400), node: node.slice(begin, begin + 400) });
}

test('hits need no parser; what Node reads gets one, and loses it again', async () => {
  await using setting = await start();
  const [client, socket] = await openReleased(setting);
  const before = setting.parsed();
  const listeners = (): number[] => socket.eventNames().map((name) => socket.listenerCount(name));
  const counts = listeners();
  for (let at = 0; at < 3; at++) {
    assert.match(await client.ask(get('/short')), /^cache-status: vazao; hit/m);
    assert.equal(setting.parsed(), before + at);
    assert.equal(socket.parser, null);
    assert.match(await client.ask(get('/echo')), /"url":"\/echo"/);
    assert.ok(socket.parser);
    await untilReleased([socket]);
    assert.deepEqual(listeners(), counts, 'no listener stays behind');
  }
  assert.match(await client.ask(POST + BODY), /"method":"POST"/);
  client.destroy();
  await until('the end', () => socket.destroyed);
});

test('a request that comes slowly has its time from its first byte', async () => {
  await using setting = await start({
    plugin: { fastify: byHttp({ headersTimeout: 1_000, requestTimeout: 1_000, connectionsCheckingInterval: 100 }) },
  });
  const [client] = await openReleased(setting);
  const before = client.bytes.length;
  client.send('GET /sho');
  await until('the end', () => client.isClosed);
  assert.match(client.bytes.slice(before), /^HTTP\/1\.1 408/);
});

test('a connection that waits too long is closed', async () => {
  await using setting = await start({ plugin: { fastify: { keepAliveTimeout: 1_000 } } });
  const [client, socket] = await openReleased(setting);
  assert.equal(socket.timeout, 2_000);
  await until('the end', () => client.isClosed && socket.destroyed);
});

test('a connection is closed when its client ends or breaks it', async () => {
  await using setting = await start();
  for (const leave of ['end', 'resetAndDestroy'] as const) {
    const [other, served] = await openReleased(setting);
    other.leave(leave);
    await until('the end', () => served.destroyed);
  }
});

test('a server that closes closes them, and not before a hit has left', async () => {
  const client = Promise.withResolvers<Client>();
  let idle: Served | undefined;
  {
    await using setting = await start({ plugin: { plugin: { bodyMaxBytes: 64 * 2 ** 20 } }, register: large });
    await (await fetch(`${setting.origin}/large`)).arrayBuffer();
    const [sending] = await openReleased(setting);
    [, idle] = await openReleased(setting);
    sending.pause();
    sending.send(get('/large'));
    await until('it is on its way', () => setting.served.some(({ writableLength }) => writableLength > 0));
    client.resolve(sending);
    setTimeout(() => sending.resume(), 300);
  }
  assert.ok(idle?.destroyed);
  const { bytes } = await client.promise;
  assert.equal(bytes.length - bytes.lastIndexOf('\r\n\r\n') - 4, LARGE_BYTES, 'all of the answer');
});

const LARGE_BYTES = 16 * 2 ** 20;
const large: NonNullable<Parameters<typeof startHits>[0]['register']> = ({ app, read }) =>
  void app.get('/large', { config: { cache: true, compress: false } }, async (_request, reply) => {
    const text = await read();
    return reply.type('text/plain').send(text + 'x'.repeat(LARGE_BYTES - text.length));
  });

for (const isWatched of [false, true])
  test(`a hit on its way when the server closes arrives, also with a parser there${isWatched ? ', which somebody watches' : ''}`, async () => {
    let client: Client | undefined;
    {
      await using setting = await start({ plugin: { plugin: { bodyMaxBytes: 64 * 2 ** 20 } }, register: large });
      const { server } = setting.app;
      await (await fetch(`${setting.origin}/large`)).arrayBuffer();
      client = new Client(setting.origin);
      await client.ask(get('/short'));
      client.pause();
      client.send(get('/large'));
      await until('it is on its way', () => setting.served.some(({ writableLength }) => writableLength > 0));
      const socket = setting.served.at(-1) as Served;
      assert.ok(socket.parser);
      if (isWatched) {
        server.prependListener('request', () => {});
        await delay(1_300); // it is looked at meanwhile
      }
      for (let at = 0; at < 20; at++) server.closeIdleConnections();
      assert.ok(socket.listenerCount('finish') < 5, 'to close again adds nothing');
      setTimeout(() => client?.resume(), 300);
    }
    await until('the end', () => client?.isClosed === true);
    const { bytes } = client;
    assert.equal(bytes.length - bytes.lastIndexOf('\r\n\r\n') - 4, LARGE_BYTES, 'all of the answer');
  });

test('empty lines before a request need no parser, and begin no time for its head', async () => {
  await using setting = await start({
    plugin: { fastify: byHttp({ headersTimeout: 500, connectionsCheckingInterval: 100 }) },
  });
  const [client, socket] = await openReleased(setting);
  client.send('\r\n');
  await delay(1_000);
  assert.equal(socket.parser, null);
  assert.match(await client.ask(`\r\n${get('/echo')}`), /^HTTP\/1\.1 200/);
  client.destroy();
});

test('a connection that the application does not read is left alone', async () => {
  await using setting = await start();
  const client = new Client(setting.origin);
  await client.ask(get('/short'));
  const [socket] = setting.served as [Served];
  socket.pause();
  client.send(get('/short'));
  await delay(1_500);
  assert.ok(socket.parser);
  const before = client.bytes.length;
  socket.resume();
  await until('the answer', () => client.bytes.length > before);
  client.destroy();
});

test('times that the application changes hold for connections that are there', async () => {
  await using setting = await start();
  const { server } = setting.app;
  const [client, socket] = await openReleased(setting);
  server.keepAliveTimeout = 5_000;
  assert.match(await client.ask(get('/short')), /^keep-alive: timeout=5/im);
  assert.equal(socket.timeout, 6_000);
  server.setTimeout();
  assert.match(await client.ask(get('/echo')), /^HTTP\/1\.1 200/);
  client.destroy();
});

test('a timer of ours runs in no request of the application', async () => {
  const storage = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  await using setting = await start({
    plugin: { fastify: { keepAliveTimeout: 500 } },
    register: ({ app }) => {
      app.addHook('onRequest', async ({ url }) => storage.enterWith(url));
      app.server.on('timeout', (socket: Socket) => {
        seen.push(storage.getStore());
        socket.destroy();
      });
    },
  });
  await openReleased(setting);
  const [client] = await openReleased(setting);
  await until('the end', () => client.isClosed);
  assert.deepEqual(seen, [undefined, undefined]);
});

test('a stream that is no socket is left to Node', async () => {
  await using setting = await start();
  const [client, served] = duplexPair() as [Duplex, Duplex];
  setting.app.server.emit('connection', served);
  client.write(get('/short'));
  await once(client, 'readable');
  await delay(1_300);
  client.resume();
  setting.app.server.closeIdleConnections();
  await until('the end', () => served.destroyed);
});

test('connections that are closed are not held, however many there are', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const parsers = new SpareParsers(createServer(), () => true);
  const note = (): WeakRef<Waiting> => {
    const waiting = { socket: { destroyed: true } as Socket, isWaiting: true, parse: () => {}, onReleased: () => {} };
    parsers.noteWaiting(waiting);
    return new WeakRef(waiting);
  };
  const noted = Array.from({ length: 20_000 }, note);
  await delay(1_500);
  collect();
  assert.equal(noted.filter((one) => one.deref()).length, 0);
});

const KEPT: readonly (readonly [name: string, options: Partial<Parameters<typeof startHits>[0]>])[] = [
  [
    'who listens to `connect`',
    {
      register: ({ app }) =>
        void app.server.on('connect', () => {
          throw new Error('told of a connection that nobody asked for');
        }),
    },
  ],
  ['who counts the requests of a connection', { plugin: { fastify: { maxRequestsPerSocket: 5 } } }],
  ['who listens to requests', { register: ({ app }) => void app.server.on('request', () => {}) }],
];
for (const [name, options] of KEPT)
  test(`nothing is taken away from ${name}`, async () => {
    await using setting = await start(options);
    const client = new Client(setting.origin);
    await client.ask(get('/short'));
    await delay(1_500);
    assert.ok(setting.served[0]?.parser);
    assert.match(await client.ask(get('/short')), /^HTTP\/1\.1 200/);
    client.destroy();
  });
