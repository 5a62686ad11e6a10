/** A PostgreSQL server for tests, in a throw-away folder. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../runtime/embedded-postgres.ts';

/** They favour speed over durability, and leave room for many slots. */
export const TEST_SETTINGS: Readonly<Record<string, string>> = {
  max_wal_senders: '60',
  max_replication_slots: '60',
  max_connections: '400',
  full_page_writes: 'off',
  max_wal_size: '4GB',
};

/** Starts the embedded one, with {@link TEST_SETTINGS}. */
export async function startTestServer(
  settings: Readonly<Record<string, string>> = {},
): Promise<{ url: string; stop: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'vazao-test-'));
  const postgres = await startEmbeddedPostgres({
    folder,
    settings: { ...TEST_SETTINGS, ...settings },
  });
  // A test file that is cut off by a time-out must not leave its server behind.
  const kill = (): void => postgres.kill();
  const end = (): never => process.exit(143);
  process.once('exit', kill).once('SIGTERM', end);
  return {
    url: postgres.url('postgres'),
    async stop() {
      process.off('exit', kill).off('SIGTERM', end);
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
