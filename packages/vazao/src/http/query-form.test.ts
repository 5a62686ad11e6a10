/** Which spellings of an address share an answer, and which do not. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { RouteOptions } from 'fastify';
import { createSetting, type Setting, until } from '../testing/cached-app.ts';
import { resolveQueryForm } from './query-form.ts';

const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  properties: {
    pagina: { type: 'integer', default: 1 },
    ordem: { type: 'string' },
    'com acento é': { type: 'string' },
  },
} as const;

/** Routes that tell all that their handlers can see of the address. */
async function start(options: Partial<RouteOptions> = {}): Promise<Setting & { origin: string }> {
  const setting = await createSetting();
  const { app, read } = setting;
  for (const [url, schema] of [
    ['/lista', { querystring: SCHEMA }],
    ['/livre', undefined],
    ['/aberta', { querystring: { ...SCHEMA, additionalProperties: true } }],
  ] as const)
    app.route({
      method: 'GET',
      url,
      config: { cache: true },
      ...(schema && { schema }),
      ...options,
      handler: async (request) => ({
        nome: await read(),
        query: JSON.stringify(request.query),
        urls: [request.url, request.originalUrl, request.raw.url],
      }),
    });
  app.get('/perfil', { config: { cache: true } }, async () => ({ nome: await read() }));
  return Object.assign(setting, { origin: await setting.platform.listen() });
}

test('where the schema names all parameters, order, spelling and what it does not name are no part of the key', async () => {
  await using setting = await start();
  const { platform } = setting;
  const first = await platform.get('/lista?ordem=nome%20a&pagina=2');
  assert.match(first.cacheStatus, /uri-miss/);
  for (const query of [
    'pagina=2&ordem=nome%20a',
    'pagina=2&ordem=nome+a',
    'ordem=%6eome%20a&%70agina=2',
    'ordem=nome%20a&utm_source=x&pagina=2',
    'ordem=nome%20a&pagina=2&',
    'pagina=2&ordem=nome+a', // by now without routing
  ]) {
    const again = await platform.get(`/lista?${query}`);
    assert.equal(again.text, first.text, query);
  }
  assert.deepEqual(platform.cache.keys('', 100), ['/lista?ordem=nome%20a&pagina=2']);
  const isHit = async () => (await platform.get('/lista?pagina=2&ordem=nome+a')).cacheStatus.startsWith('vazao; hit');
  await until('another spelling is a hit', isHit);
  const { query, urls } = JSON.parse(first.text);
  assert.equal(query, '{"ordem":"nome a","pagina":2}');
  assert.deepEqual(urls, Array(3).fill('/lista?ordem=nome%20a&pagina=2'));
});

test('what differs in meaning differs in key, also under such a schema', async () => {
  await using setting = await start();
  const { platform } = setting;
  const texts = new Set<string>();
  const queries = ['', '?pagina=1', '?pagina=2', '?pagina=01', '?ordem=', '?ordem=a%26pagina%3D2', '?ordem=a&pagina=2'];
  for (const query of queries) texts.add((await platform.get(`/lista${query}`)).text);
  assert.equal(texts.size, queries.length);
  // A parameter twice is two values, which the schema refuses.
  assert.equal((await platform.get('/lista?pagina=1&pagina=2')).status, 400);
  assert.equal((await platform.get('/lista?pagina=x&utm=1')).status, 400);
});

test('a handler sees one address, however many clients write it in other ways', async () => {
  await using setting = await start();
  const { platform } = setting;
  const miss = await platform.get('/lista?utm=1&pagina=7&ordem=z');
  assert.match(miss.cacheStatus, /uri-miss/);
  assert.ok(!miss.text.includes('utm'));
  assert.equal((await platform.get('/lista?ordem=z&pagina=7')).text, miss.text);
});

test('without such a schema each spelling has an answer of its own', async () => {
  await using setting = await start();
  const { platform } = setting;
  for (const path of ['/livre', '/aberta'])
    for (const query of ['a=1&b=2', 'b=2&a=1', 'a=%31&b=2', 'a=1&b=2&utm=x']) {
      const answer = await platform.get(`${path}?${query}`);
      assert.match(answer.cacheStatus, /uri-miss/, `${path}?${query}`);
      assert.deepEqual(JSON.parse(answer.text).urls, Array(3).fill(`${path}?${query}`));
    }
});

