/** How the plugin stands among others: order, constraints, rewritten URLs, what hooks read and add. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import cookie from '@fastify/cookie';
import Fastify from 'fastify';
import { createTestDatabase } from '../testing/database.ts';
import { createTestPlatform, type TestPlatform } from '../testing/platform.ts';
import { vazaoPlugin } from './plugin.ts';

const SCHEMA = 'create table itens (id int primary key, nome text not null); insert into itens values (1, $$um$$);';
const cached = { config: { cache: true } } as const;

async function readItem({ db }: TestPlatform): Promise<string> {
  return (await db.query('select nome from itens where id = 1')).rows[0].nome;
}

test('the plugin refuses to come after hooks, whose reading it could not see', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA });
  const { cache, feed, db } = platform;
  const app = Fastify();
  app.addHook('onRequest', async () => {});
  await assert.rejects(async () => app.register(vazaoPlugin, { cache, feed, db }), { code: 'ERR_HTTP_PLUGIN_ORDER' });
});

test('a route that is not GET can’t be cached, and an unknown option is refused at registration', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA });
  assert.throws(() => platform.app.post('/x', cached, async () => ''), { code: 'ERR_HTTP_CACHE_OPTIONS' });
  assert.throws(() => platform.app.get('/y', { config: { cache: { tll: 1 } as object } }, async () => ''), {
    code: 'ERR_HTTP_CACHE_OPTIONS',
  });
});

test('routes that differ by host or version keep their answers apart', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA });
  const { app } = platform;
  app.get('/x', { ...cached, constraints: { host: 'a.test' } }, async () => `a ${await readItem(platform)}`);
  app.get('/x', { ...cached, constraints: { host: 'b.test' } }, async () => `b ${await readItem(platform)}`);
  app.get('/v', { ...cached, constraints: { version: '1.0.0' } }, async () => `1 ${await readItem(platform)}`);
  app.get('/v', { ...cached, constraints: { version: '2.0.0' } }, async () => `2 ${await readItem(platform)}`);
  await platform.listen();
  for (let n = 0; n < 2; n++) {
    for (const host of ['a', 'b'])
      assert.equal((await app.inject({ url: '/x', headers: { host: `${host}.test` } })).body, `${host} um`);
    for (const version of ['1', '2']) {
      const response = await app.inject({ url: '/v', headers: { 'accept-version': `${version}.0.0` } });
      assert.equal(response.body, `${version} um`);
      assert.match(String(response.headers['cache-status']), n === 0 ? /stored/ : /; hit;/);
    }
  }
});

test('what a hook reads is part of the key, and what a hook adds is part of the answer', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA });
  const { app } = platform;
  let refusals = 0;
  app.addHook('onRequest', async (request, reply) => {
    if (request.headers['x-porta'] === 'fechada') {
      refusals++;
      return reply.code(403).send('não');
    }
    reply.header('x-request-id', request.id);
    return undefined;
  });
  app.addHook('onSend', async (request, _reply, payload) => `${payload} (${request.headers['x-assinatura'] ?? 'sem'})`);
  app.get('/x', cached, async () => readItem(platform));
  app.get('/id', cached, async (request) => `${await readItem(platform)} ${request.id}`);
  await platform.listen();
  assert.equal((await platform.get('/x')).text, 'um (sem)');
  const hit = await platform.get('/x');
  assert.match(hit.cacheStatus, /; hit;/);
  assert.equal(hit.headers.get('x-request-id'), null, 'the id of another request is not replayed');
  assert.equal((await platform.get('/x', { 'x-assinatura': 'eu' })).text, 'um (eu)');
  for (let n = 1; n <= 2; n++) {
    assert.equal((await platform.get('/x', { 'x-porta': 'fechada' })).status, 403);
    assert.equal(refusals, n, 'a refusal is not kept');
  }
  assert.equal((await platform.get('/x')).status, 200);
  await platform.get('/id');
  assert.equal((await platform.get('/id')).cacheStatus, 'vazao; fwd=bypass; detail="request-id"');
});

test('the whole cookie header is the key of a hook that reads it beside @fastify/cookie', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA });
  const { app } = platform;
  await app.register(cookie);
  let theme = '';
  app.addHook('preHandler', async (request) => {
    theme = /tema=(\w+)/.exec(request.headers.cookie ?? '')?.[1] ?? 'nenhum';
  });
  app.get('/x', cached, async () => `${await readItem(platform)} ${theme}`);
  await platform.listen();
  for (let n = 0; n < 2; n++) {
    for (const tema of ['claro', 'escuro'])
      assert.equal((await platform.get('/x', { cookie: `tema=${tema}` })).text, `um ${tema}`);
  }
});

test('an application that rewrites URLs is not cached: what it reads for that is not seen', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, {
    schema: SCHEMA,
    fastify: { rewriteUrl: (request) => (request.headers['x-inquilino'] === 'b' ? '/b' : '/a') },
  });
  const { app } = platform;
  for (const name of ['a', 'b']) app.get(`/${name}`, cached, async () => `${name} ${await readItem(platform)}`);
  await platform.listen();
  for (let n = 0; n < 2; n++) {
    for (const name of ['a', 'b']) {
      const { text, cacheStatus } = await platform.get('/x', { 'x-inquilino': name });
      assert.equal(text, `${name} um`);
      assert.equal(cacheStatus, 'vazao; fwd=bypass; detail="rewrite-url"');
    }
    assert.equal((await platform.get('/a', { 'x-inquilino': 'b' })).text, 'b um');
    assert.equal((await platform.get('/a', { 'x-inquilino': 'a' })).text, 'a um');
  }
});

test('pipelined requests are answered in their order, hits and misses mixed', async () => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA });
  platform.app.get<{ Params: { n: string } }>(
    '/x/:n',
    cached,
    async ({ params }) => `[${params.n} ${await readItem(platform)}]`,
  );
  const { port } = new URL(await platform.listen());
  await platform.get('/x/2');
  const order = [1, 2, 3, 2, 1, 2];
  const socket = connect(Number(port), '127.0.0.1');
  socket.write(
    order
      .map(
        (n, at) => `GET /x/${n} HTTP/1.1\r\nHost: a\r\n${at === order.length - 1 ? 'Connection: close\r\n' : ''}\r\n`,
      )
      .join(''),
  );
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.deepEqual(
    [...text.matchAll(/\[(\d) um\]/g)].map(([, n]) => Number(n)),
    order,
  );
});
