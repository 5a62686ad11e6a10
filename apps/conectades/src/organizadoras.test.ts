import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createTestApp, type TestApp } from './testing/test-app.ts';

let teste: TestApp;
describe('organisations over HTTP', () => {
  before(async () => {
    teste = await createTestApp();
  });
  after(() => teste?.[Symbol.asyncDispose]());

  const NOVA = { nome: 'Associação Pão Nosso', cnpj: '12345678000195', descricao: '', cidade: 'Ilhéus', uf: 'BA' };
  const { cnpj: _, ...EDITADA } = NOVA;

  describe('organisations', () => {
    it('are created by the administration alone, once for each CNPJ', async () => {
      const post = { method: 'POST', url: '/api/organizadoras/', payload: NOVA } as const;
      await teste.esperarErro('nao_autenticado', post);
      for (const como of ['doador1', 'organizadora1'] as const)
        await teste.esperarErro('sem_permissao', { ...post, como });
      const response = await teste.pedir({ ...post, como: 'admin' });
      assert.equal(response.statusCode, 201);
      await teste.esperarErro('registro_duplicado', { ...post, como: 'admin' });
      const stored = await teste.pedir({ url: String(response.headers.location) });
      assert.deepEqual(stored.json(), response.json());
    });

    it('are listed by name and found without accents', async () => {
      const { total, resultados } = (await teste.pedir({ url: '/api/organizadoras/listar/' })).json();
      assert.equal(total, resultados.length);
      const found = (await teste.pedir({ url: '/api/organizadoras/listar/', query: { busca: 'PAO nosso' } })).json();
      assert.deepEqual(
        found.resultados.map(({ cnpj }: { cnpj: string }) => cnpj),
        [NOVA.cnpj],
      );
      await teste.esperarErro('requisicao_invalida', { url: '/api/organizadoras/listar/?status=ativa' });
    });

    it('are edited by the administration and by themselves; the CNPJ stays', async () => {
      const put = { method: 'PUT', url: '/api/organizadoras/1/', payload: EDITADA } as const;
      await teste.esperarErro('nao_autenticado', put);
      for (const como of ['doador1', 'organizadora2'] as const)
        await teste.esperarErro('sem_permissao', { ...put, como });
      for (const como of ['admin', 'organizadora1'] as const) {
        assert.equal((await teste.pedir({ ...put, como })).json().cidade, 'Ilhéus');
      }
      await teste.esperarErro('requisicao_invalida', { ...put, como: 'admin', payload: NOVA });
      await teste.esperarErro('nao_encontrado', { ...put, url: '/api/organizadoras/999/', como: 'admin' });
      await teste.esperarErro('nao_encontrado', { url: '/api/organizadoras/999/' });
    });
  });
});
