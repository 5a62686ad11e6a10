import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alone } from '../../testing/limited-app.ts';
import { plainPage, type RefusalPage, refusal } from './refusal.ts';

const failing: readonly [string, RefusalPage, RegExp][] = [
  [
    'throws',
    () => {
      throw new Error('no template');
    },
    /no template/,
  ],
  [
    'returns a promise that fails',
    (() => Promise.reject(new Error('too late'))) as unknown as RefusalPage,
    /it returned object, and no string/,
  ],
  ['returns a promise', (async () => 'text') as unknown as RefusalPage, /it returned object, and no string/],
];
for (const [what, page, said] of failing) {
  test(`where the application's page ${what}, the plain one is sent, and a warning says so once`, async () => {
    await using server = await alone({ urlMaxBytes: 10, page }, () => {});
    const warnings: string[] = [];
    const listen = ({ message }: Error): void => void warnings.push(message);
    process.on('warning', listen);
    for (let i = 0; i < 2; i++) {
      const answer = await fetch(`${server.origin}/much-too-long`, { headers: { accept: 'text/html' } });
      assert.deepEqual([answer.status, await answer.text()], [414, plainPage(refusal('ERR_LIMIT_URL'))]);
    }
    process.off('warning', listen);
    const own = warnings.filter((message) => message.startsWith('The page of the limits'));
    assert.equal(own.length, 1);
    assert.match(own[0] ?? '', said);
  });
}
