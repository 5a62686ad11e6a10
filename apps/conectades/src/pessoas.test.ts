import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { completarCpf, isCpfValido } from './cpf.ts';
import { abreviarNome } from './pessoas.ts';
import { createTestApp, type TestApp } from './testing/test-app.ts';

let teste: TestApp;
describe('people over HTTP', () => {
  before(async () => {
    teste = await createTestApp();
  });
  after(() => teste?.[Symbol.asyncDispose]());

  const NOVA = { nome: 'Antônia de Souza', email: 'Antonia@example.com', cidade: 'Recife', uf: 'PE' };

  describe('people', () => {
    it('show the public neither full name nor e-mail nor CPF', async () => {
      const list = (await teste.pedir({ url: '/api/pessoas/listar/' })).json();
      assert.equal(list.resultados.length, 20);
      const one = (await teste.pedir({ url: '/api/pessoas/7/', como: 'admin' })).json();
      for (const pessoa of [...list.resultados, one]) {
        assert.deepEqual(Object.keys(pessoa).sort(), ['cidade', 'id', 'nome_publico', 'uf']);
      }
      await teste.esperarErro('nao_encontrado', { url: '/api/pessoas/999999/' });
    });

    it('show everything to the administration and to the person', async () => {
      const url = '/api/pessoas/5/completa/';
      await teste.esperarErro('nao_autenticado', { url });
      for (const como of ['doador2', 'organizadora1'] as const) await teste.esperarErro('sem_permissao', { url, como });
      for (const como of ['admin', 'doador1'] as const) {
        assert.equal((await teste.pedir({ url, como })).json().email, 'pessoa5@example.com');
      }
      await teste.esperarErro('nao_encontrado', { url: '/api/pessoas/999999/completa/', como: 'admin' });
    });

    it('are created by the administration, with a log-in that works', async () => {
      const acesso = { username: 'antonia', password: 'uma senha longa' };
      const post = {
        method: 'POST',
        url: '/api/pessoas/',
        payload: { ...NOVA, cpf: completarCpf('987654321'), acesso },
      } as const;
      await teste.esperarErro('nao_autenticado', post);
      for (const como of ['doador1', 'organizadora1'] as const)
        await teste.esperarErro('sem_permissao', { ...post, como });
      const response = await teste.pedir({ ...post, como: 'admin' });
      assert.equal(response.statusCode, 201);
      assert.equal(response.headers.location, `/api/pessoas/${response.json().id}/`);
      assert.equal(response.json().nome_publico, 'Antônia S.');
      assert.equal(response.json().email, 'antonia@example.com');
      const login = await teste.pedir({ method: 'POST', url: '/api/token/', payload: acesso });
      assert.equal(login.statusCode, 200);
    });

    it('get no password that is easily guessed', async () => {
      const username = 'joaquina';
      for (const password of ['12345678', 'iloveyou', 'conectades1', 'Joaquina.99', 'antonia!']) {
        const payload = { ...NOVA, acesso: { username, password } };
        const problem = { method: 'POST', url: '/api/pessoas/', como: 'admin', payload } as const;
        const { errors } = (await teste.esperarErro('requisicao_invalida', problem)).json();
        assert.deepEqual(
          errors.map(({ campo }: { campo: string }) => campo),
          ['/acesso/password'],
          password,
        );
      }
    });

    it('are created whole or not at all', async () => {
      const count = async (): Promise<number> =>
        (await teste.database.pool.query('select count(*)::int as n from pessoas')).rows[0].n;
      const before = await count();
      const acesso = { username: 'doador1', password: 'uma senha longa' };
      const payload = { nome: 'Outra Pessoa', acesso };
      await teste.esperarErro('registro_duplicado', { method: 'POST', url: '/api/pessoas/', como: 'admin', payload });
      assert.equal(await count(), before);
    });

    it('refuse a CPF whose check digits are wrong, and one that is taken', async () => {
      const post = { method: 'POST', url: '/api/pessoas/', como: 'admin' } as const;
      for (const cpf of ['12345678900', '11111111111', '123', 'abc']) {
        await teste.esperarErro('requisicao_invalida', { ...post, payload: { nome: 'Zé da Silva', cpf } });
      }
      const cpf = completarCpf('000000007'); // of person 7
      await teste.esperarErro('registro_duplicado', { ...post, payload: { nome: 'Zé da Silva', cpf } });
    });

    it('are edited by the administration and by the person', async () => {
      const put = { method: 'PUT', url: '/api/pessoas/6/', payload: { ...NOVA, email: 'nova@example.com' } } as const;
      await teste.esperarErro('nao_autenticado', put);
      await teste.esperarErro('sem_permissao', { ...put, como: 'doador1' });
      for (const como of ['doador2', 'admin'] as const) {
        assert.equal((await teste.pedir({ ...put, como })).json().nome, NOVA.nome);
      }
      await teste.esperarErro('registro_duplicado', {
        ...put,
        como: 'admin',
        payload: { ...NOVA, email: 'pessoa9@example.com' },
      });
      await teste.esperarErro('nao_encontrado', { ...put, url: '/api/pessoas/999999/', como: 'admin' });
      await teste.esperarErro('requisicao_invalida', { ...put, como: 'admin', payload: { ...NOVA, uf: 'XX' } });
    });
  });

  it('a public name is the first name and one letter', () => {
    assert.equal(abreviarNome('Maria da Silva'), 'Maria S.');
    assert.equal(abreviarNome('  Cláudia  ávila '), 'Cláudia Á.');
    assert.equal(abreviarNome('Pelé'), 'Pelé');
  });

  it('a CPF has two check digits', () => {
    assert.equal(completarCpf('529982247'), '52998224725');
    assert.ok(isCpfValido('52998224725'));
    for (const cpf of ['52998224735', '52998224724', '00000000000', '5299822472', '5299822472x'])
      assert.ok(!isCpfValido(cpf));
  });
});
