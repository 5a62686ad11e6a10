/** The application on the whole platform: what is shared, what is per user, and what a change takes away. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createTestDatabase, type TestDatabase } from '../../../packages/vazao/src/testing/database.ts';
import { openEvents } from '../../../packages/vazao/src/testing/event-client.ts';
import {
  createTestPlatform,
  type TestAnswer,
  type TestPlatform,
} from '../../../packages/vazao/src/testing/platform.ts';
import conectades from './app.ts';
import { createAcessos, createIdentify } from './identidade.ts';
import { seed } from './seed.ts';
import { migrate, SECRET, SIZES, USUARIOS } from './testing/test-app.ts';

let database: TestDatabase;
let platform: TestPlatform;
let origin: string;

const acessos = createAcessos({ secret: SECRET });
const cabecalhos = async (como: keyof typeof USUARIOS | undefined): Promise<Record<string, string>> =>
  como ? { authorization: `Bearer ${await acessos.sign(USUARIOS[como])}` } : {};
const ler = async (path: string, como?: keyof typeof USUARIOS): Promise<TestAnswer> =>
  platform.get(path, await cabecalhos(como));
const doar = async (campanhaId: number, valor: string): Promise<Response> =>
  fetch(`${origin}/api/doacoes/`, {
    method: 'POST',
    headers: { ...(await cabecalhos('doador1')), 'content-type': 'application/json' },
    body: JSON.stringify({ campanha_id: campanhaId, valor }),
  });

async function assertHit(path: string, como?: keyof typeof USUARIOS): Promise<TestAnswer> {
  const first = await ler(path, como);
  assert.equal(first.status, 200, `${path} ${first.text}`);
  const second = await ler(path, como);
  assert.match(second.cacheStatus, /^vazao; hit/, `${path}: ${first.cacheStatus}, then ${second.cacheStatus}`);
  assert.equal(second.text, first.text);
  return second;
}

async function campanhasAtivas(): Promise<[number, number]> {
  const { rows } = await database.pool.query(
    "select id from campanhas where status = 'ativa' order by id desc limit 2",
  );
  return [rows[0].id, rows[1].id];
}

describe('on the platform', () => {
  before(async () => {
    database = await createTestDatabase();
    await migrate(database.pool);
    await seed(await database.client(), () => {}, SIZES);
    platform = await createTestPlatform(database, {
      schema: '', // the migration did it
      plugin: { identify: createIdentify({ secret: SECRET }) },
    });
    const context = { db: platform.db, environment: 'development', secret: SECRET } as const;
    await platform.app.register(async (app) => conectades.register(app, context));
    origin = await platform.listen();
  });
  after(async () => {
    await platform?.[Symbol.asyncDispose]();
    await database?.[Symbol.asyncDispose]();
  });

  it('the thermometer of a campaign is live because its page is cached', async () => {
    const [id] = await campanhasAtivas();
    using watcher = await openEvents(`${origin}/api/campanhas/${id}/`);
    const before = (await watcher.nextJson()) as { arrecadado: string };
    assert.equal((await doar(id, '12.50')).status, 201);
    const now = (await watcher.nextJson()) as { arrecadado: string };
    assert.equal(Math.round((Number(now.arrecadado) - Number(before.arrecadado)) * 100), 1250);
    const { rows } = await database.pool.query('select sum(valor)::text as total from doacoes where campanha_id = $1', [
      id,
    ]);
    assert.equal(Number(now.arrecadado), Number(rows[0].total));
  });

  it('every read that is marked is stored and served from memory', async () => {
    const [id] = await campanhasAtivas();
    for (const path of [
      '/api/campanhas/listar/',
      '/api/campanhas/listar/?status=ativa&busca=a',
      `/api/campanhas/${id}/`,
      '/api/organizadoras/listar/',
      '/api/organizadoras/listar/?busca=a',
      '/api/organizadoras/1/',
      '/api/pessoas/listar/',
      '/api/pessoas/7/',
    ]) {
      await assertHit(path);
      assert.match((await ler(path, 'doador1')).cacheStatus, /^vazao; hit/, `${path} is one answer for all`);
    }
    for (const path of ['/api/doacoes/minhas/', '/api/pessoas/5/completa/']) await assertHit(path, 'doador1');
    await assertHit('/api/campanhas/listar/?status=rascunho', 'admin');
  });

  it('what belongs to one user reaches nobody else', async () => {
    await assertHit('/api/pessoas/5/completa/', 'doador1');
    assert.equal((await ler('/api/pessoas/5/completa/', 'doador2')).status, 403);
    assert.equal((await ler('/api/pessoas/5/completa/')).status, 401);
    const mine = await assertHit('/api/doacoes/minhas/', 'doador1');
    assert.notEqual((await ler('/api/doacoes/minhas/', 'doador2')).text, mine.text);
    assert.equal((await ler('/api/doacoes/minhas/')).status, 401);
    const { rows } = await database.pool.query(
      "insert into campanhas (organizadora_id, titulo, meta) values (1, 'Em segredo', 10) returning id",
    );
    await platform.settled();
    const draft = `/api/campanhas/${rows[0].id}/`;
    await assertHit(draft, 'organizadora1');
    assert.equal((await ler(draft)).status, 404);
    assert.equal((await ler(draft, 'organizadora2')).status, 404);
  });

  it('a donation shows at once in its campaign and in the list, and leaves other campaigns alone', async () => {
    const [id, other] = await campanhasAtivas();
    const lista = '/api/campanhas/listar/?status=ativa';
    await assertHit(lista);
    await assertHit(`/api/campanhas/${id}/`);
    await assertHit(`/api/campanhas/${other}/`);
    const before = JSON.parse((await ler(`/api/campanhas/${id}/`)).text);
    assert.equal((await doar(id, '0.01')).status, 201);
    const campanha = JSON.parse((await ler(`/api/campanhas/${id}/`)).text);
    assert.equal(campanha.total_doacoes, before.total_doacoes + 1);
    const { resultados } = JSON.parse((await ler(lista)).text);
    const listed = resultados.find((one: { id: number }) => one.id === id);
    assert.equal(listed.arrecadado, campanha.arrecadado);
    assert.match((await ler(`/api/campanhas/${other}/`)).cacheStatus, /^vazao; hit/);
  });

  it('a change by another hand shows after it has arrived', async () => {
    const [id, other] = await campanhasAtivas();
    await assertHit(`/api/campanhas/${id}/`);
    await assertHit(`/api/campanhas/${other}/`);
    await database.pool.query("update campanhas set titulo = 'Por outra mão' where id = $1", [id]);
    await platform.settled();
    assert.equal(JSON.parse((await ler(`/api/campanhas/${id}/`)).text).titulo, 'Por outra mão');
    assert.match((await ler(`/api/campanhas/${other}/`)).cacheStatus, /^vazao; hit/);
    const { resultados } = JSON.parse((await ler('/api/campanhas/listar/?busca=outra mao')).text);
    assert.deepEqual(
      resultados.map((one: { id: number }) => one.id),
      [id],
    );
  });
});
