import pg from 'pg';
import { describeError, errorCode } from '../errors.ts';
import { type Finding, failure, ok } from './finding.ts';

const CONNECT_TIMEOUT_MS = 5_000;

/** Whether PostgreSQL itself is at the other end, and whether it lets a replication connection in. */
export async function checkConnection(
  client: pg.Client,
  { url }: { readonly url: string },
): Promise<readonly Finding[]> {
  return [await checkPooler(client), await checkReplicationConnection(url)];
}

/**
 * A pooler gives the client a process id of its own, and in transaction mode each transaction another server process.
 */
async function checkPooler(client: pg.Client): Promise<Finding> {
  const pids = new Set<number>();
  for (let transaction = 0; transaction < 3; transaction += 1) {
    const { rows } = await client.query('select pg_backend_pid() as pid');
    pids.add(rows[0].pid);
  }
  const announced = (client as unknown as { processID: number | null }).processID;
  const isDirect = pids.size === 1 && (announced === null || pids.has(announced));
  return isDirect
    ? ok('direct', 'no pooler stands between')
    : failure(
        'direct',
        'A connection pooler (PgBouncer or the like) stands between, and it does not pass logical replication.',
        'Set DATABASE_URL to the address of PostgreSQL itself (usually port 5432); the server has its own pool.',
      );
}

async function checkReplicationConnection(url: string): Promise<Finding> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    application_name: 'vazao doctor',
    replication: 'database',
  } as pg.ClientConfig);
  client.on('error', () => {});
  const check = 'replication connection';
  try {
    await client.connect();
    const { rows } = await client.query('IDENTIFY_SYSTEM');
    return ok(check, `a replication connection opens; the log is at ${rows[0].xlogpos}`);
  } catch (error) {
    const remedy: Record<string, string> = {
      '28000': 'Add a line for this user and address to pg_hba.conf, and: SELECT pg_reload_conf();',
      '42501': 'ALTER ROLE <role> REPLICATION;',
      '53300': 'ALTER SYSTEM SET max_wal_senders = 20; Then restart PostgreSQL.',
    };
    return failure(
      check,
      `A replication connection is refused: ${describeError(error)}.`,
      remedy[errorCode(error) ?? ''] ?? 'Set DATABASE_URL to the address of PostgreSQL itself, without a pooler.',
    );
  } finally {
    await client.end().catch(() => {}); // it never opened
  }
}
