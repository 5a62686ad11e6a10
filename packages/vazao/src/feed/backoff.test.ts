import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs } from './backoff.ts';
import { resolveFeedOptions } from './options.ts';

test('a database that was away for long is found again within a second of its return, and not by all hosts at once', () => {
  for (const random of [0, 0.5, 1]) {
    const options = resolveFeedOptions({ connection: 'postgres://localhost', random: () => random });
    const pauses = Array.from({ length: 40 }, (_, failures) => backoffMs(failures, options));
    assert.ok(Math.max(...pauses) <= 1_000);
    assert.equal(pauses.at(-1), 500 + 500 * random);
    assert.ok((pauses[0] as number) < 100);
  }
});
