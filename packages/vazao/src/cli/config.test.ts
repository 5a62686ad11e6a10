import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { runCommand } from '../testing/cli.ts';

suite('vazao config', { timeout: 480_000 }, () => {
  const base = mkdtempSync(join(tmpdir(), 'vazao-config-'));
  after(() => rmSync(base, { recursive: true, force: true }));
  writeFileSync(join(base, 'package.json'), '{}');
  const SECRET = 'geheim'.repeat(8);
  writeFileSync(
    join(base, '.env'),
    `# for all\nVAZAO_SECRET=${SECRET}\nDATABASE_URL="postgres://u:geheim@db.example/d?password=geheim"\nPORT=4000\nLOG_LEVEL=debug\n`,
  );

  test('tells what is in force and where it is from; the environment wins; secrets are masked', async () => {
    const run = runCommand(
      ['config', '--production', '--json'],
      { PORT: '5000', LOG_LEVEL: '', MEMORY_LIMIT: '1GB', WORKERS: '2' },
      base,
    );
    assert.equal(await run.ended, 0, run.output.stderr);
    assert.ok(!run.output.stdout.includes('geheim'), run.output.stdout);
    const { settings } = JSON.parse(run.output.stdout) as {
      settings: { name: string; value?: string; source: string }[];
    };
    const found = new Map(settings.map(({ name, value, source }) => [name, [value, source]]));
    assert.deepEqual(found.get('PORT'), ['5000', 'environment']);
    assert.deepEqual(found.get('LOG_LEVEL'), ['debug', '.env'], 'what is empty counts as absent');
    assert.deepEqual(found.get('DATABASE_URL'), ['postgres://***@db.example/d?password=***', '.env']);
    assert.deepEqual(found.get('VAZAO_SECRET'), ['***', '.env']);
    assert.deepEqual(found.get('HOST'), ['127.0.0.1', 'default']);
    assert.deepEqual(found.get('MEMORY_LIMIT'), ['1 GB', 'environment']);
    assert.deepEqual(found.get('CACHE_SIZE'), ['256 MB', 'detected']);
    assert.ok(!found.has('VAZAO_TEST_SERVER'));
  });

  test('for people it is a table; what is not allowed is said as at a start', async () => {
    const table = runCommand(['config'], {}, base);
    assert.equal(await table.ended, 0, table.output.stderr);
    assert.match(
      table.output.stdout,
      /^Configuration of `vazao dev`\n\n {2}HOST {2,}127\.0\.0\.1 {2,}default\n {2}PORT {2,}4000 {2,}\.env$/m,
    );
    const mistyped = runCommand(['config'], { VAZAO_SECERT: 'x' }, base);
    assert.equal(await mistyped.ended, 1);
    assert.match(
      mistyped.output.stderr,
      /^vazao: VAZAO_SECERT is set, but there is no such variable\. Did you mean VAZAO_SECRET\?$/m,
    );
  });
});
