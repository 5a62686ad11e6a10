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

/** Empty where it starts. */
function refusal(env: Record<string, string>): string {
  try {
    assertNoDefaults(application, production(env));
    return '';
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'ERR_RUNTIME_REFUSED');
    return (error as Error).message;
  }
}

test('production does not start with secrets and passwords out of guides, and all are told at once', () => {
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

test('passwords of replicas and of Redis are held to the same rule, each replica and each host of a group', () => {
  const redis = (name: string, url: string): readonly [Record<string, string>, string] => [{ [name]: url }, name];
  const primary = 'postgresql://loja:Qm9i@db/loja';
  const replicas = (urls: string): Record<string, string> => ({ DATABASE_URL: primary, DATABASE_REPLICA_URLS: urls });
  for (const [env, name] of [
    [replicas(`postgresql://loja:Qm9i@one/loja,postgresql://loja:loja@two/loja`), 'DATABASE_REPLICA_URLS'],
    ...['REDIS_URL', 'VAZAO_STATE_REDIS_URL'].flatMap((name) => [
      redis(name, 'redis://:foobared@redis.internal:6379'),
      redis(name, 'rediss://vazao:VAZAO@redis.internal'),
      redis(name, 'redis://default:%70assword@10.0.0.7/1'),
      redis(name, 'redis://:default@redis.internal'),
    ]),
    redis('REDIS_URL', 'redis-sentinel://:redis@127.0.0.1:26379,other:26379/main'),
    redis('REDIS_URL', 'redis-cluster://:changeme@one:6379,two:6379'),
  ] as const)
    assert.match(refusal(env), new RegExp(`production\\. The password in ${name} is one that`), JSON.stringify(env));
  for (const url of [
    'redis://redis.internal',
    'redis://:Qm9i@redis.internal',
    'redis://:redis@127.0.0.1:6379',
    'redis://:redis@[::1]:6379',
    'redis://:redis@localhost',
  ])
    assert.equal(refusal({ REDIS_URL: url, VAZAO_STATE_REDIS_URL: url }), '', url);
  assert.equal(refusal(replicas('postgresql://loja@one/loja,postgresql://loja:loja@localhost/loja')), '');
});

test('a token of the metrics that anybody would try is refused', () => {
  const withToken = (VAZAO_METRICS_TOKEN: string): string => refusal({ VAZAO_METRICS_TOKEN });
  for (const token of ['change-me-change-me', 'your-token-goes-here', 'Metrics-Token-123456', '1234567890123456'])
    assert.match(withToken(token), /production\. VAZAO_METRICS_TOKEN is one that everybody tries first/, token);
  for (const token of ['4f0c2a9d17e85b63d1', 'metrics-4f0c2a9d17e85b63']) assert.equal(withToken(token), '', token);
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
