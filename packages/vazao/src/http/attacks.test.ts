/** Hostile clients, and applications that do unusual but legal things: no answer reaches whom it was not made for. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyServerOptions } from 'fastify';
import { positionAt } from '../feed/index.ts';
import { assertNeverHit, cached, createSetting } from '../testing/cached-app.ts';
import { Identities } from './identities.ts';
import type { Identify, Identity } from './options.ts';
import { PositionTokens } from './position-token.ts';

test('the address of a client is seen wherever it is read', async () => {
  await using setting = await createSetting();
  const { app, platform, read } = setting;
  app.addHook('onSend', async (request, reply) => {
    if (request.url === '/on-send') reply.header('x-client', request.ip);
  });
  app.get('/on-send', cached, read);
  app.get('/response', cached, async (_request, reply) => `${await read()} ${reply.raw.socket?.remotePort}`);
  app.get('/connection', cached, async (_request, reply) => `${await read()} ${reply.raw.connection?.remotePort}`);
  app.get('/client', cached, async (request) => {
    const { client } = request.raw as unknown as { client?: { remotePort: number } };
    return `${await read()} ${client?.remotePort}`;
  });
  app.get('/stream', cached, async (request, reply) => {
    await read();
    return reply.type('text/plain').send(
      Readable.from(
        (async function* () {
          yield 'a';
          await delay(1);
          yield String(request.socket.remotePort);
        })(),
      ),
    );
  });
  await platform.listen();
  for (const path of ['/on-send', '/response', '/connection', '/client', '/stream'])
    await assertNeverHit(platform, path, /not stored: raw-request/);
});

for (const isParsed of [true, false]) {
  test(`an answer that reads the body of a GET is not kept: it is no part of the key (parsed: ${isParsed})`, async () => {
    await using setting = await createSetting();
    const { app, read, platform } = setting;
    if (isParsed) app.addHttpMethod('GET', { hasBody: true });
    app.get('/x', cached, async (request) => {
      let text = '';
      if (isParsed) text = JSON.stringify(request.body ?? null);
      else for await (const chunk of request.raw) text += chunk;
      return `${await read()} ${text}`;
    });
    await platform.listen();
    const nothing = isParsed ? 'um null' : 'um ';
    const headers = { 'content-type': 'application/json' };
    assert.equal((await platform.get('/x')).text, nothing);
    assert.match((await app.inject({ method: 'GET', url: '/x', headers, payload: '{"a":1}' })).body, /"a":1/);
    assert.equal((await platform.get('/x')).text, nothing);
  });
}

test('routes that differ by a constraint of the application keep their answers apart', async () => {
  await using setting = await createSetting({
    fastify: {
      routerOptions: {
        constraints: {
          tenant: {
            name: 'tenant',
            storage: () => {
              const handlers = new Map<string, never>();
              return {
                get: (name: string) => handlers.get(name) ?? null,
                set: (name: string, handler: never) => void handlers.set(name, handler),
              };
            },
            deriveConstraint: (request: { headers: Record<string, unknown> }) => request.headers['x-tenant'],
          },
        },
      },
    } as unknown as FastifyServerOptions,
  });
  const { app, read, platform } = setting;
  for (const tenant of ['a', 'b'])
    app.get('/x', { ...cached, constraints: { tenant } as never }, async () => `${tenant} ${await read()}`);
  await platform.listen();
  for (let n = 0; n < 2; n++) {
    for (const tenant of ['a', 'b']) {
      const answer = await platform.get('/x', { 'x-tenant': tenant });
      assert.equal(answer.text, `${tenant} um`);
      assert.match(answer.cacheStatus, n === 0 ? /stored/ : /; hit;/);
    }
  }
});

test('routes registered before the plugin has loaded are refused: it would not know of them', async () => {
  await using setting = await createSetting();
  const { cache, feed, db } = setting.platform;
  const { default: Fastify } = await import('fastify');
  const { vazaoPlugin } = await import('./plugin.ts');
  const app = Fastify();
  app.register(vazaoPlugin, { cache, feed, db });
  app.get('/x', { ...cached, constraints: { host: 'a.test' } }, async () => 'a');
  await assert.rejects(async () => app.ready(), { code: 'ERR_HTTP_PLUGIN_ORDER' });
});

test('an application may give requests ids of its own', async () => {
  await using setting = await createSetting();
  const { app, read, platform } = setting;
  app.addHook('onRequest', async (request, reply) => {
    request.id = 'meu';
    reply.header('x-request-id', request.id);
  });
  app.get('/x', cached, read);
  await platform.listen();
  const first = await platform.get('/x');
  assert.equal(first.status, 200);
  assert.equal(first.headers.get('x-request-id'), 'meu', 'the id is for the request that made the answer');
  assert.equal((await platform.get('/x')).headers.get('x-request-id'), null);
});

test('an id that the client chose is never replayed, however it is written, and can not keep others from the cache', async () => {
  await using setting = await createSetting({ fastify: { requestIdHeader: 'x-id' } });
  const { app, read, platform } = setting;
  app.get('/json', cached, async (request) => ({ nome: await read(), id: request.id }));
  app.get('/header', cached, async (request, reply) => {
    reply.header('x-trace', `id=${request.id}`);
    return read();
  });
  app.get('/logged', cached, async (request) => `${await read()} ${String(request.id).length}`);
  await platform.listen();
  await platform.get('/json', { 'x-id': 'a"b' });
  assert.ok(!(await platform.get('/json')).text.includes('a\\"b'));
  await platform.get('/header', { 'x-id': 'meu' });
  assert.ok(!String((await platform.get('/header')).headers.get('x-trace')).includes('meu'));
  await platform.get('/logged', { 'x-id': 'u' });
  assert.doesNotMatch((await platform.get('/logged')).cacheStatus, /bypass/);
});

test('an `identify` that throws costs one request, and not the process', async () => {
  const identify: Identify = {
    headers: ['x-proof'],
    user: ({ 'x-proof': proof }) => {
      if (proof === 'bad') throw new Error('bad proof');
      return { id: proof as string, balance: 1n, roles: new Set([proof]) };
    },
  };
  await using setting = await createSetting({ plugin: { identify } });
  const { app, read, platform } = setting;
  app.get('/x', cached, async (request) => `${await read()} ${[...((request.user?.roles ?? []) as Set<string>)]}`);
  await platform.listen();
  for (let n = 0; n < 2; n++) {
    assert.equal((await platform.get('/x', { 'x-proof': 'a' })).text, 'um a');
    assert.equal((await platform.get('/x', { 'x-proof': 'bad' })).status, 500);
  }
});

test('claims that JSON has no words for keep users apart', async () => {
  const identities = new Identities({
    headers: ['x-proof'],
    user: ({ 'x-proof': proof }): Identity => ({ id: '1', claims: new Map([['tenant', new Set([proof])]]) }),
  });
  const keyOf = async (proof: string): Promise<string> => (await identities.of({ 'x-proof': proof })).key;
  assert.notEqual(await keyOf('a'), await keyOf('b'));
});

test('a flood of long proofs of identity is bounded in bytes', async () => {
  let calls = 0;
  const identities = new Identities({ headers: ['x-proof'], user: () => void calls++ });
  const proofs = Array.from({ length: 3_000 }, (_, n) => `${n}`.padEnd(15_000, 'x'));
  for (const proof of proofs) await identities.of({ 'x-proof': proof });
  calls = 0;
  for (const proof of proofs.toReversed()) await identities.of({ 'x-proof': proof });
  assert.ok(calls > 1_000, `most of 45 MB are forgotten, but only ${calls} were`);
});

test('a header that a hook sets is not what the client sent', async () => {
  await using setting = await createSetting();
  const { app, read, platform } = setting;
  app.addHook('onRequest', async (request) => {
    request.raw.headers['x-level'] = 'set';
  });
  app.get('/x', cached, async (request) => `${await read()} ${request.headers['x-level']}`);
  await platform.listen();
  await platform.get('/x');
  const again = await platform.get('/x');
  assert.match(again.cacheStatus, /; hit;/);
  assert.equal((await platform.get('/x', { 'x-level': 'mine' })).text, 'um set');
});

test('a request made inside a handler sees what the handler wrote', async () => {
  await using setting = await createSetting();
  const { app, read, platform } = setting;
  app.get('/x', cached, read);
  app.post('/x', async () => {
    await platform.db.query(`update itens set nome = nome || '!' where id = 1`);
    return (await app.inject('/x')).body;
  });
  const origin = await platform.listen();
  for (let n = 1; n <= 20; n++) {
    await platform.get('/x');
    const response = await fetch(`${origin}/x`, { method: 'POST' });
    assert.equal(await response.text(), `um${'!'.repeat(n)}`);
  }
});

test('the token is found in a second `Cookie` field', async () => {
  await using setting = await createSetting({ plugin: { readWaitMaxMs: 10, secret: 's' } });
  const { app, read, platform } = setting;
  app.get('/x', cached, read);
  const token = new PositionTokens('s').format(positionAt(9, 0n));
  const { port } = new URL(await platform.listen());
  await platform.get('/x');
  const socket = connect(Number(port), '127.0.0.1');
  socket.write(
    `GET /x HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\nCookie: vazao-position=${token}\r\nConnection: close\r\n\r\n`,
  );
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.match(text, /detail="position"/);
});

test('one caller whose answer is too large does not turn the others away', async () => {
  await using setting = await createSetting({ plugin: { bodyMaxBytes: 100 } });
  const { app, read, platform } = setting;
  app.get('/x', cached, async (request) => (await read()).repeat(Number(request.headers['x-times'] ?? 1)));
  await platform.listen();
  assert.match((await platform.get('/x', { 'x-times': '1000' })).cacheStatus, /too-large/);
  assert.match((await platform.get('/x')).cacheStatus, /stored/);
  assert.match((await platform.get('/x')).cacheStatus, /; hit;/);
});

test('a HEAD route of its own is not answered from the GET', async () => {
  await using setting = await createSetting();
  const { app, read, platform } = setting;
  app.head('/x', async (_request, reply) => reply.header('x-own', 'yes').send());
  app.get('/x', cached, read);
  const origin = await platform.listen();
  await platform.get('/x');
  await platform.get('/x');
  assert.equal((await fetch(`${origin}/x`, { method: 'HEAD' })).headers.get('x-own'), 'yes');
});
