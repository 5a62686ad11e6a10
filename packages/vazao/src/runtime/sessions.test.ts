import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { Sessions } from '../http/security/index.ts';
import { startRedisServer } from '../testing/redis.ts';
import type { Application } from './application.ts';
import type { Configuration } from './configuration.ts';
import { openSessions } from './sessions.ts';

async function open(
  acquired: AsyncDisposableStack,
  environment: Configuration['environment'],
  sessions: object | undefined,
  stateRedisUrl?: string,
): Promise<Sessions | undefined> {
  const configuration = { environment, limits: { stateRedisUrl } };
  const parts = { db: {}, secret: 'x'.repeat(32), onProblem: () => {}, configuration };
  const application = { name: 'loja', security: { sessions } };
  const opened = await openSessions({ ...parts, application: application as Application } as never, acquired);
  acquired.defer(() => opened?.close());
  return opened;
}

test('cookies that go over plain HTTP are for development alone', async () => {
  await using acquired = new AsyncDisposableStack();
  assert.equal(await open(acquired, 'production', undefined), undefined);
  await assert.rejects(open(acquired, 'production', { secure: false }), {
    code: 'ERR_RUNTIME_REFUSED',
    message: /plain HTTP/,
  });
  assert.equal((await open(acquired, 'production', {}))?.cookieName, '__Host-session');
  assert.equal((await open(acquired, 'development', { secure: false }))?.cookieName, 'session');
});

test('with VAZAO_STATE_REDIS_URL sessions are in that Redis, which evicts nothing, and the start says what is wrong', async () => {
  await using acquired = new AsyncDisposableStack();
  const server = await startRedisServer();
  acquired.defer(() => server.close());
  const url = `redis://127.0.0.1:${server.port}`;
  const [one, other] = [await open(acquired, 'production', {}, url), await open(acquired, 'production', {}, url)];
  const { hash } = (await one?.replace(undefined, { id: 'ana' }, {})) ?? { hash: randomBytes(32) };
  assert.equal((await other?.find(hash))?.user?.id, 'ana', 'two processes share them');

  const evicting = await startRedisServer({ policy: 'allkeys-lru' });
  acquired.defer(() => evicting.close());
  const wrong = { code: 'ERR_RUNTIME_CONFIGURATION', message: /VAZAO_STATE_REDIS_URL .*noeviction/ };
  await assert.rejects(open(acquired, 'production', {}, `redis://127.0.0.1:${evicting.port}`), wrong);
  await evicting.close();
  const away = { code: 'ERR_RUNTIME_CONFIGURATION', message: /VAZAO_STATE_REDIS_URL can't hold the sessions/ };
  await assert.rejects(open(acquired, 'production', {}, `redis://127.0.0.1:${evicting.port}`), away);
});
