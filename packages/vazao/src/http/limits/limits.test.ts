/** The limits on a listening server: with the vazao plugin and a database, and alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import Fastify, { type FastifyInstance } from 'fastify';
import { cached, createSetting, type Setting, until } from '../../testing/cached-app.ts';
import { exchange, open, read } from '../../testing/raw-http.ts';
import { type LimitsOptions, limitsPlugin } from './index.ts';

/** Handlers that stand at a gate until the test opens it. */
class Gate {
  #waiting: (() => void)[] = [];
  entered = 0;
  isOpen = false;

  async pass(): Promise<void> {
    this.entered++;
    if (!this.isOpen) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  one(): void {
    this.#waiting.shift()?.();
  }

  open(): void {
    this.isOpen = true;
    for (const go of this.#waiting.splice(0)) go();
  }
}

/** A wait so long that only the test ends it. */
const PATIENT = { waitMaxMs: 60_000, waitTargetMs: 60_000 };

async function alone(
  options: LimitsOptions,
  register: (app: FastifyInstance) => void,
): Promise<AsyncDisposable & { origin: string; app: FastifyInstance }> {
  const app = Fastify({ forceCloseConnections: true }); // a test that fails leaves handlers at their gate
  await app.register(limitsPlugin, options);
  register(app);
  const origin = await app.listen({ host: '127.0.0.1', port: 0 });
  return { origin, app, [Symbol.asyncDispose]: () => app.close() };
}

async function withCache(
  options: LimitsOptions,
  register: (setting: Setting) => void,
): Promise<Setting & { origin: string }> {
  const setting = await createSetting({ fastify: { forceCloseConnections: true } });
  await setting.app.register(limitsPlugin, options);
  register(setting);
  const origin = await setting.platform.listen();
  return { ...setting, origin };
}

test('who finds no room and waits too long is told so, as problem details, with Retry-After', async () => {
  const gate = new Gate();
  await using server = await alone({ admission: { inFlightMax: 4 }, random: () => 0.5 }, (app) => {
    app.get('/slow', async () => {
      await gate.pass();
      return { ok: true };
    });
  });
  const first = fetch(`${server.origin}/slow`);
  await until('the place is taken', () => gate.entered === 1);
  const refused = await fetch(`${server.origin}/slow`);
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get('retry-after'), '3');
  assert.match(refused.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.deepEqual(await refused.json(), {
    type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
    title: 'Too busy',
    status: 503,
    detail: 'The server is working on as much as it can. Try again in a moment.',
    code: 'ERR_LIMIT_OVERLOAD',
  });
  const page = await fetch(`${server.origin}/slow`, { headers: { accept: 'text/html,*/*' } });
  assert.match(await page.text(), /^<!doctype html>.*Try again in 3 s/);
  assert.equal(gate.entered, 1, 'neither was worked on');
  gate.open();
  assert.deepEqual(await (await first).json(), { ok: true });
  assert.deepEqual(server.app.limits?.figures().refused, { ERR_LIMIT_OVERLOAD: 2 });
});

test('while reads overflow, a write and health get in', async () => {
  const gate = new Gate();
  await using server = await alone({ admission: { inFlightMax: 5, ...PATIENT } }, (app) => {
    app.get('/slow', async () => {
      await gate.pass();
      return 'read';
    });
    app.post('/write', async () => 'written');
    app.get('/health', async () => 'well');
  });
  const reads = Array.from({ length: 20 }, () => fetch(`${server.origin}/slow`));
  await until('all reads have come', () => server.app.limits?.figures().classes?.read.waiting === 18);
  assert.equal(await (await fetch(`${server.origin}/write`, { method: 'POST' })).text(), 'written');
  assert.equal(await (await fetch(`${server.origin}/health`)).text(), 'well');
  assert.equal(gate.entered, 2, 'a place of their own, and the one that is shared');
  gate.open();
  for (const one of await Promise.all(reads)) assert.equal(one.status, 200);
  const { classes } = server.app.limits?.figures() ?? {};
  assert.deepEqual([classes?.read.inFlight, classes?.read.admitted], [0, 20]);
});

test('a request whose client is gone is not worked on', async () => {
  const gate = new Gate();
  await using server = await alone({ admission: { inFlightMax: 4, ...PATIENT } }, (app) => {
    app.get('/slow', async () => {
      await gate.pass();
      return 'done';
    });
  });
  const waiting = (): number | undefined => server.app.limits?.figures().classes?.read.waiting;
  const first = fetch(`${server.origin}/slow`);
  await until('the place is taken', () => gate.entered === 1);
  const socket = open(server.origin);
  socket.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
  await until('it waits', () => waiting() === 1);
  const third = fetch(`${server.origin}/slow`);
  await until('both wait', () => waiting() === 2);
  socket.destroy();
  await until('it has left the line', () => waiting() === 1);
  gate.open();
  assert.equal((await first).status, 200);
  assert.equal((await third).status, 200);
  assert.equal(gate.entered, 2);
});

test('a place is given back however the work ends', async () => {
  await using server = await alone({ admission: { inFlightMax: 4, ...PATIENT } }, (app) => {
    app.get('/throws', async () => {
      throw new Error('a handler fails');
    });
    app.get('/empty', (_request, reply) => reply.code(204).send());
    app.get('/stream', (_request, reply) => reply.send(new Blob(['streamed']).stream()));
    app.get('/hijack', (_request, reply) => {
      reply.hijack();
      reply.raw.end('hijacked');
    });
    app.get('/error', (_request, reply) => reply.code(400).send({ bad: true }));
  });
  for (let round = 0; round < 3; round++)
    for (const path of ['throws', 'empty', 'stream', 'hijack', 'error', 'nowhere'])
      await (await fetch(`${server.origin}/${path}`)).text();
  await until('all places are free', () => server.app.limits?.figures().classes?.read.inFlight === 0);
  assert.equal(server.app.limits?.figures().classes?.read.admitted, 18);
});

test('the readers of one fill take one place, and a hit none', async () => {
  const gate = new Gate();
  await using server = await withCache({ admission: { inFlightMax: 4, ...PATIENT } }, ({ app, read }) => {
    app.get('/um', cached, async () => {
      await gate.pass();
      return read();
    });
    app.get('/busy', async () => {
      await gate.pass();
      return '';
    });
  });
  const readers = Array.from({ length: 20 }, () => fetch(`${server.origin}/um`));
  await until('one computes', () => gate.entered === 1);
  await until('the others wait for it', () => server.platform.cache.isFilling('/um'));
  assert.equal(server.app.limits?.figures().classes?.read.waiting, 0);
  gate.open();
  for (const reader of readers) assert.equal(await (await reader).text(), 'um');
  gate.isOpen = false;
  const busy = fetch(`${server.origin}/busy`);
  await until('the place is taken', () => gate.entered === 2);
  const hit = await fetch(`${server.origin}/um`);
  assert.match(hit.headers.get('cache-status') ?? '', /; hit/);
  gate.open();
  await busy;
});

test('what becomes of the one that leads a fill becomes of those who wait for it; and the route goes on being cached', async () => {
  const gate = new Gate();
  let computed = 0;
  await using server = await withCache(
    { admission: { inFlightMax: 4, waitMaxMs: 400, waitTargetMs: 400 } },
    ({ app, read }) => {
      app.get('/um', cached, async () => {
        computed++;
        return read();
      });
      app.get('/busy', async () => {
        await gate.pass();
        return '';
      });
    },
  );
  const busy = fetch(`${server.origin}/busy`);
  await until('the place is taken', () => gate.entered === 1);
  const readers = await Promise.all(Array.from({ length: 5 }, () => fetch(`${server.origin}/um`)));
  for (const one of readers) {
    assert.equal(one.status, 503);
    assert.match(one.headers.get('retry-after') ?? '', /^[1-5]$/);
    assert.equal(((await one.json()) as { code: string }).code, 'ERR_LIMIT_OVERLOAD');
  }
  assert.equal(computed, 0);
  gate.open();
  await busy;
  await fetch(`${server.origin}/um`);
  assert.match(
    (await server.platform.get('/um')).cacheStatus,
    /; hit/,
    'neither passed by nor split by a field that was looked at',
  );
  assert.equal(computed, 1);
});

test('when the one that leads a fill leaves its line, another of those who wait leads', async () => {
  const gate = new Gate();
  let computed = 0;
  await using server = await withCache({ admission: { inFlightMax: 4, ...PATIENT } }, ({ app, read }) => {
    app.get('/um', cached, async () => {
      computed++;
      return read();
    });
    app.get('/busy', async () => {
      await gate.pass();
      return '';
    });
  });
  const busy = fetch(`${server.origin}/busy`);
  await until('the place is taken', () => gate.entered === 1);
  const waiting = (): number | undefined => server.app.limits?.figures().classes?.read.waiting;
  const leader = open(server.origin);
  leader.write('GET /um HTTP/1.1\r\nHost: a\r\n\r\n');
  await until('it waits', () => waiting() === 1);
  const other = fetch(`${server.origin}/um`);
  await delay(20); // it may join the fill meanwhile, or not: both end alike
  leader.destroy();
  await until('the other waits in its place', () => server.platform.cache.isFilling('/um') && waiting() === 1);
  gate.open();
  assert.equal(await (await other).text(), 'um');
  assert.equal(computed, 1);
  await busy;
});

test('what a handler asks of its own application is part of its own work', async () => {
  await using server = await alone(
    { admission: { inFlightMax: 4, ...PATIENT, classes: { read: { max: 1 } } } },
    (app) => {
      app.get('/inner', async () => 'inner');
      app.get('/outer', async () => (await app.inject('/inner')).body);
    },
  );
  assert.equal(await (await fetch(`${server.origin}/outer`)).text(), 'inner');
});

test('a handler that waited runs in its own context, not in that of whoever made room', async () => {
  const gate = new Gate();
  await using server = await withCache(
    { admission: { inFlightMax: 4, ...PATIENT, classes: { read: { max: 1 } } } },
    ({ app, platform }) => {
      app.get('/first', cached, async () => {
        await gate.pass();
        return (await platform.db.query('select nome from itens where id = 1')).rows[0].nome;
      });
      app.get('/second', cached, async () => (await platform.db.query('select count(*)::int as n from itens')).rows[0]);
    },
  );
  const first = fetch(`${server.origin}/first`);
  await until('the place is taken', () => gate.entered === 1);
  const second = fetch(`${server.origin}/second`);
  await until('it waits', () => server.app.limits?.figures().classes?.read.waiting === 1);
  gate.open();
  for (const answer of [await first, await second]) assert.match(answer.headers.get('cache-status') ?? '', /stored/);
});

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
  const withBody = await exchange(
    server.origin,
    `POST /${'a'.repeat(100)} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n`,
    2,
  );
  assert.deepEqual(
    [withBody.answers[0]?.status, withBody.answers[0]?.headers.connection, withBody.closed],
    [414, 'close', true],
  );
});
void read;
