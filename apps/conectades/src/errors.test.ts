import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { normalizarBusca } from './busca.ts';
import { createTestApp, type TestApp } from './testing/test-app.ts';

let teste: TestApp;
describe('the edge', () => {
  before(async () => {
    teste = await createTestApp();
  });
  after(() => teste?.[Symbol.asyncDispose]());

  const TOKEN = { method: 'POST', url: '/api/token/' } as const;

  describe('errors', () => {
    it('of unknown routes and methods are problems too', async () => {
      for (const url of ['/', '/api/nada/', '/api/campanhas/listar'])
        await teste.esperarErro('rota_inexistente', { url });
      await teste.esperarErro('rota_inexistente', { method: 'DELETE', url: '/api/campanhas/1/' });
    });

    it('of bodies tell what is wrong with them', async () => {
      const json = { 'content-type': 'application/json' };
      for (const payload of ['{', '', 'null x', '{"__proto__": 1}']) {
        await teste.esperarErro('json_invalido', { ...TOKEN, headers: json, payload });
      }
      for (const payload of ['null', '[]', '"x"', '{}', '{"username":1,"password":{}}']) {
        await teste.esperarErro('requisicao_invalida', { ...TOKEN, headers: json, payload });
      }
      await teste.esperarErro('requisicao_invalida', TOKEN);
      for (const type of ['text/plain', 'application/xml', 'multipart/form-data; boundary=x']) {
        await teste.esperarErro('tipo_nao_suportado', { ...TOKEN, headers: { 'content-type': type }, payload: 'x' });
      }
      const payload = { username: 'a', password: 'x'.repeat(40_000) };
      await teste.esperarErro('corpo_grande_demais', { ...TOKEN, payload });
    });

    it('can be looked up by their type', async () => {
      const { type } = (await teste.pedir({ url: '/nada' })).json();
      assert.deepEqual((await teste.pedir({ url: type })).json(), {
        code: 'rota_inexistente',
        title: 'Esta rota não existe',
        status: 404,
      });
    });

    it('of a database that is away are a 503 with a time to come back, and nothing of its words', async () => {
      const { db } = teste.context;
      const query = db.query;
      const failures: [Error, 'indisponivel' | 'erro_interno'][] = [
        [Object.assign(new Error('connect ECONNREFUSED 10.0.0.7:5432'), { code: 'ECONNREFUSED' }), 'indisponivel'],
        [new Error('Connection terminated unexpectedly'), 'indisponivel'],
        [new Error('timeout exceeded when trying to connect'), 'indisponivel'],
        [Object.assign(new Error('canceling statement'), { code: '57014' }), 'indisponivel'],
        [Object.assign(new Error('terminating connection'), { code: '25P03' }), 'indisponivel'],
        [Object.assign(new Error('terminating connection'), { code: '25P04' }), 'indisponivel'],
        [Object.assign(new Error('deadlock detected'), { code: '40P01' }), 'indisponivel'],
        [Object.assign(new Error('relation "segredo" does not exist'), { code: '42P01' }), 'erro_interno'],
        [new TypeError('segredo is not a function'), 'erro_interno'],
      ];
      try {
        for (const [failure, code] of failures) {
          db.query = (() => Promise.reject(failure)) as typeof query;
          const response = await teste.esperarErro(code, { url: '/api/campanhas/1/' });
          assert.doesNotMatch(response.body, /segredo|10\.0\.0\.7|deadlock|canceling/);
          assert.equal(response.headers['retry-after'] !== undefined, code === 'indisponivel');
        }
      } finally {
        db.query = query;
      }
    });
  });

  describe('the documents', () => {
    it('describe every route in OpenAPI 3.1', async () => {
      const document = (await teste.pedir({ url: '/api/docs/json' })).json();
      assert.match(document.openapi, /^3\.1\./);
      const paths = Object.keys(document.paths);
      for (const path of [
        '/api/token/',
        '/api/token/refresh/',
        '/api/campanhas/listar/',
        '/api/campanhas/{id}/',
        '/api/doacoes/',
        '/api/doacoes/minhas/',
        '/api/pessoas/{id}/completa/',
        '/api/organizadoras/{id}/',
      ]) {
        assert.ok(paths.includes(path), path);
      }
      const page = await teste.pedir({ url: '/api/docs/' });
      assert.equal(page.statusCode, 200);
      assert.match(page.body, /swagger-ui/);
    });
  });

  describe('whatever is asked', () => {
    const texto = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 90 }),
      fc.string({ maxLength: 90 }),
      fc.integer().map(String),
      fc.double().map(String),
      fc.constantFrom('', '0', '1', '%', '\\', "'", '\0', '\u0301', 'rascunho', 'ativa', '9'.repeat(30), '__proto__'),
    );
    const nome = fc.constantFrom('pagina', 'busca', 'status', 'ordem', '__proto__', 'constructor', 'toString');
    const encode = (text: string): string => encodeURIComponent(text.toWellFormed());
    const query = fc
      .array(fc.tuple(nome, texto), { maxLength: 4 })
      .map((pairs) => pairs.map(([name, value]) => `${name}=${encode(value)}`).join('&'));
    const caminho = fc.oneof(
      fc.constantFrom(
        '/api/campanhas/listar/',
        '/api/pessoas/listar/',
        '/api/organizadoras/listar/',
        '/api/doacoes/minhas/',
      ),
      fc
        .tuple(fc.constantFrom('campanhas', 'pessoas', 'organizadoras', 'erros'), texto)
        .map(([resource, id]) => `/api/${resource}/${encode(id)}/`),
    );

    it('the answer is never a server error', async () => {
      await fc.assert(
        fc.asyncProperty(caminho, query, fc.constantFrom(undefined, 'admin', 'doador1'), async (path, search, como) => {
          const response = await teste.pedir({ url: `${path}?${search}`, como: como as 'admin' | undefined });
          assert.ok(response.statusCode < 500, `${path}?${search} ${response.body}`);
        }),
        { numRuns: 400 },
      );
    });

    it('a body of any shape is taken or refused, never an error of ours', async () => {
      const routes = fc.constantFrom(
        ['POST', '/api/token/'],
        ['POST', '/api/token/refresh/'],
        ['POST', '/api/campanhas/'],
        ['PUT', '/api/campanhas/1/'],
        ['POST', '/api/doacoes/'],
        ['POST', '/api/pessoas/'],
        ['PUT', '/api/organizadoras/1/'],
      );
      const field = fc.oneof(texto, fc.jsonValue({ maxDepth: 1 }), fc.constantFrom('12.34', 1, 'ativa', 'SP'));
      const names = [
        'campanha_id',
        'valor',
        'titulo',
        'descricao',
        'meta',
        'status',
        'organizadora_id',
        'nome',
        'cidade',
        'uf',
        'email',
        'cpf',
        'refresh',
      ];
      const body = fc.oneof(fc.dictionary(fc.constantFrom(...names), field), fc.jsonValue());
      await fc.assert(
        fc.asyncProperty(routes, body, async ([method, url], payload) => {
          const response = await teste.pedir({
            method: method as 'POST',
            url: String(url),
            como: 'admin',
            headers: { 'content-type': 'application/json' },
            payload: JSON.stringify(payload),
          });
          assert.ok(response.statusCode < 500, `${url} ${JSON.stringify(payload)} ${response.body}`);
        }),
        { numRuns: 400 },
      );
    });

    it('a search is normalised by the application as by the database', async () => {
      await fc.assert(
        fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 60 }), async (text) => {
          const clean = text.toWellFormed().replaceAll('\0', '');
          const { rows } = await teste.database.pool.query('select texto_de_busca($1) as busca', [clean]);
          assert.equal(normalizarBusca(clean), rows[0].busca);
        }),
        { numRuns: 300 },
      );
    });
  });
});
