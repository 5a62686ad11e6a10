/** Looks at a database through the eyes of the feed; changes nothing. For `vazao doctor`. */
import type pg from 'pg';
import type { FeedSource } from '../../feed/index.ts';
import { connectDatabase } from '../database.ts';
import { toDatabaseError } from '../database-errors.ts';
import { describeError } from '../errors.ts';
import { checkConnection } from './connection.ts';
import { checkFeedSource, takesWeaker } from './feed-source.ts';
import { type Finding, failure } from './finding.ts';
import { checkPublication, checkReplicaIdentities } from './publication.ts';
import { checkRedis } from './redis.ts';
import { checkReplicas } from './replicas.ts';
import { checkPrivileges, checkServer } from './server.ts';
import { checkOldTransactions, checkRoom } from './traffic.ts';

export type { Finding } from './finding.ts';

export interface DiagnosisOptions {
  readonly url: string;
  /** Connections that the server wants for queries. */
  readonly databasePoolMax: number;
  readonly databaseReplicaUrls?: readonly string[] | undefined;
  readonly redisUrl?: string | undefined;
  /** @defaultValue `auto` */
  readonly feedSource?: FeedSource | 'auto' | undefined;
  /** Processes that would serve. @defaultValue 1 */
  readonly workers?: number | undefined;
}

type Check = (client: pg.Client, options: DiagnosisOptions) => Promise<readonly Finding[]>;

const CHECKS: readonly Check[] = [
  checkServer,
  checkPrivileges,
  checkFeedSource,
  checkConnection,
  checkPublication,
  checkReplicaIdentities,
  checkRoom,
  checkOldTransactions,
  checkReplicas,
  checkRedis,
];

/** What only a feed needs that reads the log itself: with another source asked for, a start does without. */
const OF_THE_LOG: ReadonlySet<string> = new Set([
  'wal_level',
  'wal_sender_timeout',
  'replication',
  'replication connection',
  'publication',
  'replica identity',
  'max_replication_slots',
  'max_wal_senders',
  'old transaction',
]);

/** All findings, in the order in which they are best mended. Throws {@link RuntimeError} when the database can't be reached. */
export async function diagnose(options: DiagnosisOptions): Promise<readonly Finding[]> {
  const client = await connectDatabase(options.url).catch((error) => {
    throw toDatabaseError(error, options.url);
  });
  try {
    await client.query("set statement_timeout = '10s'");
    const { feedSource = 'auto' } = options;
    const readsLog = ['auto', 'wal'].includes(feedSource);
    const findings: Finding[] = [];
    for (const check of CHECKS) {
      // One check that fails must not hide the others.
      const found = await check(client, options).catch((error) => [
        failure(check.name, `The check itself failed: ${describeError(error)}.`),
      ]);
      findings.push(...found.filter(({ check }) => readsLog || !OF_THE_LOG.has(check)));
    }
    return feedSource === 'auto' && takesWeaker(findings) ? findings.map(soften) : findings;
  } finally {
    await client.end();
  }
}

/** What keeps the feed from the log, or from an outbox, keeps it from nothing where it runs without. */
function soften(finding: Finding): Finding {
  const isOfStronger = OF_THE_LOG.has(finding.check) || finding.check === 'create';
  return finding.level === 'failure' && isOfStronger ? { ...finding, level: 'advice' } : finding;
}
