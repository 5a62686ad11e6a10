import assert from 'node:assert/strict';
import { test } from 'node:test';
import type pg from 'pg';
import type { Application } from './application.ts';
import { type Configuration, readConfiguration } from './configuration.ts';
import { assertApplicationAgrees, assertNoDefaults } from './refusals.ts';

const SECRET = 'Zm9yIHRlc3RzIG9ubHksIGFuZCBub3QgYSBzZWNyZXQ';
const application = { name: 'loja' } as Application;
const production = (env: Record<string, string>): Configuration =>
  readConfiguration('production', { VAZAO_SECRET: SECRET, ...env }, '/');

test('production does not start with secrets and passwords out of guides, and all are told at once', () => {
  const refusal = (env: Record<string, string>): string => {
    try {
      assertNoDefaults(application, production(env));
      return '';
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'ERR_RUNTIME_REFUSED');
      return (error as Error).message;
    }
  };
  assert.equal(refusal({}), '');
  for (const VAZAO_SECRET of [
    'please-change-me-please-change-me-please',
    'CHANGEME0123456789012345678901234567890',
    'your_secret_your_secret_your_secret_your',
  ])
    assert.match(refusal({ VAZAO_SECRET }), /^loja does not start in production\. VAZAO_SECRET is an example/);
  for (const password of ['postgres', 'password', 'CHANGEME', 'loja', '%70ostgres'])
    assert.match(
      refusal({ DATABASE_URL: `postgresql://loja:${password}@db.internal/loja` }),
      /DATABASE_URL is one that/,
    );
  for (const url of [
    'postgresql://loja:Qm9i@db/loja',
    'postgresql://loja@db/loja',
    'postgresql://loja:loja@127.0.0.1/loja',
  ])
    assert.equal(refusal({ DATABASE_URL: url }), '');
  const both = refusal({ VAZAO_SECRET: 'change-me '.repeat(5), DATABASE_URL: 'postgresql://a:admin@db/a' });
  assert.match(both, /VAZAO_SECRET .* DATABASE_URL /);
  assert.doesNotMatch(both, /change-me|:admin/, 'the message repeats no secret');
});

test('what the application refuses ends the start, and a check that fails does, too', async () => {
  const client = {} as pg.ClientBase;
  const agrees = (refuses: Application['refuses'], configuration = production({})): Promise<void> =>
    assertApplicationAgrees({ ...application, refuses }, configuration, client);
  await agrees(undefined);
  await agrees(async () => []);
  await assert.rejects(
    agrees(async () => ['The user admin has a default password. Change it.', 'API_KEY is missing. Set it.']),
    { code: 'ERR_RUNTIME_REFUSED', message: /default password\. Change it\. API_KEY is missing/ },
  );
  await assert.rejects(
    agrees(() => Promise.reject(new Error('no table'))),
    { code: 'ERR_RUNTIME_APPLICATION', message: /loja could not check whether it may serve: no table/ },
  );
  await agrees(async () => ['never'], { ...production({}), environment: 'development' });
});
