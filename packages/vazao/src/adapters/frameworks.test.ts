/** Cached routes of Express and Hono, on real servers. The same cases for both. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { getRequestListener } from '@hono/node-server';
import express from 'express';
import { type Context, Hono } from 'hono';
import type { ValueCache } from '../standalone/index.ts';
import { until } from '../testing/cached-app.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { createTestCache } from '../testing/value-cache.ts';
import { cached as cachedExpress } from './express/index.ts';
import { cached as cachedHono } from './hono/index.ts';

const SCHEMA = `create table itens (id int primary key, nome text not null);
  insert into itens select n, 'item ' || n from generate_series(1, 50) n;`;

/** What the cases ask of a request, in the words of either framework. */
interface Ask {
  readonly id: string;
  header(name: string): string | undefined;
  listHeaders(): unknown;
  say(name: string, value: string): void;
}

type Handle = (ask: Ask, read: (id: string) => Promise<string>) => Promise<string | { status: number; text: string }>;

const plain: Handle = (ask, read) => read(ask.id);
const HANDLERS: Readonly<Record<string, Handle>> = {
  plain,
  tenant: plain,
  language: async (ask, read) => `${await read(ask.id)} ${ask.header('accept-language')}`,
  vary: async (ask, read) => {
    ask.say('vary', 'X-Color');
    return read(ask.id);
  },
  cookie: async (ask, read) => {
    ask.say('set-cookie', 'a=1');
    return read(ask.id);
  },
  private: async (ask, read) => {
    ask.say('cache-control', 'private');
    return read(ask.id);
  },
  authorization: async (ask, read) => `${await read(ask.id)} ${ask.header('authorization')}`,
  all: async (ask, read) => `${await read(ask.id)} ${JSON.stringify(ask.listHeaders()).length}`,
  conditional: async (ask, read) => `${await read(ask.id)} ${ask.header('if-none-match')}`,
  large: async (ask, read) => `${await read(ask.id)} ${'x'.repeat(50_000)}`,
  missing: async (ask, read) => ({ status: 404, text: `not ${await read(ask.id)}` }),
  teapot: async (ask, read) => ({ status: 418, text: await read(ask.id) }),
  throws: async (ask, read) => {
    throw new Error(await read(ask.id));
  },
};

