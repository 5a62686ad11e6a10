/** A cached route answers what the same route would have answered uncached: on a miss, and on the hit after it. */
import assert from 'node:assert/strict';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { RouteHandlerMethod } from 'fastify';
import { createTestDatabase } from '../testing/database.ts';
import { createTestPlatform } from '../testing/platform.ts';

const SCHEMA = 'create table itens (id int primary key, nome text not null); insert into itens values (1, $$um$$);';

/** What caching adds, or what one sending has of its own. */
const OURS = new Set(['vazao-position', 'cache-status', 'date', 'keep-alive', 'connection']);
/** What caching adds where the application says nothing. */
const ADDED = new Set(['etag', 'cache-control']);
/** A complete answer has a length; a stream, uncached, has none. */
const FRAMING = new Set(['content-length', 'transfer-encoding']);

const HANDLERS: Readonly<Record<string, RouteHandlerMethod>> = {
  string: async () => 'olá',
  object: async () => ({ a: 1 }),
  buffer: async () => Buffer.from([0, 255, 10]),
  'typed-array': async (_request, reply) => reply.type('application/x').send(new Uint16Array([1, 515])),
  'array-buffer': async (_request, reply) => reply.type('application/x').send(new Uint8Array([1, 2]).buffer),
  null: async () => null,
  empty: async () => '',
  undefined: (_request, reply) => void reply.send(),
  stream: async (_request, reply) => reply.type('text/plain').send(Readable.from(['a', 'ç'])),
  'web-stream': async (_request, reply) => reply.type('text/plain').send(new Blob(['web']).stream()),
  response: async () => new Response('r', { status: 203, headers: { 'x-r': '1', 'content-type': 'text/x' } }),
  callback: (_request, reply) => void setTimeout(() => reply.send('tarde'), 5),
  '204': async (_request, reply) => reply.code(204).send(),
  '301': async (_request, reply) => reply.redirect('/onde', 301),
  '302': async (_request, reply) => reply.redirect('/onde'),
  '404': async (_request, reply) => reply.callNotFound(),
  '410': async (_request, reply) => reply.code(410).send({ erro: 'ido' }),
  '206': async (_request, reply) => reply.code(206).header('content-range', 'bytes 0-1/9').send('ab'),
  '304': async (_request, reply) => reply.code(304).send(),
  error: async () => {
    throw Object.assign(new Error('não'), { statusCode: 422 });
  },
  fails: async () => {
    throw new Error('quebrou');
  },
  charset: async (_request, reply) => reply.type('text/plain; charset=latin1').send(Buffer.from('é', 'latin1')),
  links: async (_request, reply) => reply.header('link', ['<a>; rel=x', '<b>; rel=y']).send('l'),
  vary: async (_request, reply) => reply.header('vary', 'accept-encoding').send('v'),
  cookies: async (_request, reply) => reply.header('set-cookie', ['a=1', 'b=2']).send('c'),
  etag: async (_request, reply) => reply.header('etag', '"forte"').send('e'),
  'weak-etag': async (_request, reply) => reply.header('etag', 'W/"fraco"').send('e'),
  'cache-control': async (_request, reply) => reply.header('cache-control', 'public, max-age=5').send('cc'),
  'no-store': async (_request, reply) => reply.header('cache-control', 'no-store').send('ns'),
  encoded: async (_request, reply) => reply.header('content-encoding', 'x-nada').type('text/plain').send('x'),
  'last-modified': async (_request, reply) => reply.header('last-modified', 'Mon, 01 Jan 2024 00:00:00 GMT').send('lm'),
  number: async (_request, reply) => reply.header('x-number', 7).send('n'),
  raw: async (_request, reply) => {
    reply.hijack();
    reply.raw.setHeader('X-Before', 'um');
    reply.raw.writeHead(200, ['Link', 'a', 'Link', 'b', 'Content-Type', 'text/plain']);
    reply.raw.write('r');
    reply.raw.end('aw');
  },
  'raw-end': (_request, reply) => void reply.raw.end('cru'),
  trailers: async (_request, reply) => {
    reply.trailer('x-t', async () => 'fim');
    return reply.send('t');
  },
};

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly trailers: NodeJS.Dict<string>;
}

async function ask(url: string, method = 'GET'): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  httpRequest(url, { method, agent: false }, async (response) => {
    const body = Buffer.concat(await response.toArray()).toString('latin1');
    resolve({ status: response.statusCode, headers: response.headers, body, trailers: response.trailers });
  })
    .on('error', reject)
    .setTimeout(30_000, () => reject(new Error(`${url}: no answer`)))
    .end();
  return promise;
}

function assertSame(found: Answer, expected: Answer, what: string): void {
  assert.equal(found.status, expected.status, `${what}: status`);
  assert.equal(found.body, expected.body, `${what}: body`);
  assert.deepEqual(found.trailers, expected.trailers, `${what}: trailers`);
  for (const name of new Set([...Object.keys(found.headers), ...Object.keys(expected.headers)])) {
    if (OURS.has(name) || (ADDED.has(name) && expected.headers[name] === undefined)) continue;
    if (FRAMING.has(name) && (found.headers[name] === undefined || expected.headers[name] === undefined)) continue;
    assert.deepEqual(found.headers[name], expected.headers[name], `${what}: ${name}`);
  }
}

test('miss, hit and uncached agree', async (t) => {
  await using database = await createTestDatabase();
  await using platform = await createTestPlatform(database, { schema: SCHEMA });
  const { app, db } = platform;
  for (const [name, handler] of Object.entries(HANDLERS)) {
    const reading: RouteHandlerMethod = function (request, reply) {
      db.query('select nome from itens where id = 1').then(
        async () => {
          try {
            const payload = await handler.call(this, request, reply);
            if (payload !== undefined && payload !== reply) reply.send(payload);
          } catch (error) {
            reply.send(error);
          }
        },
        (error) => reply.send(error),
      );
    };
    app.get(`/cached/${name}`, { config: { cache: true } }, reading);
    app.get(`/plain/${name}`, reading);
  }
  const origin = await platform.listen();
  for (const name of Object.keys(HANDLERS)) {
    await t.test(name, async () => {
      const plain = await ask(`${origin}/plain/${name}`);
      const plainBody = { ...plain, body: plain.body.replaceAll('/plain/', '/cached/') };
      if (name === '404') delete plainBody.headers['content-length'];
      assertSame(await ask(`${origin}/cached/${name}`), plainBody, 'miss');
      const again = await ask(`${origin}/cached/${name}`);
      assertSame(again, plainBody, 'hit, or second miss');
      if (!String(again.headers['cache-status']).includes('; hit;')) return;
      const head = await ask(`${origin}/cached/${name}`, 'HEAD');
      assert.match(String(head.headers['cache-status']), /; hit;/);
      assert.equal(head.headers['content-length'], again.headers['content-length']);
    });
  }
});
