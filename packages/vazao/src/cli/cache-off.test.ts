import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCommand, writeApplication } from '../testing/cli.ts';

test('VAZAO_CACHE=off computes every answer of a cached route', { timeout: 480_000 }, async () => {
  const base = mkdtempSync(join(tmpdir(), 'vazao-cache-off-'));
  try {
    const application = writeApplication(join(base, 'little'));
    const run = runCommand(
      ['dev', application],
      { PORT: '0', VAZAO_DATA: join(base, 'data'), VAZAO_CACHE: 'off' },
      base,
    );
    const url = await run.url;
    for (const expected of [0, 1, 2]) {
      const answer = await fetch(`${url}/count`);
      assert.deepEqual(await answer.json(), { n: expected });
      assert.equal(answer.headers.get('cache-status'), null);
      assert.equal((await fetch(`${url}/count`, { method: 'POST' })).status, 200);
    }
    run.child.kill('SIGTERM');
    assert.equal(await run.ended, 0, run.output.stderr);
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
});
