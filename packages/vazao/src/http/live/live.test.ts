/** Streams of events that follow cached answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cached, createPatientSetting, type Setting, until } from '../../testing/cached-app.ts';
import { type EventClient, openEvents } from '../../testing/event-client.ts';
import { createForeignPool } from '../../testing/platform.ts';

type LiveSetting = Setting & { origin: string; computed: () => number; write: (nome: string) => Promise<void> };

async function createLive(
  options: Parameters<typeof createPatientSetting>[0] = {},
  cache: object | true = true,
): Promise<LiveSetting> {
  const setting = await createPatientSetting(options);
  let computed = 0;
  setting.app.get<{ Params: { id: string } }>('/itens/:id', { config: { cache } }, async ({ params }, reply) => {
    computed++;
    const { rows } = await setting.platform.db.query('select id, nome from itens where id = $1', [params.id]);
    return rows[0] ?? reply.code(404).send({ erro: 'nada' });
  });
  return Object.assign(setting, {
    origin: '',
    computed: () => computed,
    write: async (nome: string) => {
      await setting.platform.db.query('update itens set nome = $1 where id = 1', [nome]);
    },
  });
}

async function nomeOf(client: EventClient): Promise<string> {
  return ((await client.nextJson()) as { nome: string }).nome;
}

test('the first event is the answer, and each change brings one more, computed once for all', async () => {
  await using setting = await createLive();
  const origin = await setting.platform.listen();
  const clients = await Promise.all(Array.from({ length: 20 }, () => openEvents(`${origin}/itens/1`)));
  for (const client of clients) {
    assert.equal(client.status, 200);
    assert.equal(client.headers['content-type'], 'text/event-stream');
    assert.equal(client.headers['cache-control'], 'no-store, no-transform');
    assert.equal(client.headers['x-accel-buffering'], 'no');
    assert.match(client.headers.vary ?? '', /accept/);
    assert.deepEqual(await client.nextJson(), { id: 1, nome: 'um' });
    assert.equal(client.retries.length, 1);
  }
  assert.equal(setting.computed(), 1, 'one computation for all who came');
  for (const nome of ['dois', 'três\nlinhas']) {
    const before = setting.computed();
    await setting.write(nome);
    for (const client of clients) assert.equal(await nomeOf(client), nome);
    assert.equal(setting.computed() - before, 1, 'one computation for all who follow');
  }
  const plain = await setting.platform.get('/itens/1');
  assert.match(plain.cacheStatus, /; hit;/, 'what the streams computed is a hit for readers');
  assert.deepEqual(setting.app.live, { streams: 20, answers: 1, computations: 2, sent: 60, skipped: 0, cutOff: 0 });
  for (const client of clients) client[Symbol.dispose]();
  await until('all have gone', () => setting.app.live?.streams === 0 && setting.app.live.answers === 0);
  const before = setting.computed();
  await setting.write('quatro');
  await setting.platform.settled();
  await setting.platform.get('/itens/1');
  assert.equal(setting.computed() - before, 1, 'without followers only readers compute');
});

test('a change that does not change the answer sends nothing', async () => {
  await using setting = await createLive({}, { liveInterval: 0 });
  const origin = await setting.platform.listen();
  using client = await openEvents(`${origin}/itens/1`);
  assert.equal(await nomeOf(client), 'um');
  const before = setting.computed();
  await setting.write('um');
  await setting.platform.settled();
  await until('it was computed', () => setting.computed() > before || setting.app.live?.computations === 0);
  await setting.write('dois');
  assert.equal(await nomeOf(client), 'dois', 'the next event is the next state');
});

test('while one computation runs, further changes cause at most one more, and the last state arrives', async () => {
  await using setting = await createPatientSetting();
  const { db } = setting.platform;
  let running = 0;
  let most = 0;
  let computed = 0;
  let read = 0;
  let gate = Promise.resolve();
  setting.app.get('/soma', { config: { cache: { liveInterval: 0 } } }, async () => {
    computed++;
    most = Math.max(most, ++running);
    const { rows } = await db.query('select nome from itens where id = 1');
    read++;
    await gate;
    running--;
    return rows[0];
  });
  const origin = await setting.platform.listen();
  using client = await openEvents(`${origin}/soma`);
  assert.equal(await nomeOf(client), 'um');
  const opened = Promise.withResolvers<void>();
  gate = opened.promise;
  await db.query(`update itens set nome = 'a' where id = 1`);
  await until('it has read', () => read === 2);
  for (const nome of ['b', 'c', 'd', 'e']) await db.query('update itens set nome = $1 where id = 1', [nome]);
  await setting.platform.settled();
  assert.equal(computed, 2);
  opened.resolve();
  gate = Promise.resolve();
  assert.equal(await nomeOf(client), 'e', 'what was overtaken is not shown');
  assert.equal(computed, 3);
  assert.equal(most, 1);
});

test('under so many writes that each overtakes its computation, states are shown all the same, in their order', async () => {
  await using setting = await createPatientSetting();
  const { db } = setting.platform;
  let n = 0;
  let isBusy = false;
  setting.app.get('/muda', { config: { cache: { liveInterval: 0 } } }, async () => {
    const { rows } = await db.query('select nome from itens where id = 1');
    if (isBusy) {
      // Somebody else's hand, between the statement and the answer.
      const { rows: written } = await foreign.query('update itens set nome = $1 where id = 1 returning 1', [`v${++n}`]);
      assert.equal(written.length, 1);
      await setting.platform.settled();
    }
    return rows[0];
  });
  const foreign = createForeignPool(setting.database);
  const origin = await setting.platform.listen();
  using client = await openEvents(`${origin}/muda`);
  assert.equal(await nomeOf(client), 'um');
  isBusy = true;
  await foreign.query(`update itens set nome = 'v0' where id = 1`);
  const seen: number[] = [];
  for (let i = 0; i < 3; i++) seen.push(Number((await nomeOf(client)).slice(1)));
  assert.deepEqual(
    seen.toSorted((a, b) => a - b),
    seen,
  );
  isBusy = false;
  const last = `v${n}`;
  await client.until(
    'the last state',
    () => JSON.parse(client.events.at(-1)?.data ?? '{}').nome === last || n > Number(last.slice(1)),
  );
  await client.until('the last state of all', () => JSON.parse(client.events.at(-1)?.data ?? '{}').nome === `v${n}`);
  await foreign.end();
});

test('a row that goes is an event `status` with problem details, and the stream goes on until it comes back', async () => {
  await using setting = await createLive({}, { liveInterval: 0 });
  const { db } = setting.platform;
  const origin = await setting.platform.listen();
  using client = await openEvents(`${origin}/itens/1`);
  assert.equal(await nomeOf(client), 'um');
  await db.query('delete from itens where id = 1');
  const gone = await client.next();
  assert.equal(gone.event, 'status');
  assert.deepEqual(JSON.parse(gone.data), { type: 'about:blank', title: 'Not Found', status: 404 });
  await db.query(`insert into itens values (1, 'de volta')`);
  assert.equal(await nomeOf(client), 'de volta');

  const absent = await openEvents(`${origin}/itens/9`);
  assert.equal(absent.status, 404, 'what is not there at first is answered so');
  await absent.until('its end', () => absent.isEnded);
  assert.deepEqual(JSON.parse(absent.text), { erro: 'nada' });
});

test('who comes back and has seen the state is told only when there is another', async () => {
  await using setting = await createLive();
  const origin = await setting.platform.listen();
  using client = await openEvents(`${origin}/itens/1`);
  const { id } = await client.next();
  client[Symbol.dispose]();
  using back = await openEvents(`${origin}/itens/1`, { 'last-event-id': id });
  await back.until('its first bytes', () => back.retries.length === 1);
  await setting.write('dois');
  assert.equal(await nomeOf(back), 'dois');
  assert.equal(back.events.length, 1);
  using later = await openEvents(`${origin}/itens/1`, { 'last-event-id': id });
  assert.equal(await nomeOf(later), 'dois', 'meanwhile there was another');
  using forged = await openEvents(`${origin}/itens/1`, { 'last-event-id': '../../etc' });
  assert.equal(await nomeOf(forged), 'dois');
});

test('each user follows their own answer, and a stream ends with the proof of who is asking', async () => {
  const expiresAt = new Map<string, number>();
  const signedOut = new Set<string>();
  await using setting = await createPatientSetting({
    plugin: {
      identify: {
        headers: ['authorization'],
        remembers: true,
        user: ({ authorization }) => {
          const id = authorization?.slice('Bearer '.length).split(' ')[0];
          return id && !signedOut.has(id) ? { id, expiresAt: expiresAt.get(id) } : undefined;
        },
      },
      live: { heartbeatMs: 200 },
    },
  });
  const { db } = setting.platform;
  await db.query(`insert into itens values (2, 'de ana'), (3, 'de bia')`);
  const own: Record<string, number> = { ana: 2, bia: 3 };
  setting.app.get('/meu', { config: { cache: true } }, async (request, reply) => {
    const user = request.user;
    if (!user) return reply.code(401).send({ erro: 'quem?' });
    return (await db.query('select nome from itens where id = $1', [own[user.id]])).rows[0];
  });
  const origin = await setting.platform.listen();
  const as = (token: string): Promise<EventClient> => openEvents(`${origin}/meu`, { authorization: `Bearer ${token}` });
  using ana = await as('ana um');
  using again = await as('ana dois');
  using bia = await as('bia um');
  assert.equal(await nomeOf(ana), 'de ana');
  assert.equal(await nomeOf(again), 'de ana');
  assert.equal(await nomeOf(bia), 'de bia');
  assert.equal(setting.app.live?.answers, 2);
  const nobody = await openEvents(`${origin}/meu`);
  assert.equal(nobody.status, 401);
  for (const nome of ['a1', 'a2']) {
    await db.query('update itens set nome = $1 where id = 2', [nome]);
    assert.equal(await nomeOf(ana), nome);
    assert.equal(await nomeOf(again), nome);
  }
  assert.equal(bia.events.length, 1);

  // A session that ends while its stream is open.
  signedOut.add('bia');
  const out = await bia.next();
  assert.deepEqual([out.event, JSON.parse(out.data)], ['end', { reason: 'expired' }]);
  await bia.until('its end', () => bia.isEnded);

  expiresAt.set('carla', Date.now() + 1_500);
  own.carla = 2;
  using carla = await as('carla um');
  assert.equal(await nomeOf(carla), 'a2');
  const last = await carla.next();
  assert.deepEqual([last.event, JSON.parse(last.data)], ['end', { reason: 'expired' }]);
  await carla.until('its end', () => carla.isEnded);
  assert.ok(Date.now() >= (expiresAt.get('carla') ?? 0));
  assert.equal(ana.isEnded, false);
});

test('a handler that turns to look at the user splits those who follow, and nobody gets the answer of another', async () => {
  await using setting = await createPatientSetting({
    plugin: {
      identify: {
        headers: ['authorization'],
        user: ({ authorization }) => (authorization ? { id: authorization } : undefined),
      },
    },
  });
  const { db } = setting.platform;
  let computed = 0;
  setting.app.get('/painel', { config: { cache: { liveInterval: 0 } } }, async (request) => {
    computed++;
    const { nome } = (await db.query('select nome from itens where id = 1')).rows[0];
    // A draft is for its reader alone.
    return nome === 'rascunho' ? { nome: `de ${request.user?.id ?? 'ninguém'}` } : { nome };
  });
  const origin = await setting.platform.listen();
  using ana = await openEvents(`${origin}/painel`, { authorization: 'ana' });
  using bia = await openEvents(`${origin}/painel`, { authorization: 'bia' });
  using nobody = await openEvents(`${origin}/painel`);
  const all = [ana, bia, nobody];
  for (const client of all) assert.equal(await nomeOf(client), 'um');
  assert.equal(computed, 1);
  await db.query(`update itens set nome = 'rascunho' where id = 1`);
  assert.deepEqual(await Promise.all(all.map(nomeOf)), ['de ana', 'de bia', 'de ninguém']);
  assert.equal(computed, 4);
  await db.query(`update itens set nome = 'aberto' where id = 1`);
  assert.deepEqual(await Promise.all(all.map(nomeOf)), ['aberto', 'aberto', 'aberto']);
});

test('who loses the right is told, and the stream ends', async () => {
  await using setting = await createPatientSetting();
  const { db } = setting.platform;
  setting.app.addHook('onRequest', async (_request, reply) => {
    const { rows } = await db.query('select nome from itens where id = 1');
    if (rows[0].nome === 'fechado') return reply.code(403).send({ erro: 'não' });
  });
  setting.app.get(
    '/sala',
    { config: { cache: true } },
    async () => (await db.query('select 7 as n from itens')).rows[0],
  );
  const origin = await setting.platform.listen();
  using client = await openEvents(`${origin}/sala`);
  assert.deepEqual(await client.nextJson(), { n: 7 });
  await db.query(`update itens set nome = 'fechado' where id = 1`);
  const { event, data } = await client.next();
  assert.deepEqual([event, JSON.parse(data).status], ['status', 403]);
  assert.deepEqual(JSON.parse((await client.next()).data), { reason: 'refused' });
  await client.until('its end', () => client.isEnded);
  assert.equal((await openEvents(`${origin}/sala`)).status, 403);
});

test('an answer that is not kept, or is no text, can not be followed, and says why', async () => {
  await using setting = await createPatientSetting();
  const { db } = setting.platform;
  const read = (): Promise<unknown> => db.query('select nome from itens where id = 1');
  const { app } = setting;
  app.get('/hora', cached, async () => (await db.query('select now() as hora')).rows[0]);
  app.get('/nada', cached, async () => ({ n: 1 }));
  app.get('/imagem', cached, async (_request, reply) => {
    await read();
    return reply.type('image/png').send(Buffer.from([0x89, 0x50]));
  });
  app.get('/latin1', cached, async (_request, reply) => {
    await read();
    return reply.type('text/plain; charset=iso-8859-1').send(Buffer.from([0xe7]));
  });
  app.get('/quebrado', cached, async (_request, reply) => {
    await read();
    return reply.type('text/plain').send(Buffer.from([0x61, 0xff]));
  });
  app.get('/sem', { config: { cache: { live: false } } }, async () => {
    await read();
    return { n: 2 };
  });
  const origin = await setting.platform.listen();
  for (const [path, why] of [
    ['/hora', /not kept \(time\)/],
    ['/hora', /not kept \(time\)/],
    ['/nada', /not kept \(no-statement\)/],
    ['/imagem', /no text/],
    ['/latin1', /no text/],
    ['/quebrado', /no text/],
  ] as const) {
    const client = await openEvents(origin + path);
    await client.until('its end', () => client.isEnded);
    assert.equal(client.status, 406, path);
    assert.match(client.headers['content-type'] ?? '', /^application\/problem\+json/);
    assert.match(JSON.parse(client.text).detail, why);
  }
  const plain = await openEvents(`${origin}/sem`);
  assert.match(plain.headers['content-type'] ?? '', /^application\/json/);
  assert.equal(setting.app.live?.streams, 0);
});
