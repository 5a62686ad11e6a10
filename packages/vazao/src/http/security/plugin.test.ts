/** Headers, policies and their hashes and nonces, on a cached application; requests of other sites; failures. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import Fastify, { type FastifyInstance, type InjectOptions } from 'fastify';
import { assertNeverHit, cached, createSetting, until } from '../../testing/cached-app.ts';
import { exchange, open } from '../../testing/raw-http.ts';
import { limitsPlugin, serverOptions } from '../limits/index.ts';
import { SecurityError, type SecurityErrorCode } from './errors.ts';
import { type SecurityOptions, securityPlugin } from './plugin.ts';
import { answerUnroutable } from './unroutable.ts';

async function createApp(options: SecurityOptions = {}): Promise<FastifyInstance> {
  const app = Fastify();
  await app.register(securityPlugin, options);
  app.all('/', async () => 'well');
  app.post('/webhook', { config: { crossOriginProtection: false } }, async () => 'well');
  return app;
}

test('hits, misses, 304s, errors and 404s carry the security headers', async () => {
  await using setting = await createSetting();
  const { app, platform, read } = setting;
  await app.register(securityPlugin);
  app.get('/item', cached, async () => ({ nome: await read() }));
  app.get('/fails', cached, async () => {
    throw new Error('no');
  });
  await platform.listen();
  const check = (headers: Headers): void => {
    const policy = headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'none';script-src 'self';/);
    assert.match(policy, /frame-ancestors 'none';base-uri 'none'/);
    assert.doesNotMatch(policy, /unsafe|nonce|\*|upgrade/);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('x-frame-options'), 'DENY');
    assert.equal(headers.get('referrer-policy'), 'no-referrer');
    assert.equal(headers.get('cross-origin-opener-policy'), 'same-origin');
    assert.equal(headers.get('cross-origin-resource-policy'), 'same-origin');
    assert.match(headers.get('permissions-policy') ?? '', /camera=\(\), .*microphone=\(\)/);
    assert.equal(headers.get('strict-transport-security'), null);
    assert.equal(headers.get('x-powered-by'), null);
  };
  const miss = await platform.get('/item');
  const hit = await platform.get('/item');
  assert.match(hit.cacheStatus, /; hit;/);
  for (const { headers } of [miss, hit, await platform.get('/fails'), await platform.get('/none')]) check(headers);
  // A 304 leaves the client the headers that it has (RFC 9111, 4.3.4).
  const etag = hit.headers.get('etag') ?? '';
  assert.equal((await platform.get('/item', { 'if-none-match': etag })).status, 304);
});

/** Refused on the way, at each place where it can happen. */
test('what is refused carries the headers, wherever it is refused, and no cache keeps it', async () => {
  await using setting = await createSetting({
    fastify: {
      ...serverOptions({ headerMaxBytes: 4_096, bodyMaxBytes: 100 }),
      forceCloseConnections: true,
      frameworkErrors: answerUnroutable,
    },
    plugin: { live: { perAddressMax: 1 } },
  });
  const { app, platform, read } = setting;
  await app.register(limitsPlugin, {
    urlMaxBytes: 2_000,
    headersMax: 20,
    admission: { inFlightMax: 4, classes: { login: { max: 0, reserved: 0 } }, queueLengthMax: 0 },
    rates: { address: { requests: 60, window: '1h' } },
  });
  await app.register(securityPlugin, {
    headers: { contentSecurityPolicy: { 'img-src': ["'self'", 'https://img.example'] } },
  });
  app.get('/item', cached, async () => ({ nome: await read() }));
  app.get('/rare', { config: { limit: { requests: 1, window: '1h' } } }, async () => 'well');
  app.post('/login', { config: { class: 'login' } }, async () => 'well');
  app.post('/', async () => 'well');
  const origin = await platform.listen();
  const get = (path: string, fields = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
  const post = (path: string, body: string): string =>
    `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const check = async (status: number, bytes: string, isRouted = false): Promise<void> => {
    const { answers } = await exchange(origin, bytes);
    const { status: given, headers = {} } = answers.at(-1) ?? {};
    assert.equal(given, status, bytes.slice(0, 60));
    const what = `${status} ${bytes.slice(0, 60)}`;
    assert.match(headers['content-security-policy'] ?? '', /^default-src 'none';.*frame-ancestors 'none'/, what);
    if (isRouted) assert.match(headers['content-security-policy'] ?? '', /img-src 'self' https:\/\/img\.example/, what);
    else assert.equal(headers['cache-control'], 'no-store', what);
    assert.equal(headers['x-content-type-options'], 'nosniff', what);
    assert.equal(headers['referrer-policy'], 'no-referrer', what);
    assert.equal(headers['cross-origin-resource-policy'], 'same-origin', what);
    if (status === 429 || status === 503) assert.match(headers['retry-after'] ?? '', /^\d+$/, what);
  };
  await check(400, get('/', 'Host: b\r\n'));
  await check(400, 'NONSENSE\r\n\r\n');
  await check(400, get('/%ff'));
  await check(414, get(`/${'x'.repeat(2_000)}`));
  await check(431, get('/', 'X: y\r\n'.repeat(30)));
  await check(431, get('/', `X: ${'y'.repeat(8_000)}\r\n`));
  await check(413, post('/', JSON.stringify('x'.repeat(200))), true);
  await check(503, post('/login', '""'), true);
  await exchange(origin, get('/rare'));
  await check(429, get('/rare'), true);
  await check(429, get('/rare', 'Accept: text/html\r\n'), true);
  const following = open(origin);
  following.write(get('/item', 'Accept: text/event-stream\r\n'));
  await until('somebody follows', () => app.live?.streams === 1);
  await check(429, get('/item', 'Accept: text/event-stream\r\n'), true);
  following.destroy();
  for (let round = 0; round < 60; round++) await (await fetch(`${origin}/none`)).text();
  await check(429, get('/item'));
  await check(429, get('/item', 'Accept: text/html\r\n'));
});

test('every 503 says when to come back, whoever has said it', async () => {
  const app = Fastify();
  await app.register(limitsPlugin, { random: () => 0.5 });
  const fail = (path: string, code: SecurityErrorCode): void => {
    app.get(path, () => Promise.reject(new SecurityError(code, 'no')));
  };
  fail('/passwords', 'ERR_SECURITY_PASSWORDS_BUSY');
  fail('/sessions', 'ERR_SECURITY_SESSION_STORE');
  app.get('/own', async (_request, reply) => reply.code(503).header('retry-after', '60').send('away'));
  app.get('/plain', async (_request, reply) => reply.code(503).send('away'));
  await app.register(async (part) => {
    part.setErrorHandler((_error, _request, reply) => reply.code(503).send('translated'));
    part.get('/translated', () => Promise.reject(new Error('no')));
  });
  const after = async (path: string): Promise<unknown> => {
    const { statusCode, headers } = await app.inject(path);
    assert.equal(statusCode, 503, path);
    return headers['retry-after'];
  };
  for (const path of ['/passwords', '/sessions', '/plain', '/translated']) assert.equal(await after(path), '3', path);
  assert.equal(await after('/own'), '60');
});

test('a page that names its inline script by hash is cached with its policy', async () => {
  await using setting = await createSetting();
  const { app, platform, read } = setting;
  await app.register(securityPlugin);
  const script = "document.title = 'um'";
  app.get('/page', cached, async (_request, reply) => {
    reply.allowInlineScript(script);
    reply.allowInlineScript(script);
    reply.allowInlineStyle('p{}');
    return reply.type('text/html').send(`<script>${script}</script><style>p{}</style>${await read()}`);
  });
  await platform.listen();
  const hashOf = (text: string): string => createHash('sha256').update(text).digest('base64');
  await platform.get('/page');
  const hit = await platform.get('/page');
  assert.match(hit.cacheStatus, /; hit;/);
  const policy = hit.headers.get('content-security-policy') ?? '';
  assert.ok(policy.includes(`;script-src 'self' 'sha256-${hashOf(script)}';`), policy);
  assert.ok(policy.includes(`;style-src 'self' 'sha256-${hashOf('p{}')}';`), policy);
});

test('an answer with a nonce is never stored, whoever made the nonce', async () => {
  await using setting = await createSetting();
  const { app, platform, read } = setting;
  await app.register(securityPlugin);
  app.get('/ours', cached, async (_request, reply) => {
    assert.equal(reply.scriptNonce(), reply.scriptNonce());
    return `<script nonce="${reply.scriptNonce()}"></script>${await read()}`;
  });
  app.get('/own', cached, async (_request, reply) => {
    reply.header('content-security-policy-report-only', `script-src 'nonce-${Math.random()}'`);
    return read();
  });
  await platform.listen();
  for (const path of ['/ours', '/own']) await assertNeverHit(platform, path, /csp-nonce/);
  const nonces = new Set<string>();
  for (let n = 0; n < 4; n++) {
    const { text, headers } = await platform.get('/ours');
    const nonce = /nonce="([\w-]{22})"/.exec(text)?.[1] as string;
    const policy = headers.get('content-security-policy') ?? '';
    assert.ok(
      policy.includes(`script-src 'self' 'nonce-${nonce}'`) && policy.includes(`style-src 'self' 'nonce-${nonce}'`),
    );
    nonces.add(nonce);
  }
  assert.equal(nonces.size, 4);
  // Of those who ask at the same time, too, each has its own.
  const together = await Promise.all(Array.from({ length: 8 }, () => platform.get('/ours')));
  assert.equal(new Set(together.map(({ text }) => text)).size, 8);
});

test('what an application says takes the place of the default, and TLS alone is promised only when it says so', async () => {
  const app = await createApp({
    headers: {
      contentSecurityPolicy: { 'img-src': ["'self'", 'https://cdn.example'] },
      strictTransportSecurity: { maxAgeS: 31_536_000, includeSubDomains: true },
      crossOriginResourcePolicy: 'cross-origin',
      permissionsPolicy: { geolocation: '(self)' },
    },
  });
  const { headers } = await app.inject('/');
  assert.match(String(headers['content-security-policy']), /img-src 'self' https:\/\/cdn\.example;.*upgrade-insecure/);
  assert.equal(headers['strict-transport-security'], 'max-age=31536000; includeSubDomains');
  assert.equal(headers['cross-origin-resource-policy'], 'cross-origin');
  assert.match(String(headers['permissions-policy']), /camera=\(\).*geolocation=\(self\)/);
  assert.doesNotMatch(String(headers['permissions-policy']), /geolocation=\(\)/);
  const none = await (await createApp({ headers: { contentSecurityPolicy: false } })).inject('/');
  assert.equal(none.headers['content-security-policy'], undefined);
});

test('requests that another site makes a browser send are refused, and nobody else', async () => {
  const app = await createApp({ crossOrigin: { trustedOrigins: ['https://admin.example'] } });
  const ask = async (headers: Record<string, string>, options: InjectOptions = {}): Promise<number> =>
    (
      await app.inject({
        method: 'POST',
        url: '/',
        headers: { host: 'loja.example', cookie: 'sid=1', ...headers },
        ...options,
      })
    ).statusCode;
  // As Go's CrossOriginProtection decides; an empty Sec-Fetch-Site, which no browser sends, is refused here.
  const passes: Record<string, string>[] = [
    { 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-site': 'none' },
    { origin: 'https://loja.example' },
    { origin: 'http://loja.example' },
    {},
    { 'sec-fetch-site': 'cross-site', origin: 'https://admin.example' },
    { origin: 'https://admin.example' },
    { 'sec-fetch-site': 'cross-site', authorization: 'Bearer x' },
    { 'sec-fetch-site': 'cross-site', cookie: '' },
    { 'sec-fetch-site': 'cross-site', cookie: 'vazao-position=x' },
  ];
  const refused: Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site', origin: 'https://loja.example' },
    { 'sec-fetch-site': '' },
    { origin: 'https://evil.example' },
    { origin: 'https://loja.example.evil.example' },
    { origin: 'https://loja.example:8443' },
    { origin: 'null' },
    { origin: '' },
    { origin: 'https://admin.example:444' },
    { origin: 'https://evil.example', authorization: 'Basic eDp5' },
    { origin: 'https://evil.example', cookie: 'vazao-position=x; sid=1' },
  ];
  for (const headers of passes) assert.equal(await ask(headers), 200, JSON.stringify(headers));
  for (const headers of refused) {
    assert.equal(await ask(headers), 403, JSON.stringify(headers));
    for (const method of ['PUT', 'PATCH', 'DELETE'] as const) assert.equal(await ask(headers, { method }), 403);
    for (const method of ['GET', 'HEAD', 'OPTIONS'] as const) assert.equal(await ask(headers, { method }), 200);
    assert.equal(await ask(headers, { url: '/webhook' }), 200);
  }
  const always = await createApp({ crossOrigin: { check: 'always' } });
  const headers = { origin: 'https://evil.example' };
  assert.equal((await always.inject({ method: 'POST', url: '/', headers })).statusCode, 403);
  for (const origin of ['admin.example', 'https://admin.example/', 'https://admin.example/x', 'null'])
    await assert.rejects(createApp({ crossOrigin: { trustedOrigins: [origin] } }), { code: 'ERR_SECURITY_OPTIONS' });
});

test('what can not be routed is refused with the headers, and its path is not repeated', async () => {
  const app = Fastify({ frameworkErrors: answerUnroutable });
  await app.register(securityPlugin);
  app.get('/item/:id', async () => 'well');
  for (const [path, status] of [
    ['/item/%E9', 400],
    ['/%', 400],
    [`/item/${'segredo'.repeat(40)}`, 414],
  ] as const) {
    const response = await app.inject(path);
    assert.equal(response.statusCode, status, path);
    assert.equal(response.json().status, status);
    assert.equal(response.headers['content-type'], 'application/problem+json');
    assert.equal(response.headers['x-content-type-options'], 'nosniff');
    assert.match(String(response.headers['content-security-policy']), /default-src 'none'/);
    assert.doesNotMatch(response.body, /segredo|%/);
  }
});

test('a failure answers without the words of what was thrown, and what the application says itself stays', async () => {
  const fails = async (options: SecurityOptions, thrown: Error): Promise<Record<string, unknown>> => {
    const app = Fastify();
    await app.register(securityPlugin, options);
    app.get('/', async () => {
      throw thrown;
    });
    app.get(
      '/own',
      { errorHandler: (error, _request, reply) => reply.code(500).send({ problem: error.message }) },
      () => {
        throw thrown;
      },
    );
    assert.deepEqual((await app.inject('/own')).json(), { problem: thrown.message });
    const response = await app.inject('/');
    assert.equal(Number(response.headers['content-length']), Buffer.byteLength(response.body));
    return response.json();
  };
  const sql = Object.assign(new Error('relation "segredos" does not exist'), { code: '42P01' });
  const plain = { statusCode: 500, error: 'Internal Server Error', message: 'Internal Server Error' };
  assert.deepEqual(await fails({}, sql), plain);
  assert.equal((await fails({ tellErrors: true }, sql)).message, sql.message);
  const busy = Object.assign(new Error('Try again.'), { statusCode: 503, code: 'ERR_SECURITY_PASSWORDS_BUSY' });
  assert.equal((await fails({}, busy)).message, 'Try again.');
  const own = Object.assign(new Error('No such thing.'), { statusCode: 404 });
  assert.equal((await fails({}, own)).message, 'No such thing.');
});

test('who is denied something is logged, with the reason and the user, and nobody else', async () => {
  const written: string[] = [];
  await using setting = await createSetting({
    fastify: { logger: { level: 'info', stream: { write: (line: string) => void written.push(line) } } },
    plugin: {
      identify: {
        headers: ['authorization'],
        user: ({ authorization }) => {
          if (authorization === 'away') throw Object.assign(new Error('away'), { statusCode: 503 });
          return authorization ? { id: authorization } : undefined;
        },
      },
    },
  });
  const { app, platform, read } = setting;
  await app.register(securityPlugin);
  app.get('/open', cached, async () => ({ nome: await read() }));
  app.get('/coded', cached, async ({ user }) => {
    const code = user ? 'sem_permissao' : 'nao_autenticado';
    throw Object.assign(new Error('of people'), { statusCode: user ? 403 : 401, code });
  });
  app.get('/sent', async (_request, reply) => reply.code(403).send('no'));
  app.get('/own', { errorHandler: (error, _request, reply) => reply.code(403).send(error.message) }, async () => {
    throw new Error('only for the owner');
  });
  app.post('/', async () => 'well');
  const origin = await platform.listen();
  const ask = async (path: string, authorization?: string, init: RequestInit = {}): Promise<number> => {
    const headers = { ...(authorization && { authorization }), ...(init.headers as Record<string, string>) };
    const response = await fetch(origin + path, { ...init, headers });
    await response.text();
    return response.status;
  };
  const denied = async (count: number): Promise<unknown[]> => {
    const find = (): string[] => written.filter((line) => line.includes('"msg":"denied"'));
    await until(`${count} denials are logged`, () => find().length >= count);
    return find().map((line) => {
      const { level, status, user, reason } = JSON.parse(line);
      return { level, status, user, reason };
    });
  };
  for (const path of ['/open', '/none']) await ask(path, 'ana');
  assert.equal(await ask('/coded'), 401);
  assert.equal(await ask('/coded', 'ana'), 403);
  assert.equal(await ask('/coded', 'ana'), 403);
  assert.equal(await ask('/sent', 'away'), 403);
  assert.equal(await ask('/own'), 403);
  assert.equal(
    await ask('/', 'ana', { method: 'POST', headers: { cookie: 'a=1', 'sec-fetch-site': 'cross-site' } }),
    403,
  );
  assert.deepEqual(await denied(6), [
    { level: 30, status: 401, user: null, reason: 'nao_autenticado' },
    { level: 30, status: 403, user: 'ana', reason: 'sem_permissao' },
    { level: 30, status: 403, user: 'ana', reason: 'sem_permissao' },
    { level: 30, status: 403, user: null, reason: null },
    { level: 30, status: 403, user: null, reason: 'only for the owner' },
    { level: 30, status: 403, user: 'ana', reason: 'ERR_SECURITY_CROSS_ORIGIN' },
  ]);
});
