import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import cookie from '@fastify/cookie';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { createTestPlatform, type TestPlatform } from '../testing/platform.ts';
import type { Identity } from './options.ts';

const SCHEMA = `
  create table itens (id int primary key, nome text not null, dono int not null default 0);
  insert into itens select n, 'item ' || n, n % 3 from generate_series(1, 50) n;
  create unlogged table efemeros (id int primary key);
`;

/** `Bearer 7` is user 7; `Bearer 7 expired` was. */
const identify = {
  headers: ['authorization'],
  user: (headers: Readonly<Record<string, string | undefined>>): Identity | undefined => {
    const match = /^Bearer (\d+)( expired)?$/.exec(headers.authorization ?? '');
    return match ? { id: match[1] as string, expiresAt: match[2] ? Date.now() - 1 : undefined } : undefined;
  },
};

describe('cached routes', () => {
  let database: TestDatabase;
  let platform: TestPlatform;
  const calls = new Map<string, number>();
  const called = (name: string): void => {
    calls.set(name, (calls.get(name) ?? 0) + 1);
  };

  before(async () => {
    database = await createTestDatabase();
    platform = await createTestPlatform(database, {
      schema: SCHEMA,
      plugin: { identify, explain: true, audit: false },
    });
    const { app, db } = platform;
    await app.register(cookie);
    const cached = { config: { cache: true } } as const;
    app.get<{ Params: { id: string } }>('/itens/:id', cached, async (request, reply) => {
      called('item');
      const { rows } = await db.query('select * from itens where id = $1', [request.params.id]);
      return rows[0] ?? reply.code(404).send({ erro: 'nenhum' });
    });
    app.get('/conta', cached, async () => (await db.query('select count(*)::int as total from itens')).rows[0]);
    app.get('/meus', cached, async (request) => {
      called('meus');
      const { rows } = await db.query('select id from itens where dono = $1 order by id', [request.user?.id ?? 0]);
      return { user: request.user?.id ?? null, rows };
    });
    app.get('/header', cached, async (request) => {
      await db.query('select 1 from itens where id = 1');
      return { lingua: request.headers['accept-language'] ?? null };
    });
    app.get('/cookie', cached, async (request) => {
      called('cookie');
      await db.query('select 1 from itens where id = 1');
      return { tema: request.cookies.tema ?? null };
    });
    app.get<{ Querystring: { tipo?: string } }>('/as-vezes', cached, async (request) => {
      const { rows } = await db.query('select nome from itens where id = 1');
      if (rows[0].nome === 'pessoal') return { para: request.user?.id ?? null };
      return { para: 'todos' };
    });
    app.get('/authorization', cached, async (request) => {
      await db.query('select 1 from itens where id = 1');
      return { prova: request.headers.authorization ?? null };
    });
    app.get('/ip', cached, async (request) => {
      await db.query('select 1 from itens where id = 1');
      return { ip: request.ip };
    });
    app.get('/todos-headers', cached, async (request) => {
      await db.query('select 1 from itens where id = 1');
      return { ...request.headers };
    });
    app.get('/set-cookie', cached, async (_request, reply) => {
      await db.query('select 1 from itens where id = 1');
      return reply.setCookie('sessao', 'x').send({ ok: true });
    });
    app.get('/escreve', cached, async () => {
      called('escreve');
      await db.query('select * from itens where id = 2');
      await db.query(`update itens set nome = 'visto' where id = 2`);
      return (await db.query('select nome from itens where id = 2')).rows[0];
    });
    app.get('/agora', cached, async () => (await db.query('select now() as agora')).rows[0]);
    app.get(
      '/agora-ttl',
      { config: { cache: { ttl: '1h' } } },
      async () => (await db.query('select now() as agora, count(*) from itens')).rows[0],
    );
    app.get('/sem-comando', cached, async () => ({ n: Math.random() }));
    app.get('/nao-publicada', cached, async () => (await db.query('select * from efemeros')).rows);
    app.get('/erro-de-sql', cached, async () => {
      await db.query('select 1 / 0 from itens').catch(() => {});
      return (await db.query('select nome from itens where id = 3')).rows[0];
    });
    app.get('/transacao', cached, async () => {
      const client = await db.connect();
      try {
        await client.query('begin');
        const { rows } = await client.query('select nome from itens where id = 4');
        await client.query('commit');
        return rows[0];
      } finally {
        client.release();
      }
    });
    app.get('/checked-out', cached, async () => {
      const client = await db.connect();
      try {
        return (await client.query('select nome from itens where id = 5')).rows[0];
      } finally {
        client.release();
      }
    });
    app.get(
      '/ultimos',
      cached,
      async () => (await db.query('select id, nome from itens where id > 2000 order by id desc limit 3')).rows,
    );
    app.get(
      '/faixa',
      cached,
      async () => (await db.query('select count(*)::int as n from itens where id between 3000 and 3999')).rows[0],
    );
    app.get('/quebra', cached, async () => {
      await db.query('select 1 from itens where id = 1');
      throw new Error('quebrou');
    });
    app.post<{ Params: { id: string }; Body: { nome: string } }>('/itens/:id', async (request) => {
      await db.query('update itens set nome = $2 where id = $1', [request.params.id, request.body.nome]);
      return { ok: true };
    });
    await platform.listen();
  });

  after(async () => {
    await platform[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  const post = async (path: string, body: unknown): Promise<Response> =>
    fetch(`${platform.app.listeningOrigin}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  /** A miss that is stored, then a hit with the same bytes. */
  const assertCached = async (path: string, headers: Record<string, string> = {}): Promise<string> => {
    const first = await platform.get(path, headers);
    assert.match(first.cacheStatus, /^vazao; fwd=(uri|vary)-miss; stored$/, `${path}: ${first.cacheStatus}`);
    const second = await platform.get(path, headers);
    assert.match(second.cacheStatus, /^vazao; hit; detail="lag=[\d.]+ms"$/, `${path}: ${second.cacheStatus}`);
    assert.equal(second.text, first.text);
    assert.equal(second.headers.get('etag'), first.headers.get('etag'));
    return second.text;
  };

  const assertNotCached = async (path: string, reason: string, headers: Record<string, string> = {}): Promise<void> => {
    const first = await platform.get(path, headers);
    assert.equal(first.cacheStatus, `vazao; fwd=uri-miss; detail="not stored: ${reason}"`);
    const second = await platform.get(path, headers);
    assert.equal(second.cacheStatus, `vazao; fwd=bypass; detail="${reason}"`);
  };

  test('a second request is a hit, a change of the row by anybody makes the next a miss', async () => {
    assert.match(await assertCached('/itens/7'), /item 7/);
    await database.pool.query(`update itens set nome = 'mudado' where id = 7`);
    await platform.settled();
    assert.match(await assertCached('/itens/7'), /mudado/);
  });

  test('a change of another row leaves the entry alone', async () => {
    await assertCached('/itens/8');
    await database.pool.query(`update itens set nome = 'outro' where id = 9`);
    await platform.settled();
    assert.match((await platform.get('/itens/8')).cacheStatus, /; hit;/);
  });

  test('whoever writes through the application sees the write in the next read', async () => {
    for (let n = 0; n < 30; n++) {
      await platform.get('/itens/10');
      const response = await post('/itens/10', { nome: `nome ${n}` });
      assert.equal(response.status, 200);
      assert.ok(response.headers.get('vazao-position'));
      assert.match((await platform.get('/itens/10')).text, new RegExp(`nome ${n}"`));
    }
  });

  test('a missing row is cached as missing until it is inserted', async () => {
    assert.equal((await platform.get('/itens/1000')).status, 404);
    assert.match((await platform.get('/itens/1000')).cacheStatus, /; hit;/);
    await database.pool.query(`insert into itens values (1000, 'novo')`);
    await platform.settled();
    assert.equal((await platform.get('/itens/1000')).status, 200);
  });

  test('If-None-Match is answered with 304 on hits and on misses', async () => {
    const { headers } = await platform.get('/itens/11');
    const etag = headers.get('etag') as string;
    const hit = await platform.get('/itens/11', { 'if-none-match': etag });
    assert.equal(hit.status, 304);
    assert.equal(hit.text, '');
    assert.equal(hit.headers.get('etag'), etag);
    await database.pool.query('update itens set dono = dono + 1 where id = 11');
    await platform.settled();
    const changed = await platform.get('/itens/11', { 'if-none-match': etag });
    assert.equal(changed.status, 200);
    const again = await platform.get('/itens/11', { 'if-none-match': `W/"x", ${changed.headers.get('etag')}` });
    assert.equal(again.status, 304);
  });

  test('HEAD is answered from the entry of GET, without a body', async () => {
    await platform.get('/itens/12');
    const response = await fetch(`${platform.app.listeningOrigin}/itens/12`, { method: 'HEAD' });
    assert.match(response.headers.get('cache-status') ?? '', /; hit;/);
    assert.ok(Number(response.headers.get('content-length')) > 0);
    assert.equal(await response.text(), '');
  });

  test('an answer that reads the user is per user, and private', async () => {
    const one = await assertCached('/meus', { authorization: 'Bearer 1' });
    const two = await assertCached('/meus', { authorization: 'Bearer 2' });
    const nobody = await assertCached('/meus');
    assert.match(one, /"user":"1"/);
    assert.match(two, /"user":"2"/);
    assert.match(nobody, /"user":null/);
    const { headers } = await platform.get('/meus', { authorization: 'Bearer 1' });
    assert.equal(headers.get('cache-control'), 'private, no-cache');
    assert.equal(headers.get('vary'), 'authorization');
  });

  test('a proof of identity that has ended is nobody’s, also on a hit', async () => {
    await platform.get('/meus', { authorization: 'Bearer 1' });
    assert.match((await platform.get('/meus', { authorization: 'Bearer 1 expired' })).text, /"user":null/);
  });

  test('an answer that nobody can change is public', async () => {
    assert.equal((await platform.get('/conta')).headers.get('cache-control'), 'public, no-cache');
  });

  test('a header that the handler reads is part of the key', async () => {
    assert.match(await assertCached('/header', { 'accept-language': 'pt-BR' }), /pt-BR/);
    assert.match(await assertCached('/header', { 'accept-language': 'en' }), /"en"/);
    assert.equal((await platform.get('/header', { 'accept-language': 'en' })).headers.get('vary'), 'accept-language');
  });

  test('a cookie that the handler reads is part of the key, and the others are not', async () => {
    assert.match(await assertCached('/cookie', { cookie: 'tema=escuro; visita=1' }), /escuro/);
    assert.match(await assertCached('/cookie', { cookie: 'tema=claro; visita=1' }), /claro/);
    const count = calls.get('cookie');
    const other = await platform.get('/cookie', { cookie: 'visita=2; tema=escuro' });
    assert.match(other.text, /escuro/);
    assert.match(other.cacheStatus, /; hit;/);
    assert.equal(calls.get('cookie'), count);
  });

  test('a handler that reads the user only for some rows never serves one user’s answer to another', async () => {
    await database.pool.query(`update itens set nome = 'comum' where id = 1`);
    await platform.settled();
    assert.match((await platform.get('/as-vezes', { authorization: 'Bearer 1' })).text, /todos/);
    assert.match((await platform.get('/as-vezes', { authorization: 'Bearer 2' })).cacheStatus, /; hit;/);
    await database.pool.query(`update itens set nome = 'pessoal' where id = 1`);
    await platform.settled();
    for (const user of ['1', '2', '3', '1', '2']) {
      assert.equal((await platform.get('/as-vezes', { authorization: `Bearer ${user}` })).text, `{"para":"${user}"}`);
    }
    assert.equal((await platform.get('/as-vezes')).text, '{"para":null}');
  });

  test('many users at once each get their own', async () => {
    await database.pool.query(`update itens set nome = 'pessoal' where id = 1`);
    await platform.settled();
    for (let round = 0; round < 5; round++) {
      await database.pool.query('update itens set dono = dono + 1 where id = 1');
      await platform.settled();
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, n) => platform.get('/as-vezes', { authorization: `Bearer ${n % 7}` })),
      );
      for (const [n, answer] of answers.entries()) assert.equal(answer.text, `{"para":"${n % 7}"}`);
    }
  });

  test('reading the authorization header, the address or all headers makes an answer uncacheable', async () => {
    await assertNotCached('/authorization', 'authorization', { authorization: 'Bearer 1' });
    await assertNotCached('/ip', 'raw-request');
    await assertNotCached('/todos-headers', 'all-headers');
  });

  test('an answer that sets a cookie is never stored', async () => {
    await assertNotCached('/set-cookie', 'set-cookie');
    assert.match((await platform.get('/set-cookie')).headers.get('set-cookie') ?? '', /sessao=x/);
  });

  test('a handler that writes runs every time, and sees its own write', async () => {
    calls.set('escreve', 0);
    const first = await platform.get('/escreve');
    assert.equal(first.text, '{"nome":"visto"}');
    assert.match(first.cacheStatus, /not stored: write/);
    await platform.get('/escreve');
    assert.equal(calls.get('escreve'), 2);
  });

  test('what depends on time needs a ttl', async () => {
    await assertNotCached('/agora', 'time');
    await assertCached('/agora-ttl');
  });

  test('what reads nothing through the pool, or reads what the feed can’t see, is not stored', async () => {
    await assertNotCached('/sem-comando', 'no-statement');
    await assertNotCached('/nao-publicada', 'unlogged');
  });

  test('a failing statement costs the caching, not the answer', async () => {
    const answer = await platform.get('/erro-de-sql');
    assert.equal(answer.text, '{"nome":"item 3"}');
    assert.match(answer.cacheStatus, /statement-failed/);
  });

  test('what is read in a transaction is cached, and so is what a checked-out client reads', async () => {
    await assertCached('/transacao');
    await assertCached('/checked-out');
  });

  test('a row that sorts below the last one shown does not touch a top list', async () => {
    await database.pool.query(`insert into itens select n, 'x' from generate_series(2010, 2050, 10) n`);
    await platform.settled();
    assert.match(await assertCached('/ultimos'), /2050.*2040.*2030/);
    await database.pool.query(`insert into itens values (2025, 'abaixo')`);
    await database.pool.query(`delete from itens where id = 2010`);
    await platform.settled();
    assert.match((await platform.get('/ultimos')).cacheStatus, /; hit;/);
    await database.pool.query(`delete from itens where id = 2040`);
    await platform.settled();
    assert.match(await assertCached('/ultimos'), /2050.*2030.*2025/);
  });

  test('a row outside of a range does not touch what reads the range', async () => {
    assert.equal(await assertCached('/faixa'), '{"n":0}');
    await database.pool.query(`insert into itens values (2999, 'fora'), (4000, 'fora')`);
    await platform.settled();
    assert.match((await platform.get('/faixa')).cacheStatus, /; hit;/);
    await database.pool.query(`insert into itens values (3000, 'dentro')`);
    await platform.settled();
    assert.equal(await assertCached('/faixa'), '{"n":1}');
  });

  test('an error is not stored', async () => {
    const answer = await platform.get('/quebra');
    assert.equal(answer.status, 500);
    assert.match(answer.cacheStatus, /not stored: failed/);
    assert.equal((await platform.get('/quebra')).status, 500);
  });

  test('requests at once share one computation', async () => {
    await database.pool.query('update itens set dono = dono where id = 20');
    calls.set('item', 0);
    const answers = await Promise.all(Array.from({ length: 50 }, () => platform.get('/itens/20')));
    assert.equal(calls.get('item'), 1);
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
  });

  test('app.inject meets the same cache', async () => {
    await platform.get('/itens/30');
    const response = await platform.app.inject('/itens/30');
    assert.match(String(response.headers['cache-status']), /; hit;/);
    assert.match(response.body, /item 30/);
  });

  test('explain tells the statements, and which change ended the entry', async () => {
    await platform.get('/itens/40');
    await database.pool.query(`update itens set nome = 'fim' where id = 40`);
    await platform.settled();
    const dropped = JSON.parse((await platform.get(`/.vazao/explain?url=${encodeURIComponent('/itens/40')}`)).text);
    assert.equal(dropped.entries[0].state, 'dropped');
    assert.equal(dropped.entries[0].lastDrop.table, 'public.itens');
    assert.equal(dropped.entries[0].lastDrop.row.id, '40');
    assert.ok(dropped.entries[0].lastDrop.msAfterCommit >= 0);
    await platform.get('/itens/40');
    const kept = JSON.parse((await platform.get(`/.vazao/explain?url=${encodeURIComponent('/itens/40')}`)).text);
    assert.equal(kept.entries[0].state, 'fresh');
    assert.deepEqual(kept.entries[0].statements[0].terms[0].predicates, ['id in (40)']);
    assert.equal(kept.entries[0].statements[0].terms[0].grain, 'row');
  });

  test('a change of the schema drops everything, and caching goes on', async () => {
    await assertCached('/conta?antes');
    await database.pool.query('alter table itens add column extra int default 5');
    await platform.settled();
    assert.doesNotMatch((await platform.get('/itens/7')).cacheStatus, /; hit;/);
    const deadline = Date.now() + 60_000;
    while (!(await platform.get('/itens/7')).cacheStatus.includes('; hit;'))
      assert.ok(Date.now() < deadline, 'caching did not come back');
    assert.match((await platform.get('/itens/7')).text, /"extra":5/);
  });
});