for (const framework of ['Express', 'Hono'] as const) {
  describe(framework, () => {
    let database: TestDatabase;
    let cache: ValueCache;
    let server: Server;
    let origin = '';
    let requests = 0;
    const runs = new Map<string, number>();

    before(async () => {
      database = await createTestDatabase();
      cache = await createTestCache(database, SCHEMA);
      server = createServer(framework === 'Express' ? createExpress() : createHono());
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
      origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    });
    after(async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await cache.close();
      await database[Symbol.asyncDispose]();
    });

    const read = async (id: string): Promise<string> => {
      runs.set(id, (runs.get(id) ?? 0) + 1);
      return (await cache.db.query('select nome from itens where id = $1', [id])).rows[0].nome;
    };

    function createExpress(): ReturnType<typeof express> {
      const app = express();
      app.use((_request, response, next) => {
        response.setHeader('x-request', String(++requests));
        next();
      });
      for (const [name, handle] of Object.entries(HANDLERS)) {
        const key = name === 'tenant' ? (request: express.Request) => request.get('x-tenant') : undefined;
        app.get(`/${name}/:id`, cachedExpress(cache, { key, bodyMaxBytes: 20_000 }), async (request, response) => {
          const made = await handle(
            {
              id: request.params.id as string,
              header: (header) => request.get(header),
              listHeaders: () => ({ ...request.headers }),
              say: (header, value) => response.setHeader(header, value),
            },
            read,
          );
          if (typeof made === 'string') response.send(made);
          else response.status(made.status).send(made.text);
        });
      }
      app.get('/ip/:id', cachedExpress(cache), async (request, response) => {
        response.send(`${await read(request.params.id as string)} ${request.ip}`);
      });
      app.use((error: Error, _request: express.Request, response: express.Response, _next: unknown) => {
        response.status(500).send(error.message);
      });
      return app;
    }

    function createHono(): ReturnType<typeof getRequestListener> {
      const app = new Hono();
      app.use(async (context, next) => {
        context.header('x-request', String(++requests));
        await next();
      });
      for (const [name, handle] of Object.entries(HANDLERS)) {
        const key = name === 'tenant' ? (context: Context) => context.req.header('x-tenant') : undefined;
        app.get(`/${name}/:id`, cachedHono<Context>(cache, { key, bodyMaxBytes: 20_000 }), async (context) => {
          const made = await handle(
            {
              id: context.req.param('id') as string,
              header: (header) => context.req.header(header),
              listHeaders: () => context.req.header(),
              say: (header, value) => context.header(header, value),
            },
            read,
          );
          return typeof made === 'string' ? context.text(made) : context.text(made.text, made.status as 404);
        });
      }
      app.onError((error, context) => context.text(error.message, 500));
      return getRequestListener(app.fetch);
    }

    interface Got {
      readonly status: number;
      readonly text: string;
      readonly cacheStatus: string;
      readonly headers: Headers;
    }

    async function get(path: string, headers: Record<string, string> = {}): Promise<Got> {
      const response = await fetch(origin + path, { headers });
      const cacheStatus = response.headers.get('cache-status') ?? '';
      return { status: response.status, text: await response.text(), cacheStatus, headers: response.headers };
    }

    async function assertNever(path: string, reason: RegExp, headers: Record<string, string> = {}): Promise<void> {
      for (let round = 0; round < 3; round++) {
        const { cacheStatus } = await get(path, headers);
        assert.match(cacheStatus, reason, path);
        assert.doesNotMatch(cacheStatus, /; hit/, path);
      }
    }

    test('an answer is kept until its row changes; a client that has it gets a 304', async () => {
      const miss = await get('/plain/1');
      assert.deepEqual([miss.status, miss.text, miss.cacheStatus], [200, 'item 1', 'vazao; fwd=uri-miss; stored']);
      const hit = await get('/plain/1');
      assert.match(hit.cacheStatus, /^vazao; hit; detail="lag=/);
      for (const name of ['content-type', 'etag', 'cache-control', 'content-length'])
        assert.equal(hit.headers.get(name), miss.headers.get(name), name);
      assert.equal(runs.get('1'), 1);
      const etag = hit.headers.get('etag') ?? '';
      const same = await get('/plain/1', { 'if-none-match': etag });
      assert.deepEqual([same.status, same.text, same.headers.get('etag')], [304, '', etag]);
      await database.pool.query("update itens set nome = 'um' where id = 1");
      await until('the change ends it', async () => (await get('/plain/1')).text === 'um');
      const other = await get('/plain/1', { 'if-none-match': etag });
      assert.deepEqual([other.status, other.text], [200, 'um']);
      assert.equal(runs.get('1'), 2);
    });

    test('the first to ask with a condition gets a 304 too, and leaves the whole answer', async () => {
      const { headers } = await get('/plain/2');
      await cache.db.query("update itens set nome = nome || '' where id = 2");
      await cache.db.query("update itens set nome = 'item 2' where id = 2");
      const { status } = await get('/plain/2', { 'if-none-match': headers.get('etag') ?? '' });
      assert.equal(status, 304);
      assert.deepEqual([(await get('/plain/2')).text, (await get('/plain/2')).status], ['item 2', 200]);
      assert.match((await get('/conditional/3', { 'if-none-match': '"x"' })).text, /item 3 undefined/);
    });

    test('many at once share one run', async () => {
      const all = await Promise.all(Array.from({ length: 20 }, () => get('/plain/4')));
      assert.ok(all.every(({ text }) => text === 'item 4'));
      assert.equal(runs.get('4'), 1);
    });

    test('what this process has written is in the next answer', async () => {
      for (let round = 0; round < 5; round++) {
        await cache.db.query('update itens set nome = $1 where id = 5', [`r${round}`]);
        assert.equal((await get('/plain/5')).text, `r${round}`);
      }
    });

    test('who brings a cookie or a token is not served what others share, nor kept', async () => {
      await get('/plain/6');
      await assertNever('/plain/6', /bypass; detail="credentials"/, { cookie: 'a=1' });
      await assertNever('/plain/6', /bypass; detail="credentials"/, { authorization: 'Bearer x' });
      assert.match((await get('/plain/6')).cacheStatus, /; hit/);
    });

    test('a key says who shares, also with a cookie', async () => {
      const as = (tenant: string): Promise<Got> => get('/tenant/7', { 'x-tenant': tenant, cookie: 'a=1' });
      assert.match((await as('a')).cacheStatus, /stored/);
      assert.match((await as('a')).cacheStatus, /; hit/);
      assert.match((await as('b')).cacheStatus, /stored/);
      assert.equal((await as('a')).headers.get('cache-control'), 'private, no-cache');
      await assertNever('/tenant/7', /bypass; detail="key"/);
    });

    test('what the handler reads of the headers, or says it varies by, becomes a part of the key', async () => {
      const path = '/language/8';
      const inLanguage = (language: string): Promise<Got> => get(path, { 'accept-language': language });
      for (const language of ['pt', 'en', 'pt', 'en', 'de', 'de']) {
        const { text } = await inLanguage(language);
        assert.equal(text, `item 8 ${language}`);
      }
      const { cacheStatus, headers } = await inLanguage('pt');
      assert.match(cacheStatus, /; hit/);
      assert.match(headers.get('vary') ?? '', /accept-language/i);
      for (const color of ['red', 'blue']) {
        await get('/vary/9', { 'x-color': color });
        assert.doesNotMatch((await get('/vary/9', { 'x-color': `${color}!` })).cacheStatus, /; hit/);
      }
      assert.match((await get('/vary/9', { 'x-color': 'blue!' })).cacheStatus, /; hit/);
      // Of another host it may be another's.
      const { hostname, port } = new URL(origin);
      await get('/plain/10');
      const other = await fetch(`http://localhost:${port}/plain/10`).catch(() => undefined);
      if (other && hostname !== 'localhost') assert.doesNotMatch(other.headers.get('cache-status') ?? '', /; hit/);
    });

    for (const [name, reason] of [
      ['cookie', /not stored: set-cookie|bypass; detail="set-cookie"/],
      ['private', /"(not stored: )?private"/],
      ['authorization', /"(not stored: )?(authorization|varied)"/],
      ['all', /"(not stored: )?(all-headers|varied)"/],
      ['large', /too-large|^$/],
      ['teapot', /not stored: status/],
      ['throws', /not stored: failed/],
    ] as const) {
      test(`an answer is not kept: ${name}`, async () => {
        await assertNever(`/${name}/11`, reason);
        const { status, text, headers } = await get(`/${name}/11`);
        assert.equal(status, name === 'teapot' ? 418 : name === 'throws' ? 500 : 200);
        assert.ok(text.startsWith('item 11'));
        if (name === 'large') assert.equal(text.length, 50_008);
        if (name === 'cookie') assert.equal(headers.get('set-cookie'), 'a=1');
      });
    }

    test('a 404 that read rows is kept, until they change', async () => {
      await get('/missing/12');
      const { status, cacheStatus } = await get('/missing/12');
      assert.equal(status, 404);
      assert.match(cacheStatus, /; hit/);
    });

    test('what earlier middleware says of a request is not another’s', async () => {
      const said = [];
      for (let round = 0; round < 3; round++) said.push((await get('/plain/13')).headers.get('x-request'));
      assert.equal(new Set(said).size, 3);
    });

    test('HEAD is the framework’s own', async () => {
      await get('/plain/14');
      const response = await fetch(`${origin}/plain/14`, { method: 'HEAD' });
      assert.deepEqual([response.status, await response.text()], [200, '']);
    });

    if (framework === 'Express') {
      test('what reads the socket is not kept', () => assertNever('/ip/15', /"(not stored: )?raw-request"/));
    }
  });
}