test('what the validation of the route would not remove is not left out', async () => {
  await using setting = await start({ validatorCompiler: () => () => true });
  const { platform } = setting;
  const answer = await platform.get('/lista?ordem=a&utm=1');
  assert.deepEqual(JSON.parse(answer.text).urls, Array(3).fill('/lista?ordem=a&utm=1'));
  assert.match((await platform.get('/lista?utm=2&ordem=a')).cacheStatus, /uri-miss/);
});

test('schemas whose parameters are more than names with plain values say nothing of their order', () => {
  const form = (querystring: unknown) => resolveQueryForm({ schema: { querystring } });
  assert.deepEqual(form(SCHEMA), ['com acento é', 'ordem', 'pagina']);
  assert.deepEqual(resolveQueryForm({ schema: { query: SCHEMA } as never }), ['com acento é', 'ordem', 'pagina']);
  assert.deepEqual(form({ type: 'object', additionalProperties: false }), []);
  for (const schema of [
    undefined,
    null,
    { ...SCHEMA, additionalProperties: undefined },
    { ...SCHEMA, additionalProperties: true },
    { ...SCHEMA, properties: { a: { type: 'array', items: { type: 'string' } } } },
    { ...SCHEMA, properties: { a: { type: ['string', 'array'] } } },
    { ...SCHEMA, properties: { a: {} } },
    { ...SCHEMA, patternProperties: {} },
    { ...SCHEMA, allOf: [] },
    { ...SCHEMA, type: undefined },
  ])
    assert.equal(form(schema), undefined, JSON.stringify(schema));
});

/** One request with exactly this target. */
async function send(origin: string, target: string): Promise<{ status: number; head: string; body: string }> {
  const { hostname, port } = new URL(origin);
  const socket = connect(Number(port), hostname);
  socket.write(`GET ${target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n`);
  let text = '';
  for await (const chunk of socket) text += chunk;
  const [head = '', body = ''] = text.split('\r\n\r\n');
  return { status: Number(head.split(' ')[1]), head: head.toLowerCase(), body };
}

test('no other spelling of a path gets, or leaves, the answer of an address', async () => {
  await using setting = await start();
  const { origin, platform } = setting;
  const right = await send(origin, '/perfil');
  assert.match(right.head, /uri-miss/);
  // What the router takes for the same route computes an answer of its own; what it does not is not found.
  for (const target of ['/%70erfil', '/perfil?', '/perfil?x', '/perfil?%78']) {
    const first = await send(origin, target);
    assert.equal(first.status, 200, target);
    assert.match(first.head, /uri-miss/, target);
  }
  for (const target of [
    '//perfil',
    '/./perfil',
    '/x/../perfil',
    '/x/%2e%2e/perfil',
    '/perfil/',
    '/Perfil',
    '/perfil;x',
    '/perfil/x.css',
    '/perfil%2f',
    '/perfil%00',
    '/perfil%0d%0ax',
    '/perfil%',
  ]) {
    const other = await send(origin, target);
    assert.ok(other.status === 404 || other.status === 400, `${target}: ${other.status}`);
    assert.doesNotMatch(other.head, /cache-status: vazao; hit/, target);
  }
  const own = new Set(['/%70erfil', '/perfil', '/perfil?', '/perfil?%78', '/perfil?x']);
  for (const key of platform.cache.keys('', 100)) assert.ok(own.has(key), key);
});

test('a full URL, a fragment or an asterisk is never an address of the cache', async () => {
  await using setting = await start();
  const { origin, platform } = setting;
  await send(origin, '/perfil');
  for (const target of [
    'http://b.example/perfil',
    '/perfil#',
    '/perfil#.css',
    'https://a.example/perfil?x',
    '*',
    'perfil',
    'http://b.example',
  ]) {
    for (let time = 0; time < 2; time++) {
      const answer = await send(origin, target);
      assert.doesNotMatch(answer.head, /cache-status: vazao; (hit|fwd=uri-miss)/, target);
      if (answer.status === 200) assert.match(answer.head, /fwd=bypass; detail="request-target"/, target);
      else assert.ok([400, 404].includes(answer.status), `${target}: ${answer.status}`);
    }
  }
  for (const key of platform.cache.keys('', 100)) assert.equal(key, '/perfil');
});
