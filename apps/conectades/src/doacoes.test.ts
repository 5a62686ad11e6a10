import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { createTestApp, type Pedido, type TestApp } from './testing/test-app.ts';

let campanhaId: number;
let teste: TestApp;
describe('donations', () => {
  before(async () => {
    teste = await createTestApp();
  });
  after(() => teste?.[Symbol.asyncDispose]());
  beforeEach(async () => {
    const { rows } = await teste.database.pool.query(
      "insert into campanhas (organizadora_id, titulo, meta, status) values (1, 'Nova', 1000, 'ativa') returning id",
    );
    campanhaId = rows[0].id;
  });

  const doacao = (corpo: object = {}, chave?: string): Pedido => ({
    method: 'POST',
    url: '/api/doacoes/',
    como: 'doador1',
    payload: { campanha_id: campanhaId, valor: '12.34', ...corpo },
    ...(chave === undefined ? {} : { headers: { 'idempotency-key': chave } }),
  });

  async function somar(): Promise<{ soma: string; total: number }> {
    const { rows } = await teste.database.pool.query(
      'select coalesce(sum(valor), 0.00)::text as soma, count(*)::int as total from doacoes where campanha_id = $1',
      [campanhaId],
    );
    return rows[0];
  }

  const fechar = (status = 'encerrada') =>
    teste.database.pool.query('update campanhas set status = $2 where id = $1', [campanhaId, status]);

  describe('donating', () => {
    it('stores the exact amount and shows it in the list at once', async () => {
      const response = await teste.pedir(doacao({ valor: '0.1' }));
      assert.equal(response.statusCode, 201);
      assert.equal(response.json().valor, '0.10');
      await teste.pedir(doacao({ valor: '9999999999.99' }));
      const { resultados } = (await teste.pedir({ url: '/api/campanhas/listar/' })).json();
      assert.equal(resultados[0].id, campanhaId);
      assert.equal(resultados[0].arrecadado, '10000000000.09');
      assert.equal(resultados[0].total_doacoes, 2);
    });

    it('adds up many amounts without losing a centavo', async () => {
      const centavos = fc.sample(fc.bigInt({ min: 1n, max: 99_999n }), { numRuns: 200, seed: 7 });
      const toValor = (value: bigint): string => `${value / 100n}.${String(value % 100n).padStart(2, '0')}`;
      await Promise.all(centavos.map((value) => teste.pedir(doacao({ valor: toValor(value) }))));
      const expected = toValor(centavos.reduce((sum, value) => sum + value, 0n));
      const campanha = (await teste.pedir({ url: `/api/campanhas/${campanhaId}/` })).json();
      assert.equal(campanha.arrecadado, expected);
      assert.deepEqual(await somar(), { soma: expected, total: 200 });
    });

    it('refuses amounts that are not exact, not positive or too large', async () => {
      for (const valor of [
        '0',
        '0.00',
        '00',
        '-1',
        '1.234',
        '1,50',
        '1e3',
        '.5',
        '5.',
        ' 1',
        '10000000000',
        '',
        'NaN',
        12.34,
        null,
        ['1'],
      ]) {
        await teste.esperarErro('requisicao_invalida', doacao({ valor }));
      }
      assert.equal((await somar()).total, 0);
    });

    it('needs a user, and a campaign that is published and open', async () => {
      await teste.esperarErro('nao_autenticado', { ...doacao(), como: undefined });
      await teste.esperarErro('nao_encontrado', doacao({ campanha_id: 2_000_000_000 }));
      await fechar('rascunho');
      await teste.esperarErro('nao_encontrado', doacao());
      await fechar();
      await teste.esperarErro('campanha_encerrada', doacao());
      await teste.esperarErro('requisicao_invalida', doacao({ pessoa_id: 1 }));
    });

    it('lets no donation in after the campaign closed, whoever closes it', async () => {
      const closer = await teste.database.client();
      await closer.query('begin');
      await closer.query("update campanhas set status = 'encerrada' where id = $1", [campanhaId]);
      const waiting = teste.esperarErro('campanha_encerrada', doacao()); // waits for the lock, then sees the new status
      await new Promise((resolve) => setTimeout(resolve, 50));
      await closer.query('commit');
      await waiting;
      assert.equal((await somar()).total, 0);
    });
  });

  describe('the idempotency key', () => {
    it('replays the same answer for the same body, also after the campaign closed', async () => {
      const chave = randomUUID();
      const first = await teste.pedir(doacao({}, chave));
      await fechar();
      const second = await teste.pedir(doacao({ valor: '12.340'.slice(0, 5), anonima: false }, chave));
      assert.equal(second.statusCode, 201);
      assert.equal(second.body, first.body);
      assert.equal(first.headers['idempotency-replayed'], undefined);
      assert.equal(second.headers['idempotency-replayed'], 'true');
      assert.equal((await somar()).total, 1);
    });

    it('refuses another body, and belongs to one user', async () => {
      const chave = randomUUID();
      await teste.pedir(doacao({}, chave));
      await teste.esperarErro('chave_reutilizada', doacao({ valor: '12.35' }, chave));
      const other = await teste.pedir({ ...doacao({ valor: '12.35' }, chave), como: 'doador2' });
      assert.equal(other.statusCode, 201);
      assert.equal((await somar()).total, 2);
    });

    it('makes one donation of many that arrive at once', async () => {
      const chave = randomUUID();
      const responses = await Promise.all(Array.from({ length: 25 }, () => teste.pedir(doacao({}, chave))));
      assert.equal(new Set(responses.map(({ body }) => body)).size, 1);
      assert.deepEqual(new Set(responses.map(({ statusCode }) => statusCode)), new Set([201]));
      assert.equal(responses.filter(({ headers }) => headers['idempotency-replayed'] === undefined).length, 1);
      assert.deepEqual(await somar(), { soma: '12.34', total: 1 });
    });

    it('is not used up by a request that failed', async () => {
      const chave = randomUUID();
      await fechar();
      await teste.esperarErro('campanha_encerrada', doacao({}, chave));
      await fechar('ativa');
      assert.equal((await teste.pedir(doacao({}, chave))).statusCode, 201);
    });

    it('can be used anew after a day, and expired keys are removed', async () => {
      const chave = randomUUID();
      await teste.pedir(doacao({}, chave));
      await teste.pedir(doacao({}, randomUUID()));
      await teste.database.pool.query("update chaves_idempotencia set criado_em = now() - interval '25 hours'");
      const { rows: before } = await teste.database.pool.query('select count(*)::int as n from chaves_idempotencia');
      assert.equal((await teste.pedir(doacao({ valor: '1' }, chave))).statusCode, 201);
      const { rows: later } = await teste.database.pool.query('select count(*)::int as n from chaves_idempotencia');
      assert.ok(later[0].n < before[0].n);
      assert.equal((await somar()).total, 3);
    });

    it('is printable text of a bounded length', async () => {
      for (const chave of ['a b', 'é', 'x'.repeat(256)])
        await teste.esperarErro('requisicao_invalida', doacao({}, chave));
    });
  });

  describe('my donations', () => {
    it('are those of the one who asks, with their sum', async () => {
      const url = '/api/doacoes/minhas/';
      await teste.esperarErro('nao_autenticado', { url });
      await teste.pedir(doacao({ valor: '77.77' }));
      const mine = (await teste.pedir({ url, como: 'doador1' })).json();
      const other = (await teste.pedir({ url, como: 'doador2' })).json();
      assert.equal(mine.resultados[0].valor, '77.77');
      assert.deepEqual(mine.resultados[0].campanha, { id: campanhaId, titulo: 'Nova' });
      assert.ok(other.resultados.every(({ valor }: { valor: string }) => valor !== '77.77'));
      const { rows } = await teste.database.pool.query(
        'select count(*)::int as total, sum(valor)::text as soma from doacoes where pessoa_id = 5',
      );
      assert.deepEqual([mine.total, mine.total_doado], [rows[0].total, rows[0].soma]);
      const beyond = (await teste.pedir({ url: `${url}?pagina=9999`, como: 'doador1' })).json();
      assert.deepEqual(beyond.resultados, []);
    });
  });
});
