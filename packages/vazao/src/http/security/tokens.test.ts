import assert from 'node:assert/strict';
import { generateKeyPairSync, hash } from 'node:crypto';
import { test } from 'node:test';
import { SignJWT, UnsecuredJWT } from 'jose';
import { createTokens, deriveTokenKey, identifyByToken, type TokenKey } from './tokens.ts';

const SECRET = 'a secret of the tests, long enough for HS256';
const key = deriveTokenKey(SECRET, 'access');
const older = deriveTokenKey('the secret of last year, just as long as ours', 'access');
const own = { issuer: 'loja', audience: 'loja:api' };
const tokens = createTokens({ ...own, keys: [key, older] });

interface Forgery {
  readonly by?: TokenKey;
  readonly header?: Record<string, unknown>;
  readonly claims?: Record<string, unknown>;
}

/** A token that holds, but for what the forgery changes; `undefined` leaves a claim or field out. */
function forge({ by = key, header = {}, claims = {} }: Forgery = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const payload = { iss: 'loja', aud: 'loja:api', sub: '7', iat: now, exp: now + 600, ...claims };
  return new SignJWT(JSON.parse(JSON.stringify(payload)))
    .setProtectedHeader(JSON.parse(JSON.stringify({ alg: by.algorithm, typ: 'at+jwt', kid: by.kid, ...header })))
    .sign(by.sign as NonNullable<TokenKey['sign']>);
}

test('a token holds with its claims, and its header says type, algorithm and key', async () => {
  const token = await tokens.sign('7', { papel: 'admin' });
  const claims = await tokens.verify(token);
  assert.equal(claims?.sub, '7');
  assert.equal(claims?.papel, 'admin');
  assert.equal((claims?.exp ?? 0) - (claims?.iat ?? 0), 900);
  const header = JSON.parse(Buffer.from(token.split('.')[0] as string, 'base64url').toString());
  assert.deepEqual(header, { alg: 'HS256', typ: 'at+jwt', kid: key.kid });
  await assert.rejects(tokens.sign('7', { exp: 1 }), { code: 'ERR_SECURITY_OPTIONS' });
});

test('a token does not hold when anything that RFC 8725 names is wrong or missing', async () => {
  const now = Math.floor(Date.now() / 1_000);
  assert.ok(await tokens.verify(await forge()), 'the forger knows how to make one that holds');
  const forgeries: Record<string, Forgery> = {
    'another key under the same kid': { by: { ...older, kid: key.kid } },
    'another algorithm with the right key': { by: { ...key, algorithm: 'HS512' } },
    'no kid': { header: { kid: undefined } },
    'unknown kid': { header: { kid: 'x' } },
    'kid of Object': { header: { kid: '__proto__' } },
    'type of a refresh token': { header: { typ: 'refresh+jwt' } },
    'no type': { header: { typ: undefined } },
    'other issuer': { claims: { iss: 'outra' } },
    'no issuer': { claims: { iss: undefined } },
    'other audience': { claims: { aud: 'loja:refresh' } },
    'no audience': { claims: { aud: undefined } },
    expired: { claims: { iat: now - 800, exp: now - 6 } },
    'no end': { claims: { exp: undefined } },
    'not yet': { claims: { nbf: now + 60 } },
    'issued in the future': { claims: { iat: now + 60, exp: now + 120 } },
    'for longer than we give': { claims: { iat: now - 906, exp: now + 9_999 } },
    'no age': { claims: { iat: undefined } },
    'no subject': { claims: { sub: undefined } },
  };
  for (const [what, forgery] of Object.entries(forgeries))
    assert.equal(await tokens.verify(await forge(forgery)), undefined, what);
});

test('a token without a signature, cut, padded or overlong does not hold', async () => {
  const token = await forge();
  const [header, payload, signature] = token.split('.') as [string, string, string];
  const none = new UnsecuredJWT({}).setSubject('7').setIssuer('loja').setAudience('loja:api').setExpirationTime('1h');
  const admin = Buffer.from('{"sub":"1","iss":"loja","aud":"loja:api"}').toString('base64url');
  for (const text of [
    none.setIssuedAt().encode(),
    `${header}.${payload}.`,
    `${header}.${payload}`,
    `${header}.${admin}.${signature}`,
    `${token}.x`,
    `${header}.${payload}.${signature.slice(1)}`,
    'x.y.z',
    '',
    'é',
    `${header}.${'A'.repeat(9_000)}.${signature}`,
  ]) {
    assert.equal(await tokens.verify(text), undefined, text.slice(0, 80));
  }
});

test('clocks may differ by the tolerance and no more', async () => {
  const now = Math.floor(Date.now() / 1_000);
  assert.ok(await tokens.verify(await forge({ claims: { iat: now - 800, exp: now - 1 } })));
  const strict = createTokens({ ...own, keys: [key], clockToleranceS: 0 });
  assert.equal(await strict.verify(await forge({ claims: { iat: now - 800, exp: now - 1 } })), undefined);
  assert.throws(() => createTokens({ ...own, keys: [key], clockToleranceS: 61 }), { code: 'ERR_SECURITY_OPTIONS' });
});

test('keys rotate: the new one signs, the old one verifies until it is taken out', async () => {
  const before = await createTokens({ ...own, keys: [older] }).sign('7');
  assert.ok(await tokens.verify(before));
  assert.equal(await createTokens({ ...own, keys: [key] }).verify(before), undefined);
  assert.throws(() => createTokens({ ...own, keys: [key, key] }), /same `kid`/);
});

test('keys of signature algorithms work, and their public half does not pass for a secret', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const signing: TokenKey = { kid: 'ed', algorithm: 'Ed25519', sign: privateKey, verify: publicKey };
  const signed = createTokens({ ...own, keys: [signing] });
  assert.ok(await signed.verify(await signed.sign('7')));
  // The classical confusion: HMAC with the text of the public key.
  const { createSecretKey } = await import('node:crypto');
  const pem = createSecretKey(publicKey.export({ type: 'spki', format: 'pem' }) as string, 'utf8');
  const confused = await forge({ by: { kid: 'ed', algorithm: 'HS256', sign: pem, verify: pem } });
  assert.equal(await signed.verify(confused), undefined);
  assert.throws(() => createTokens({ ...own, keys: [{ ...signing, sign: undefined }] }), /signs/);
});

test('a key for another purpose is another key, and its name tells nothing of the secret', async () => {
  const other = deriveTokenKey(SECRET, 'other');
  assert.notEqual(other.kid, key.kid);
  assert.ok(!hash('sha256', SECRET, 'base64url').startsWith(key.kid));
  assert.equal(await createTokens({ ...own, keys: [other] }).verify(await forge()), undefined);
});

test('who is asking ends with the token, and is nobody for any other proof', async () => {
  const { user } = identifyByToken(tokens, ({ sub, papel }) => ({ id: sub, papel }));
  const token = await tokens.sign('7', { papel: 'admin' });
  const identity = await user({ authorization: `Bearer ${token}` });
  assert.equal(identity?.papel, 'admin');
  assert.ok(Math.abs(Number(identity?.expiresAt) - Date.now() - 900_000) < 10_000);
  for (const authorization of [undefined, '', token, `Basic ${token}`, `Bearer  ${token}`, `Bearer ${token},x`])
    assert.equal(await user({ authorization }), undefined);
});
