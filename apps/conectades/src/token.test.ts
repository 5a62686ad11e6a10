import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import Fastify from 'fastify';
import { createPasswords, createTokens, deriveTokenKey } from 'vazao/security';
import type { App } from './http.ts';
import { createIdentify } from './identidade.ts';
import { createTestApp, SECRET, type TestApp } from './testing/test-app.ts';
import { token } from './token.ts';

let teste: TestApp;
const lines: string[] = [];
describe('identity', () => {
  before(async () => {
    teste = await createTestApp((line) => lines.push(line));
  });
  after(() => teste?.[Symbol.asyncDispose]());

  const MINHAS = '/api/doacoes/minhas/';

  async function entrar(username = 'doador1', password = 'doador123'): Promise<{ access: string; refresh: string }> {
    const response = await teste.pedir({ method: 'POST', url: '/api/token/', payload: { username, password } });
    assert.equal(response.statusCode, 200, response.body);
    assert.equal(response.headers['cache-control'], 'no-store');
    return response.json();
  }

  const renovar = (refresh: string) => ({ method: 'POST', url: '/api/token/refresh/', payload: { refresh } }) as const;
  const com = (token: string) => ({ url: MINHAS, headers: { authorization: `Bearer ${token}` } });

  /** A token that the platform made with our secret, but for another purpose or audience. */
  function forge({
    secret = SECRET,
    purpose = 'conectades access',
    issuer = 'conectades',
    audience = 'conectades:api',
  }) {
    const claims = { papel: 'admin', pessoa_id: 1, organizadora_id: null };
    return createTokens({ issuer, audience, keys: [deriveTokenKey(secret, purpose)] }).sign('1', claims);
  }

  describe('tokens', () => {
    it('are given for the right password, whatever the case of the name', async () => {
      const { access } = await entrar('DOADOR1');
      assert.equal((await teste.pedir(com(access))).statusCode, 200);
      assert.ok(await entrar('admin', 'admin123'));
    });

    it('are refused in the same words for an unknown user, a wrong password and a user who was deactivated', async () => {
      await teste.database.pool.query("update usuarios set ativo = false where username = 'doador5'");
      const bodies = new Set<string>();
      for (const [username, password] of [
        ['ninguem', 'doador123'],
        ['doador1', 'errada'],
        ['doador5', 'doador123'],
        ["' or 1=1 --", 'x'],
      ]) {
        const response = await teste.esperarErro('credenciais_invalidas', {
          method: 'POST',
          url: '/api/token/',
          payload: { username, password },
        });
        assert.equal(response.headers['www-authenticate'], 'Bearer');
        bodies.add(response.body);
      }
      assert.equal(bodies.size, 1);
    });

    it('are asked for by the class that is limited, and renewed by another', async () => {
      const classes = new Map<string, unknown>();
      const app = Fastify();
      app.addHook('onRoute', ({ method, url, config }) => void classes.set(`${method} ${url}`, config?.class));
      token(app.withTypeProvider() as App, teste.context);
      assert.equal(classes.get('POST /api/token/'), 'login');
      assert.equal(classes.get('POST /api/token/refresh/'), undefined);
    });

    it('are logged, given and refused, without what was sent', async () => {
      lines.length = 0;
      const { refresh } = await entrar();
      const payload = { username: 'doador1', password: 'senha-errada' };
      await teste.esperarErro('credenciais_invalidas', { method: 'POST', url: '/api/token/', payload });
      await teste.pedir(renovar(refresh));
      await teste.esperarErro('token_invalido', renovar(refresh));
      const written = lines.join('');
      assert.match(written, /"usuario":5,"identificado":true,"msg":"log-in"/);
      assert.match(written, /"usuario":5,"identificado":false,"msg":"log-in refused"/);
      assert.match(written, /used twice/);
      for (const secret of ['doador123', 'senha-errada', refresh]) assert.ok(!written.includes(secret));
    });

    it('of access and of refresh do not pass for each other', async () => {
      const { access, refresh } = await entrar();
      await teste.esperarErro('nao_autenticado', com(refresh));
      await teste.esperarErro('token_invalido', renovar(access));
      const renewed = (await teste.pedir(renovar(refresh))).json();
      assert.deepEqual(Object.keys(renewed), ['access', 'refresh']);
      assert.equal((await teste.pedir(com(renewed.access))).statusCode, 200);
    });

    it('of refresh that are used twice end all that came of them', async () => {
      const { refresh } = await entrar();
      const renewed = (await teste.pedir(renovar(refresh))).json();
      await teste.esperarErro('token_invalido', renovar(refresh));
      await teste.esperarErro('token_invalido', renovar(renewed.refresh));
    });

    it('are not renewed for a user who was deactivated, and carry the role of the moment', async () => {
      const first = await entrar('doador4');
      await teste.database.pool.query("update usuarios set papel = 'admin' where username = 'doador4'");
      const { access, refresh } = (await teste.pedir(renovar(first.refresh))).json();
      const identity = await createIdentify({ secret: SECRET }).user({ authorization: `Bearer ${access}` });
      assert.equal(identity?.papel, 'admin');
      await teste.database.pool.query("update usuarios set ativo = false where username = 'doador4'");
      await teste.esperarErro('token_invalido', renovar(refresh));
    });

    it('that were forged are those of an anonymous caller', async () => {
      assert.equal((await teste.pedir(com(await forge({})))).statusCode, 200); // the forger's tool works with the right key
      for (const forgery of [
        { secret: 'another secret, which is just as long as ours' },
        { purpose: 'conectades other' },
        { issuer: 'another' },
        { audience: 'conectades:other' },
      ]) {
        await teste.esperarErro('nao_autenticado', com(await forge(forgery)));
      }
      const [header, payload] = (await forge({})).split('.');
      for (const token of [`${header}.${payload}.`, `${header}.${payload}`, 'x.y.z', '', 'é']) {
        await teste.esperarErro('nao_autenticado', com(token));
        await teste.esperarErro(token === '' ? 'requisicao_invalida' : 'token_invalido', renovar(token));
      }
      await teste.esperarErro('nao_autenticado', {
        url: MINHAS,
        headers: { authorization: `Basic ${await forge({})}` },
      });
    });

    it('of one user give the same identity but for their end', async () => {
      const { user } = createIdentify({ secret: SECRET });
      const [one, two] = await Promise.all([entrar(), entrar()]);
      const identities = await Promise.all([one, two].map(({ access }) => user({ authorization: `Bearer ${access}` })));
      for (const identity of identities) {
        assert.ok(Math.abs(Number(identity?.expiresAt) - Date.now() - 15 * 60_000) < 10_000);
      }
      const claims = identities.map((identity) => ({ ...identity, expiresAt: undefined }));
      assert.deepEqual(claims[0], claims[1]);
    });
  });

  describe('passwords', () => {
    it('whose hash was made with less are hashed again when their owner logs in', async () => {
      const { pool } = teste.database;
      const hashOf = async (): Promise<string> =>
        (await pool.query("select senha_hash from usuarios where username = 'doador3'")).rows[0].senha_hash;
      const cheap = await createPasswords({ memoryKiB: 7_168 }).hash('doador123');
      await pool.query("update usuarios set senha_hash = $1 where username = 'doador3'", [cheap]);
      const credenciais = { username: 'doador3', password: 'errada' };
      await teste.esperarErro('credenciais_invalidas', { method: 'POST', url: '/api/token/', payload: credenciais });
      assert.equal(await hashOf(), cheap);
      await entrar('doador3');
      const own = await hashOf();
      assert.match(own, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
      await entrar('doador3');
      assert.equal(await hashOf(), own);
    });

    it('are refused with 503, and not piled up, when too many log in at once', async () => {
      const payload = { username: 'ninguem', password: 'x' };
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => teste.pedir({ method: 'POST', url: '/api/token/', payload })),
      );
      const refused = answers.filter(({ statusCode }) => statusCode === 503);
      assert.ok(refused.length > 0 && refused.every(({ headers }) => headers['retry-after'] !== undefined));
      assert.ok(answers.some(({ statusCode }) => statusCode === 401));
    });
  });
});
