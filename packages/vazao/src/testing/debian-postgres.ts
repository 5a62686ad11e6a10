/** Debian's PostgreSQL, for tests: servers with standbys, and a server of another version than the embedded one. */
import { startCluster } from '../torture/parts/postgres-cluster.ts';
import { TEST_SETTINGS } from './server.ts';

export {
  type ClusterOptions,
  type PostgresCluster,
  type StandbyOptions,
  startCluster,
} from '../torture/parts/postgres-cluster.ts';
export type { PostgresNode, StopMode } from '../torture/parts/postgres-node.ts';

/** As `startTestServer`, with the same settings. */
export async function startDebianServer(): Promise<{ url: string; stop: () => Promise<void> }> {
  const cluster = await startCluster({ settings: TEST_SETTINGS });
  return { url: cluster.primary.url, stop: () => cluster.close() };
}
