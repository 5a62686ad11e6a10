import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Application } from './application.ts';
import type { Configuration } from './configuration.ts';
import { openSessions } from './sessions.ts';

test('cookies that go over plain HTTP are for development alone', () => {
  const open = (environment: Configuration['environment'], sessions: object | undefined): unknown => {
    const parts = { db: {}, secret: 'x'.repeat(32), onProblem: () => {}, configuration: { environment } };
    const application = { name: 'loja', security: { sessions } };
    return openSessions({ ...parts, application: application as Application } as never);
  };
  assert.equal(open('production', undefined), undefined);
  assert.throws(() => open('production', { secure: false }), { code: 'ERR_RUNTIME_REFUSED', message: /plain HTTP/ });
  const { cookieName, close } = open('development', { secure: false }) as { cookieName: string; close(): void };
  assert.equal(cookieName, 'session');
  assert.equal(typeof close, 'function');
});
