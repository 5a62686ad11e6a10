/** Rates, the outer fence, and what is refused before routing, on a listening server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Fastify from 'fastify';
import { cached, createSetting } from '../../testing/cached-app.ts';
import { alone, withCache } from '../../testing/limited-app.ts';
import { exchange } from '../../testing/raw-http.ts';
import { type LimitsOptions, limitsPlugin } from './index.ts';

test('limits by user, by address, and by route: 429 with the fields that say when to come back', async () => {
  const setting = await createSetting({
    plugin: { identify: { headers: ['x-user'], user: ({ 'x-user': id }) => (id ? { id } : undefined) } },
  });
  await using server = { [Symbol.asyncDispose]: () => setting[Symbol.asyncDispose]() };
  void server;
  const { app, platform } = setting;
  await app.register(limitsPlugin, {
    rates: {
      user: { requests: 3, window: '1h' },
      anonymous: { requests: 2, window: '1h' },
      login: { requests: 1, window: '1h' },
    },
  });
  app.get('/free', async (request) => request.user?.id ?? 'nobody');
  app.get('/export', { config: { limit: { requests: 1, window: '2h' } } }, async () => 'exported');
  app.post('/login', { config: { class: 'login' } }, async () => 'in');
  const origin = await platform.listen();
  const get = (path: string, user?: string): Promise<Response> =>
    fetch(origin + path, { headers: user ? { 'x-user': user } : {} });

  const first = await get('/free', 'ana');
  assert.equal(first.headers.get('ratelimit-policy'), '"user";q=3;w=3600');
  assert.equal(first.headers.get('ratelimit'), '"user";r=2;t=3600');
  await get('/free', 'ana');
  assert.equal((await get('/free', 'ana')).status, 200);
  const refused = await get('/free', 'ana');
  assert.equal(refused.status, 429);
  assert.match(refused.headers.get('ratelimit') ?? '', /^"user";r=0;t=3\d\d\d$/);
  assert.equal(
    refused.headers.get('retry-after'),
    /t=(\d+)/.exec(refused.headers.get('ratelimit') ?? '')?.[1],
    'the same moment',
  );
  assert.deepEqual(await refused.json(), {
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Too many requests',
    status: 429,
    detail: 'You have made too many requests. Please wait a little.',
    code: 'ERR_LIMIT_RATE',
    'violated-policies': ['user'],
  });
  assert.equal((await get('/free', 'bia')).status, 200, 'of one user, not of the others');
  assert.equal((await get('/free')).status, 200, 'who is not known is counted by address');
  assert.equal((await get('/free')).status, 200);
  assert.equal((await get('/free')).status, 429);

  const exported = await get('/export', 'bia');
  assert.equal(exported.headers.get('ratelimit'), '"user";r=1;t=3600, "GET /export";r=0;t=7200');
  assert.equal(
    (await fetch(`${origin}/export`, { method: 'HEAD', headers: { 'x-user': 'bia' } })).status,
    429,
    'one with its HEAD',
  );
  const again = await get('/export', 'bia');
  assert.equal(again.status, 429);
  assert.deepEqual(((await again.json()) as Record<string, unknown>)['violated-policies'], ['user', 'GET /export']);

  assert.equal((await fetch(`${origin}/login`, { method: 'POST', headers: { 'x-user': 'carla' } })).status, 200);
  assert.equal(
    (await fetch(`${origin}/login`, { method: 'POST', headers: { 'x-user': 'dora' } })).status,
    429,
    'by address',
  );
});

test('one caller that is over its limit does not become the answer of those who ask for the same', async () => {
  const setting = await createSetting({
    plugin: { identify: { headers: ['x-user'], user: ({ 'x-user': id }) => (id ? { id } : undefined) } },
  });
  await using server = { [Symbol.asyncDispose]: () => setting[Symbol.asyncDispose]() };
  void server;
  const { app, platform, read } = setting;
  await app.register(limitsPlugin, { rates: { user: { requests: 1, window: '1h' } } });
  app.get('/a', cached, () => read());
  app.get('/b', cached, () => read());
  await platform.listen();
  assert.equal((await platform.get('/a', { 'x-user': 'ana' })).status, 200);
  const [over, within] = await Promise.all([
    platform.get('/b', { 'x-user': 'ana' }),
    platform.get('/b', { 'x-user': 'bia' }),
  ]);
  assert.deepEqual([over.status, within.status], [429, 200]);
  const hit = await platform.get('/b', { 'x-user': 'ana' });
  assert.match(hit.cacheStatus, /; hit/, 'a hit costs nothing, and is not counted');
  assert.equal(hit.headers.get('ratelimit'), null);
});

test('the outer fence holds for all of one address, hits among it', async () => {
  await using server = await withCache({ rates: { address: { requests: 4, window: '1h' } } }, ({ app, read }) => {
    app.get('/um', cached, () => read());
  });
  for (let i = 0; i < 4; i++) assert.equal((await fetch(`${server.origin}/um`)).status, 200);
  const refused = await fetch(`${server.origin}/um`);
  assert.equal(refused.status, 429);
  assert.match(refused.headers.get('retry-after') ?? '', /^3\d\d\d$/);
  assert.deepEqual(((await refused.json()) as Record<string, unknown>)['violated-policies'], ['address']);
});

test('behind a proxy that is named, each of its clients has its own limit; one that writes the field itself has not', async () => {
  await using server = await alone(
    { trustProxy: ['127.0.0.1'], rates: { anonymous: { requests: 1, window: '1h' } } },
    (app) => {
      app.get('/', async () => '');
    },
  );
  const from = async (field: string): Promise<number> =>
    (await fetch(server.origin, { headers: { 'x-forwarded-for': field } })).status;
  assert.deepEqual([await from('203.0.113.1'), await from('203.0.113.2'), await from('203.0.113.1')], [200, 200, 429]);
  assert.equal(await from('1.2.3.4, 203.0.113.1'), 429, 'what stands left of it was written by the client');
  assert.deepEqual([await from('2001:db8::1'), await from('2001:db8::ffff')], [200, 429], 'one /64');
});

test('behind a proxy that is named, request.ip and the log have the client’s address, and the host stays what was asked for', async () => {
  const lines: string[] = [];
  await using setting = await createSetting({
    fastify: {
      forceCloseConnections: true,
      logger: { level: 'info', stream: { write: (line) => void lines.push(line) } },
    },
  });
  const { app, platform, read } = setting;
  await app.register(limitsPlugin, { trustProxy: ['127.0.0.1'] });
  app.get('/who', async ({ ip, host, protocol }) => ({ ip, host, protocol }));
  app.get('/cached', cached, async ({ ip }) => ({ ip, nome: await read() }));
  app.get('/host', cached, async ({ host }) => ({ host, nome: await read() }));
  await platform.listen();
  const from = (address: string): Record<string, string> => ({
    'x-forwarded-for': `1.2.3.4, ${address}`,
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
  });
  const who = await platform.get('/who', from('203.0.113.1'));
  const { ip, host, protocol } = JSON.parse(who.text);
  assert.deepEqual([ip, protocol], ['203.0.113.1', 'http']);
  assert.match(host, /^127\.0\.0\.1:\d+$/);
  assert.match(lines.join(''), /"remoteAddress":"203\.0\.113\.1"/);
  for (const address of ['203.0.113.1', '203.0.113.2', '203.0.113.1'])
    assert.equal(JSON.parse((await platform.get('/cached', from(address))).text).ip, address, 'never another’s');
  await platform.get('/host', from('203.0.113.1'));
  assert.doesNotMatch((await platform.get('/host')).text, /evil/);
});

test('an application counts what it likes', async () => {
  await using server = await alone({}, (app) => {
    app.post('/login/:name', async (request) => {
      const { name } = request.params as { name: string };
      return await app.limits?.consume('attempts', { requests: 2, window: '15m' }, name);
    });
  });
  const attempt = async (name: string): Promise<unknown> =>
    ((await (await fetch(`${server.origin}/login/${name}`, { method: 'POST' })).json()) as { isAllowed: boolean })
      .isAllowed;
  assert.deepEqual(
    [await attempt('ana'), await attempt('ana'), await attempt('ana'), await attempt('bia')],
    [true, true, false, true],
  );
});

test('a class, a rate, and the room that do not exist are refused at the start', async () => {
  const start = async (options: LimitsOptions, config = {}): Promise<void> => {
    const app = Fastify();
    await app.register(limitsPlugin, options);
    app.get('/', { config }, async () => '');
    await app.ready();
  };
  await assert.rejects(start({}, { class: 'fast' }), /config\.class is "fast"; there are health, admin/);
  await assert.rejects(start({}, { limit: { requests: 0, window: '1h' } }), /requests is 0/);
  await assert.rejects(start({}, { limit: { requests: 1, window: '100ms' } }), /from '1s' to '30d'/);
  await assert.rejects(start({ admission: { inFlightMax: 2 } }), /from 4/);
  await assert.rejects(
    start({ admission: { inFlightMax: 4, classes: { write: { reserved: 9 } } } }),
    /reserves 12 places/,
  );
});

test('an error handler of the application is the one that is asked', async () => {
  await using server = await alone({}, (app) => {
    app.setErrorHandler((_error, _request, reply) => reply.code(499).send('mine'));
    app.post('/', { bodyLimit: 1 }, async () => '');
  });
  const answer = await fetch(server.origin, {
    method: 'POST',
    body: '"long"',
    headers: { 'content-type': 'application/json' },
  });
  assert.deepEqual([answer.status, await answer.text()], [499, 'mine']);
});

test('what is too long is refused before routing, on a connection that can be used again', async () => {
  await using server = await alone({ urlMaxBytes: 100, headersMax: 10 }, (app) => {
    app.get('/*', async () => 'ok');
  });
  const long = `GET /${'a'.repeat(100)} HTTP/1.1\r\nHost: a\r\n\r\n`;
  const many = `GET / HTTP/1.1\r\nHost: a\r\n${'x: y\r\n'.repeat(10)}\r\n`;
  const good = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
  const { answers } = await exchange(server.origin, long + many + good, 3);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [414, 431, 200],
  );
  assert.equal(JSON.parse(answers[0]?.body ?? '').code, 'ERR_LIMIT_URL');
  for (const length of ['Content-Length: 5', 'Transfer-Encoding: chunked']) {
    const post = `POST /${'a'.repeat(100)} HTTP/1.1\r\nHost: a\r\n${length}\r\n\r\n`;
    const { answers: refused, closed } = await exchange(server.origin, post, 2);
    assert.deepEqual([refused[0]?.status, refused[0]?.headers.connection, closed], [414, 'close', true], length);
  }
});
