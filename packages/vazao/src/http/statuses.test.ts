/** Which statuses are kept (RFC 9110, 15.1: those that a cache may keep without being told), and what ends them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPatientSetting } from '../testing/cached-app.ts';

test('that there is no such row is kept by what was read, and ends when the row comes', async () => {
  await using setting = await createPatientSetting();
  const { app, platform } = setting;
  app.get<{ Params: { id: string } }>('/itens/:id', { config: { cache: true } }, async ({ params }, reply) => {
    const { rows } = await platform.db.query('select nome from itens where id = $1', [params.id]);
    return rows[0] ?? reply.code(404).send({ erro: 'não há' });
  });
  await platform.listen();
  const assertKept = async (path: string, status: number): Promise<void> => {
    assert.equal((await platform.get(path)).status, status);
    const again = await platform.get(path);
    assert.equal(again.status, status);
    assert.match(again.cacheStatus, /; hit;/, path);
  };
  await assertKept('/itens/2', 404);
  await assertKept('/itens/3', 404);
  await platform.db.query(`insert into itens values (2, 'dois')`);
  await platform.settled();
  await assertKept('/itens/2', 200);
  assert.match((await platform.get('/itens/3')).cacheStatus, /; hit;/, 'another row says nothing of this one');
  await platform.db.query('delete from itens where id = 2');
  await platform.settled();
  await assertKept('/itens/2', 404);
});

test('kept are the statuses that a cache may keep by itself, and no other', async () => {
  await using setting = await createPatientSetting();
  const { app, platform } = setting;
  // RFC 9110, 15.1; of 206, 405, 414 and 501 a GET with a handler has none.
  const kept = new Set([200, 203, 204, 300, 301, 308, 404, 410]);
  const others = [
    201, 202, 205, 206, 302, 303, 307, 400, 401, 402, 403, 405, 406, 409, 412, 414, 418, 422, 429, 451, 500, 501, 503,
  ];
  app.get<{ Params: { status: string } }>('/status/:status', { config: { cache: true } }, async ({ params }, reply) => {
    const status = Number(params.status);
    await platform.db.query('select nome from itens where id = $1', [status]);
    if (status >= 300 && status < 400) reply.header('location', '/');
    return reply.code(status).send(status === 204 || status === 205 ? undefined : 'texto');
  });
  const origin = await platform.listen();
  for (const status of [...kept, ...others]) {
    const ask = (): Promise<Response> => fetch(`${origin}/status/${status}`, { redirect: 'manual' });
    const first = await ask();
    await first.text();
    const second = await ask();
    await second.text();
    assert.equal(second.status, status);
    const isHit = second.headers.get('cache-status')?.includes('; hit;');
    assert.equal(isHit, kept.has(status), `${status}: ${first.headers.get('cache-status')}`);
  }
});
