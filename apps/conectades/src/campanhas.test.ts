import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createTestApp, type TestApp } from './testing/test-app.ts';

let teste: TestApp;
describe('campaigns', () => {
  before(async () => {
    teste = await createTestApp();
  });
  after(() => teste?.[Symbol.asyncDispose]());

  const NOVA = { organizadora_id: 1, titulo: 'Óculos para São João', descricao: '', meta: '1500.5', status: 'ativa' };
  const { organizadora_id: _, ...EDITADA } = { ...NOVA, titulo: 'Óculos para todos' };

  async function criar(campanha: object = {}): Promise<number> {
    const response = await teste.pedir({
      method: 'POST',
      url: '/api/campanhas/',
      como: 'admin',
      payload: { ...NOVA, ...campanha },
    });
    assert.equal(response.statusCode, 201, response.body);
    return response.json().id;
  }

  describe('the list of campaigns', () => {
    it('shows twenty a page, newest first, with sums that equal those of SQL', async () => {
      const [first, second] = await Promise.all(
        [1, 2].map(async (pagina) => (await teste.pedir({ url: `/api/campanhas/listar/?pagina=${pagina}` })).json()),
      );
      assert.equal(first.resultados.length, 20);
      assert.equal(first.paginas, Math.ceil(first.total / 20));
      const ids = [...first.resultados, ...second.resultados].map(({ id }) => id);
      assert.deepEqual(
        ids,
        ids.toSorted((a, b) => b - a),
      );
      assert.equal(new Set(ids).size, ids.length);
      for (const campanha of first.resultados) {
        const { rows } = await teste.database.pool.query(
          `select o.nome, coalesce(sum(d.valor), 0.00)::text as arrecadado, count(d.id)::int as total
         from campanhas c join organizadoras o on o.id = c.organizadora_id left join doacoes d on d.campanha_id = c.id
         where c.id = $1 group by o.nome`,
          [campanha.id],
        );
        assert.deepEqual(
          [campanha.organizadora.nome, campanha.arrecadado, campanha.total_doacoes],
          Object.values(rows[0]),
        );
      }
    });

    it('filters by status, and shows drafts to nobody who did not ask for them', async () => {
      const { resultados } = (await teste.pedir({ url: '/api/campanhas/listar/?status=encerrada' })).json();
      assert.ok(resultados.length > 0);
      assert.ok(resultados.every(({ status }: { status: string }) => status === 'encerrada'));
      const all = (await teste.pedir({ url: '/api/campanhas/listar/?status=&busca=&pagina=' })).json();
      const { rows } = await teste.database.pool.query(
        "select count(*)::int as total from campanhas where status <> 'rascunho'",
      );
      assert.equal(all.total, rows[0].total);
    });

    it('shows drafts to the administration, and to organisers their own', async () => {
      const [own, other] = [
        await criar({ status: 'rascunho' }),
        await criar({ status: 'rascunho', organizadora_id: 2 }),
      ];
      const url = '/api/campanhas/listar/?status=rascunho';
      await teste.esperarErro('nao_autenticado', { url });
      await teste.esperarErro('sem_permissao', { url, como: 'doador1' });
      const idsFor = async (como: 'admin' | 'organizadora1'): Promise<number[]> =>
        (await teste.pedir({ url, como })).json().resultados.map(({ id }: { id: number }) => id);
      assert.ok((await idsFor('admin')).includes(other));
      assert.ok((await idsFor('organizadora1')).includes(own));
      assert.ok(!(await idsFor('organizadora1')).includes(other));
    });

    it('searches titles and organisations without regard to accents and case, and takes % and _ as they are', async () => {
      const id = await criar({ titulo: 'CORAÇÃO 100% de ÁGUA_doce' });
      const find = async (busca: string): Promise<number[]> => {
        const response = await teste.pedir({ url: '/api/campanhas/listar/', query: { busca } });
        return response.json().resultados.map((campanha: { id: number }) => campanha.id);
      };
      for (const busca of ['coracao', 'Coração', ' 100% de agua_ ', 'água_DOCE'])
        assert.ok((await find(busca)).includes(id));
      for (const busca of ['coracaox', '10_%', '%coracao%', 'de\\'])
        assert.ok(!(await find(busca)).includes(id), busca);
      await teste.database.pool.query("update organizadoras set nome = 'Mãos à Obra' where id = 1"); // another hand than ours
      assert.ok((await find('maos a obra')).includes(id));
    });

    it('answers an empty page beyond the end, and refuses what is out of range', async () => {
      assert.deepEqual((await teste.pedir({ url: '/api/campanhas/listar/?pagina=100000' })).json().resultados, []);
      for (const query of [
        'pagina=0',
        'pagina=100001',
        'pagina=1.5',
        'pagina=1&pagina=2',
        'status=x',
        'z=1',
        `busca=${'a'.repeat(81)}`,
        'busca=a%00b',
      ]) {
        const response = await teste.esperarErro('requisicao_invalida', { url: `/api/campanhas/listar/?${query}` });
        assert.equal(response.json().errors.length, 1, query);
      }
    });
  });

  describe('one campaign', () => {
    it('comes with its last ten donations, and hides the name of who asked for it', async () => {
      const id = await criar();
      for (let n = 1; n <= 12; n++) {
        const payload = { campanha_id: id, valor: `${n}.00`, anonima: n % 2 === 0 };
        await teste.pedir({ method: 'POST', url: '/api/doacoes/', como: 'doador1', payload });
      }
      const campanha = (await teste.pedir({ url: `/api/campanhas/${id}/` })).json();
      assert.equal(campanha.arrecadado, '78.00');
      assert.equal(campanha.total_doacoes, 12);
      assert.equal(campanha.meta, '1500.50');
      const valores = campanha.ultimas_doacoes.map(({ valor }: { valor: string }) => valor);
      assert.deepEqual(valores, ['12.00', '11.00', '10.00', '9.00', '8.00', '7.00', '6.00', '5.00', '4.00', '3.00']);
      const [anonima, publica] = campanha.ultimas_doacoes;
      assert.equal(anonima.doador, null);
      assert.match(publica.doador, /^\S+.* \S\.$/);
    });

    it('does not exist while it is a draft, but for those who may edit it', async () => {
      const url = `/api/campanhas/${await criar({ status: 'rascunho' })}/`;
      for (const como of [undefined, 'doador1', 'organizadora2'] as const)
        await teste.esperarErro('nao_encontrado', { url, como });
      for (const como of ['admin', 'organizadora1'] as const)
        assert.equal((await teste.pedir({ url, como })).statusCode, 200);
    });

    it('answers 404 for an id that is not there and 400 for what is no id', async () => {
      await teste.esperarErro('nao_encontrado', { url: '/api/campanhas/2147483647/' });
      for (const id of ['0', '-1', '1.5', 'x', '2147483648', '1e3', '%00', '99999999999999999999']) {
        await teste.esperarErro('requisicao_invalida', { url: `/api/campanhas/${id}/` });
      }
    });
  });

  describe('writing campaigns', () => {
    it('is for the administration and for the organisation itself', async () => {
      const id = await criar();
      const permitted = { admin: true, organizadora1: true, organizadora2: false, doador1: false };
      for (const [como, may] of Object.entries(permitted) as [keyof typeof permitted, boolean][]) {
        const post = { method: 'POST', url: '/api/campanhas/', como, payload: NOVA } as const;
        const put = { method: 'PUT', url: `/api/campanhas/${id}/`, como, payload: EDITADA } as const;
        if (may) {
          assert.equal((await teste.pedir(post)).statusCode, 201);
          assert.equal((await teste.pedir(put)).json().titulo, EDITADA.titulo);
        } else {
          await teste.esperarErro('sem_permissao', post);
          await teste.esperarErro('sem_permissao', put);
        }
      }
      await teste.esperarErro('nao_autenticado', { method: 'POST', url: '/api/campanhas/', payload: NOVA });
      await teste.esperarErro('nao_autenticado', { method: 'PUT', url: `/api/campanhas/${id}/`, payload: EDITADA });
    });

    it('refuses bodies that do not fit, naming each field', async () => {
      const response = await teste.esperarErro('requisicao_invalida', {
        method: 'POST',
        url: '/api/campanhas/',
        como: 'admin',
        payload: { titulo: '  ', meta: '0.00', status: 'outra', organizadora_id: '1', extra: 1, descricao: 'a\0' },
      });
      const campos = new Set(response.json().errors.map(({ campo }: { campo: string }) => campo));
      assert.deepEqual(campos, new Set(['/titulo', '/meta', '/status', '/organizadora_id', '/extra']));
      for (const descricao of ['a\0b', '\ud800']) {
        await teste.esperarErro('requisicao_invalida', {
          method: 'POST',
          url: '/api/campanhas/',
          como: 'admin',
          headers: { 'content-type': 'application/json' },
          payload: JSON.stringify({ ...NOVA, descricao }),
        });
      }
    });

    it('answers 422 for an organisation that does not exist, and 404 for a campaign', async () => {
      const payload = { ...NOVA, organizadora_id: 999 };
      await teste.esperarErro('referencia_inexistente', {
        method: 'POST',
        url: '/api/campanhas/',
        como: 'admin',
        payload,
      });
      const url = '/api/campanhas/999999/';
      await teste.esperarErro('nao_encontrado', { method: 'PUT', url, como: 'admin', payload: EDITADA });
    });

    it('closes, reopens, and never goes back to a draft', async () => {
      const url = `/api/campanhas/${await criar()}/`;
      const put = { method: 'PUT', url, como: 'admin' } as const;
      const closed = (await teste.pedir({ ...put, payload: { ...EDITADA, status: 'encerrada' } })).json();
      assert.ok(closed.encerrada_em);
      assert.equal((await teste.pedir({ ...put, payload: EDITADA })).json().encerrada_em, null);
      await teste.esperarErro('transicao_invalida', { ...put, payload: { ...EDITADA, status: 'rascunho' } });
    });
  });
});
