/** The twins by `vazao start`: each a process of its own on one database, and one of them without a cache. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Twins } from '../../packages/vazao/src/testing/cached-and-plain.ts';
import { runCommand } from '../../packages/vazao/src/testing/cli.ts';
import { createTestDatabase } from '../../packages/vazao/src/testing/database.ts';

const APPLICATION = join(import.meta.dirname, 'application.ts');

export async function startTwins(): Promise<Twins> {
  await using acquired = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'vazao-bad-input-'));
  acquired.defer(() => rmSync(folder, { recursive: true, force: true }));
  const database = acquired.use(await createTestDatabase());
  const serve = (cache: 'on' | 'off'): Promise<string> => {
    const { child, ended, url } = runCommand(['start', APPLICATION], environment(database.url, cache), folder);
    acquired.defer(async () => {
      child.kill('SIGTERM');
      await ended;
    });
    return url;
  };
  // One after the other: the first applies the migration.
  const cached = await serve('on');
  const plain = await serve('off');
  const held = acquired.move();
  return { cached, plain, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** One worker: with two, whoever asks next might ask another than the one that was attacked. The bounds are those of `createTwins`. */
function environment(databaseUrl: string, cache: 'on' | 'off'): Record<string, string> {
  return {
    PORT: '0',
    WORKERS: '1',
    DATABASE_URL: databaseUrl,
    VAZAO_CACHE: cache,
    VAZAO_SECRET: 'x'.repeat(40),
    LOG_LEVEL: 'silent',
    REQUEST_TIMEOUT: '2s',
    BODY_MAX: '10000B',
  };
}
