/** Streams of events that follow cached answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cached, createSetting, type Setting, until } from '../../testing/cached-app.ts';
import { type EventClient, openEvents } from '../../testing/event-client.ts';

type LiveSetting = Setting & { origin: string; computed: () => number; write: (nome: string) => Promise<void> };

async function createLive(
  options: Parameters<typeof createSetting>[0] = {},
  cache: object | true = true,
): Promise<LiveSetting> {
  const setting = await createSetting(options);
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
  assert.deepEqual(setting.app.live, { streams: 20, answers: 1, computations: 2, cutOff: 0 });
  for (const client of clients) client[Symbol.dispose]();
  await until('all have gone', () => setting.app.live?.streams === 0 && setting.app.live.answers === 0);
  const before = setting.computed();
  await setting.write('quatro');
  await setting.platform.settled();
  await setting.platform.get('/itens/1');
  assert.equal(setting.computed() - before, 1, 'without followers only readers compute');
});
