import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { SignJWT, UnsecuredJWT } from 'jose';
import { createIdentify } from './identidade.ts';
import { hashSenha, isSenhaCerta } from './senhas.ts';
import { createTestApp, SECRET, type TestApp } from './testing/test-app.ts';

let teste: TestApp;
describe('identity', () => {
  before(async () => {
    teste = await createTestApp();
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

  interface Forgery {
    readonly secret?: string;
    readonly alg?: string;
    readonly typ?: string;
    readonly issuer?: string;
    readonly audience?: string;
    readonly expires?: string;
  }

  function forge(forgery: Forgery = {}): Promise<string> {
    const {
      secret = SECRET,
      alg = 'HS256',
      typ = 'at+jwt',
      issuer = 'conectades',
      audience = 'conectades:api',
      expires = '1h',
    } = forgery;
    return new SignJWT({ papel: 'admin', pessoa_id: 1, organizadora_id: null })
      .setProtectedHeader({ alg, typ })
      .setSubject('1')
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime(expires)
      .sign(createSecretKey(secret, 'utf8'));
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

    it('of access and of refresh do not pass for each other', async () => {
      const { access, refresh } = await entrar();
      await teste.esperarErro('nao_autenticado', com(refresh));
      await teste.esperarErro('token_invalido', renovar(access));
      const renewed = (await teste.pedir(renovar(refresh))).json();
      assert.deepEqual(Object.keys(renewed), ['access']);
      assert.equal((await teste.pedir(com(renewed.access))).statusCode, 200);
    });

    it('are not renewed for a user who was deactivated, and carry the role of the moment', async () => {
      const { refresh } = await entrar('doador4');
      await teste.database.pool.query("update usuarios set papel = 'admin' where username = 'doador4'");
      const { access } = (await teste.pedir(renovar(refresh))).json();
      const identity = await createIdentify({ secret: SECRET }).user({ authorization: `Bearer ${access}` });
      assert.equal(identity?.papel, 'admin');
      await teste.database.pool.query("update usuarios set ativo = false where username = 'doador4'");
      await teste.esperarErro('token_invalido', renovar(refresh));
    });

    it('that were forged are those of an anonymous caller', async () => {
      assert.equal((await teste.pedir(com(await forge()))).statusCode, 200); // the forger's tool works with the right key
      const forgeries: Forgery[] = [
        { secret: 'another secret, which is just as long as ours' },
        { alg: 'HS512' },
        { typ: 'JWT' },
        { typ: 'refresh+jwt' },
        { issuer: 'another' },
        { audience: 'conectades:refresh' },
        { expires: '-1s' },
      ];
      for (const forgery of forgeries) await teste.esperarErro('nao_autenticado', com(await forge(forgery)));
      const unsigned = new UnsecuredJWT({ papel: 'admin', pessoa_id: 1 }).setSubject('1').setIssuer('conectades');
      const none = unsigned.setAudience('conectades:api').setIssuedAt().setExpirationTime('1h').encode();
      const [header, payload] = (await forge()).split('.');
      for (const token of [none, `${none}x`, `${header}.${payload}.`, `${header}.${payload}`, 'x.y.z', '', 'é']) {
        await teste.esperarErro('nao_autenticado', com(token));
        await teste.esperarErro(token === '' ? 'requisicao_invalida' : 'token_invalido', renovar(token));
      }
      await teste.esperarErro('nao_autenticado', { url: MINHAS, headers: { authorization: `Basic ${await forge()}` } });
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

  describe('password hashes', () => {
    it('are argon2id in the PHC format with a salt of their own', async () => {
      const [one, two] = await Promise.all([hashSenha('segredo'), hashSenha('segredo')]);
      assert.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
      assert.notEqual(one, two);
      assert.ok(await isSenhaCerta('segredo', one));
      assert.ok(!(await isSenhaCerta('Segredo', one)));
    });

    it('never match when there is none or it can not be read', async () => {
      for (const hash of [undefined, '', '$argon2id$', '$argon2i$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAA$AAAA']) {
        assert.ok(!(await isSenhaCerta('', hash)));
      }
    });

    it('take as long for an unknown user as for a wrong password', async () => {
      const hash = await hashSenha('segredo');
      const median = async (senhaHash: string | undefined): Promise<number> => {
        const times: number[] = [];
        for (let n = 0; n < 7; n++) {
          const start = performance.now();
          await isSenhaCerta('errada', senhaHash);
          times.push(performance.now() - start);
        }
        return times.toSorted((a, b) => a - b)[3] ?? 0;
      };
      const [known, unknown] = [await median(hash), await median(undefined)];
      assert.ok(unknown > known / 3 && unknown < known * 3, `${known} ms, ${unknown} ms`);
    });

    it('are refused, and not piled up, when too many are asked for', async () => {
      const hash = await hashSenha('segredo');
      const results = await Promise.allSettled(Array.from({ length: 80 }, () => isSenhaCerta('segredo', hash)));
      const refused = results.filter(({ status }) => status === 'rejected');
      assert.ok(refused.length > 0 && refused.length < 40, String(refused.length));
    });
  });
});
