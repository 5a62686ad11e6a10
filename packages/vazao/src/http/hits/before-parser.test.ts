/** The oracle is Node: the same application, where each request goes through its parser. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { type Setting, until } from '../../testing/cached-app.ts';
import { Client, comparable, get, startHits } from '../../testing/hits-app.ts';
import { createRandom } from '../../testing/random.ts';
import { exchange } from '../../testing/raw-http.ts';
import { createTimingToken, limitsPlugin } from '../index.ts';

const SECRET = 'a secret of more than thirty-two characters';

test('a hit is answered with the bytes that Node would write, and Node does not see it', async () => {
  await using setting = await startHits({
    by: 'text',
    plugin: { plugin: { identify: { headers: ['x-user'], user: ({ 'x-user': id }) => (id ? { id } : undefined) } } },
  });
  const { origin, parsed } = setting;
  const etag = /^etag: (.*)$/m.exec((await exchange(origin, get('/fixed'))).bytes)?.[1];
  const cases: readonly (readonly [path: string, fields?: string])[] = [
    ['/short'],
    ['/fixed'],
    ['/fixed', `If-None-Match: ${etag}\r\n`],
    ['/long'],
    ['/long', 'Accept-Encoding: gzip\r\n'],
    ['/missing'],
    ['/nothing'],
    ['/varied', 'X-Who: ana\r\n'],
    ['/varied', 'X-Who: bia\r\n'],
    ['/me', 'X-User: ana\r\n'],
    ['/me'],
  ];
  for (const [path, fields] of cases) {
    const request = get(path, fields);
    await exchange(origin, request); // fills
    const client = new Client(origin);
    const byNode = await client.ask(request);
    const before = parsed();
    const byText = await client.ask(request);
    assert.equal(comparable(byText), comparable(byNode), path);
    assert.match(byText, /^cache-status: vazao; hit/m, path);
    assert.equal(parsed(), before, `${path} ${fields} was parsed`);
    client.destroy();
  }
});

test('what is no plain hit is Node’s, with what its answer needs', async () => {
  await using setting = await startHits({ by: 'text' });
  const { origin, parsed, app } = setting;
  const cases: readonly (readonly [name: string, request: string, answer: RegExp])[] = [
    ['HEAD', get('/short').replace('GET', 'HEAD'), /^HTTP\/1\.1 200/],
    ['a part', get('/short', 'Range: bytes=0-1\r\n'), /^accept-ranges: none/m],
    ['a connection that ends', get('/short', 'Connection: close\r\n'), /^connection: close/im],
    ['a condition that fails', get('/short', 'If-Match: "x"\r\n'), /^HTTP\/1\.1 412/],
    ['a body', get('/short', 'Content-Length: 2\r\n').concat('{}'), /^HTTP\/1\.1 200/],
    ['what is not cached', get('/echo'), /"url":"\/echo"/],
    ['what is not there', get('/none'), /^HTTP\/1\.1 404/],
  ];
  await exchange(origin, get('/short'));
  for (const [name, request, answer] of cases) {
    const client = new Client(origin);
    await client.ask(get('/short'));
    const before = parsed();
    assert.match(await client.ask(request), answer, name);
    assert.equal(parsed(), before + 1, name);
    client.destroy();
  }
  const client = new Client(origin);
  await client.ask(get('/short'));
  await client.ask(get('/echo'));
  const before = parsed();
  await client.ask(get('/short'));
  assert.equal(parsed(), before, 'after a request that was no hit, hits are answered as before');
  client.destroy();
  assert.equal(app.answered.hit[2], 13, 'by whomever they were answered');
});

test('a write is seen by the next read on a connection that is kept', async () => {
  await using setting = await startHits({ by: 'text' });
  const client = new Client(setting.origin);
  for (let at = 0; at < 20; at++) {
    const body = JSON.stringify({ nome: `nome ${at}` });
    const write = `POST /rename HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`;
    await exchange(setting.origin, write);
    assert.match(await client.ask(get('/short')), new RegExp(`"nome ${at}"`));
    assert.match(await client.ask(get('/short')), /^cache-status: vazao; hit/m);
  }
  client.destroy();
});

test('the outer fence counts hits, and refuses the one too many', async () => {
  await using setting = await startHits({
    by: 'text',
    register: ({ app }) => void app.register(limitsPlugin, { rates: { address: { requests: 5, window: '1h' } } }),
  });
  const client = new Client(setting.origin);
  for (let at = 0; at < 5; at++) assert.match(await client.ask(get('/short')), /^HTTP\/1\.1 200/);
  assert.equal(setting.parsed(), 1);
  assert.match(await client.ask(get('/short')), /^HTTP\/1\.1 429/);
  client.destroy();
});

test('an upgrade after hits gets the connection, with all that comes on it', async () => {
  await using setting = await startHits({ by: 'text' });
  const { app, origin } = setting;
  app.server.on('upgrade', (_request, socket: Socket, head) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n');
    socket.write(head);
    socket.on('data', (chunk) => socket.write(chunk)).on('end', () => socket.end());
  });
  const client = new Client(origin);
  await client.ask(get('/short'));
  await client.ask(get('/short'));
  const before = client.bytes.length;
  client.send(`${get('/short', 'Upgrade: echo\r\nConnection: Upgrade\r\n')}one `);
  await until('the head', () => client.bytes.endsWith('one '));
  client.send(get('/short'));
  await until('what was sent', () => client.bytes.endsWith('\r\n\r\n') && client.bytes.includes('one GET /short'));
  assert.equal(client.bytes.slice(before).split('\r\n\r\n')[1], `one ${get('/short').slice(0, -4)}`);
  client.destroy();
});

test('whoever may see timings, or listens to what Node tells of its server, is told of each hit', async () => {
  await using setting = await startHits({
    by: 'text',
    plugin: { plugin: { secret: SECRET, timing: { visibleTo: 'token' } } },
  });
  const token = createTimingToken(SECRET, Date.now() + 60_000);
  const client = new Client(setting.origin);
  await client.ask(get('/short'));
  assert.doesNotMatch(await client.ask(get('/short')), /^server-timing/im);
  assert.match(await client.ask(get('/short', `Vazao-Timing: ${token}\r\n`)), /^server-timing: cache;desc="hit"/im);
  const before = setting.parsed();
  let told = 0;
  const listener = (): void => void told++;
  for (const channel of ['http.server.request.start', 'vazao.request']) {
    subscribe(channel, listener);
    await client.ask(get('/short'));
    unsubscribe(channel, listener);
  }
  await until('both', () => told === 2);
  assert.equal(setting.parsed(), before + 2);
  client.destroy();
});

test('a server that closes has Node answer what comes on a kept connection, which ends', async () => {
  let answer = '';
  const client = Promise.withResolvers<Client>();
  {
    await using setting = await startHits({
      by: 'text',
      register: ({ app }) =>
        void app.addHook('preClose', async () => {
          answer = await (await client.promise).ask(get('/short'));
        }),
    });
    client.resolve(new Client(setting.origin));
    for (let at = 0; at < 2; at++) await (await client.promise).ask(get('/short'));
    assert.equal(setting.parsed(), 1);
  }
  assert.match(answer, /^connection: close/im);
});

const EMPTY_LINE = '\r\n';
/** Pieces of traffic; each ends where a message ends. */
const FILLING = [get('/short'), get('/fixed'), get('/missing'), get('/varied', 'X-Who: ana\r\n')];
const PIECES = [
  ...FILLING,
  get('/short'),
  get('/short'),
  get('/echo?a=1'),
  get('/later'),
  get('/none'),
  get('/short').replace('GET', 'HEAD'),
  get('/short', 'Content-Length: 5\r\n').concat('GET /'),
  get('/short', 'X: 1\r\nX: 2\r\n'),
  `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: ${get('/short').length}\r\n\r\n${get('/short')}`,
  `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\n\r\n`,
  EMPTY_LINE,
  'GET /short HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n',
];
/** What ends a connection, whole: what came after it would be lost, and with it maybe the answer. */
const LAST = [
  get('/short', 'Connection: close\r\n'),
  get('/echo', 'Connection: close\r\n'),
  'GET /short HTTP/1.1\r\n\r\n',
  'GET /short HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  'GET /short HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'GET /short HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n',
];

