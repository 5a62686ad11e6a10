/** Hot answers are computed ahead of their next reader. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPatientSetting, type Setting, until } from '../../testing/cached-app.ts';
import { Heats } from './heat.ts';

test('at a constant rate of hits the estimate is that rate, however often answers end', () => {
  for (const [hitsPerSecond, lifeMs] of [
    [100, 50],
    [100, 5_000],
    [3, 20_000],
  ] as const) {
    const heats = new Heats();
    let estimate = 0;
    let nowMs = 0;
    for (; nowMs < 200_000; nowMs += lifeMs)
      estimate = heats.ended('/x', (hitsPerSecond * lifeMs) / 1_000, nowMs, nowMs + lifeMs);
    assert.ok(Math.abs(estimate / hitsPerSecond - 1) < 1e-6, `${estimate} for ${hitsPerSecond}/s`);
    // Nobody has come since: after the time of its memory a third is left, and soon nothing.
    assert.ok(Math.abs(heats.ended('/x', 0, nowMs, nowMs + 10_000) / hitsPerSecond - Math.exp(-1)) < 1e-6);
    assert.ok(heats.ended('/x', 0, nowMs + 10_000, nowMs + 200_000) < hitsPerSecond / 1_000);
  }
});

type RefreshSetting = Setting & { computed: () => number; write: (nome: string) => Promise<void> };

async function createRefresh(
  refresh: object | false,
  cache: object | true = true,
  work: () => Promise<void> = async () => {},
): Promise<RefreshSetting> {
  const identify = {
    headers: ['x-user'],
    user: (headers: Readonly<Record<string, string | undefined>>) => ({ id: headers['x-user'] ?? '' }),
  };
  const setting = await createPatientSetting({ plugin: { refresh, identify } });
  const { db } = setting.platform;
  let computed = 0;
  setting.app.get('/item', { config: { cache } }, async () => {
    computed++;
    const { rows } = await db.query('select nome from itens where id = 1');
    await work();
    return rows[0];
  });
  setting.app.get('/meu', { config: { cache } }, async (request) => {
    computed++;
    const { rows } = await db.query('select nome from itens where id = 1');
    return { ...rows[0], user: request.user?.id };
  });
  await setting.platform.listen();
  return Object.assign(setting, {
    computed: () => computed,
    write: async (nome: string) => {
      await db.query('update itens set nome = $1 where id = 1', [nome]);
      await setting.platform.settled();
    },
  });
}

const HOT = { hitsPerSecondMin: 0.001 };

async function read(setting: RefreshSetting, path: string, headers: Record<string, string> = {}): Promise<string> {
  for (let i = 0; i < 3; i++) await setting.platform.get(path, headers);
  return (await setting.platform.get(path, headers)).text;
}

test('an answer that proved hot is computed when a change ends it, before anybody asks', async () => {
  await using setting = await createRefresh(HOT);
  await read(setting, '/item');
  await setting.write('dois');
  assert.match(await read(setting, '/item'), /dois/);
  assert.equal(setting.computed(), 2, 'at first nobody knows that it is hot');
  await setting.write('três');
  await until('it is computed', () => setting.computed() === 3);
  await until('it is kept', () => setting.platform.cache.peek('/item') !== undefined);
  const { text, cacheStatus } = await setting.platform.get('/item');
  assert.match(text, /três/);
  assert.match(cacheStatus, /; hit;/);
  assert.equal(setting.app.refresh?.afterChanges, 1);
});

test('an answer of one user is computed as that user, and stands under no other key', async () => {
  await using setting = await createRefresh(HOT);
  const ana = { 'x-user': 'ana' };
  await read(setting, '/meu', ana);
  await setting.platform.get('/meu', { 'x-user': 'bia' });
  for (const nome of ['dois', 'três']) {
    await setting.write(nome);
    await until(
      'it is computed ahead, or nobody knows yet',
      () => nome === 'dois' || setting.app.refresh?.afterChanges === 1,
    );
    assert.deepEqual(JSON.parse(await read(setting, '/meu', ana)), { nome, user: 'ana' });
  }
  const bia = await setting.platform.get('/meu', { 'x-user': 'bia' });
  assert.deepEqual(JSON.parse(bia.text), { nome: 'três', user: 'bia' });
  assert.doesNotMatch(bia.cacheStatus, /; hit;/, 'who is not hot computes for herself');
});

test('what is not hot enough, or may not be, is left to its readers', async () => {
  for (const refresh of [{ hitsPerSecondMin: 1_000_000 }, false] as const) {
    await using setting = await createRefresh(refresh);
    for (const nome of ['a', 'b', 'c']) {
      await setting.write(nome);
      await read(setting, '/item');
    }
    assert.equal(setting.computed(), 3);
    assert.equal(setting.app.refresh?.afterChanges, refresh ? 0 : undefined);
  }
});

test('while the database is busy nothing is computed ahead', async () => {
  await using setting = await createRefresh(HOT);
  await read(setting, '/item');
  await setting.write('dois');
  await read(setting, '/item');
  const { db } = setting.platform;
  const held = await Promise.all(Array.from({ length: 5 }, () => db.connect()));
  await setting.write('três');
  await until('it is left to its readers', () => setting.app.refresh?.left === 1);
  assert.equal(setting.computed(), 2);
  for (const client of held) client.release();
  assert.match(await read(setting, '/item'), /três/);
});

test('with staleFor nobody waits for a hot answer', async () => {
  let gate = Promise.resolve();
  await using setting = await createRefresh(HOT, { staleFor: '1m' }, () => gate);
  await read(setting, '/item');
  await setting.write('dois');
  await read(setting, '/item');
  const opened = Promise.withResolvers<void>();
  gate = opened.promise;
  await setting.write('três');
  await until('it is computed ahead', () => setting.platform.cache.isFilling('/item'));
  const old = await setting.platform.get('/item');
  assert.match(old.text, /dois/);
  assert.match(old.cacheStatus, /stale, refreshing/);
  opened.resolve();
  await until('the new one is there', async () => (await setting.platform.get('/item')).text.includes('três'));
});

test('shortly before its time to live ends, one hit has it computed, while others are served', async () => {
  const always = { random: () => 1 - Number.EPSILON / 2 };
  await using setting = await createRefresh(always, { ttl: 60_000 });
  await setting.platform.get('/item');
  const entry = setting.platform.cache.peek('/item');
  assert.ok(entry);
  // So far ahead is 37 times what it took to compute.
  Object.assign(entry, { fillMs: 10_000 });
  assert.match((await setting.platform.get('/item')).cacheStatus, /; hit;/);
  await until('it was computed again', () => setting.platform.cache.peek('/item') !== entry);
  assert.equal(setting.computed(), 2);
  assert.deepEqual(setting.app.refresh, { afterChanges: 0, beforeExpiry: 1, left: 0 });

  await using other = await createRefresh({ random: () => 0 }, { ttl: 60_000 });
  await read(other, '/item');
  assert.equal(other.computed(), 1, 'at other times nothing is');
});