test('however requests come, cut and put together, the answers are those of Node', async (context) => {
  const { seed } = createRandom(context);
  const register = ({ app }: Setting): void => void app.register(limitsPlugin, {});
  await using byText = await startHits({ by: 'text', register });
  await using byNode = await startHits({ by: 'Node', register });
  for (const { origin } of [byText, byNode]) for (const piece of FILLING) await exchange(origin, piece);
  const before = { text: byText.parsed(), node: byNode.parsed() };
  const traffic = fc.array(
    fc.record({
      piece: fc.constantFrom(...PIECES),
      /** Where it is cut in two. */
      cut: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 3 }),
      waits: fc.constantFrom('for its answer', 'for its answer', 'for its answer', 'a moment', 'no'),
    }),
    { minLength: 1, maxLength: 8 },
  );
  await fc.assert(
    fc.asyncProperty(traffic, fc.constantFrom(...LAST), async (steps, last) => {
      const [text, node] = await Promise.all([byText, byNode].map(({ origin }) => send(origin, steps, last)));
      assert.equal(text, node);
    }),
    { seed, numRuns: 300 },
  );
  const parsed = { text: byText.parsed() - before.text, node: byNode.parsed() - before.node };
  assert.ok(parsed.text < parsed.node, `${JSON.stringify(parsed)}: some were answered without Node`);
});

interface Step {
  readonly piece: string;
  readonly cut: number | null;
  readonly waits: string;
}

/** @param last - sent when all before is answered: what Node refuses it may answer before that */
async function send(origin: string, steps: readonly Step[], last: string): Promise<string> {
  const client = new Client(origin);
  const answers = (): number => client.bytes.match(/HTTP\/1\.1 \d{3} /g)?.length ?? 0;
  let asked = 0;
  for (const { piece, cut, waits } of steps) {
    if (piece !== EMPTY_LINE) asked++;
    const at = cut === null ? piece.length : Math.floor(cut * piece.length);
    client.send(piece.slice(0, at));
    if (at < piece.length) {
      await delay(1);
      client.send(piece.slice(at));
    }
    if (waits === 'a moment') await delay(1);
    if (waits === 'for its answer') await until('its answer', () => client.isClosed || answers() === asked);
  }
  await until('all answers', () => client.isClosed || answers() === asked);
  client.send(last);
  await until('the end', () => client.isClosed);
  return comparable(client.bytes);
}
