import type pg from 'pg';
import { isNotOffered } from '../../feed/create-feed.ts';
import { toFeedError } from '../../feed/errors.ts';
import { checkPreconditions } from '../../feed/preconditions.ts';
import { advice, type Finding, failure, ok } from './finding.ts';
import type { DiagnosisOptions } from './index.ts';

const CHECK = 'feed source';

/** Which source the feed will take by itself, and what keeps it from a stronger one; or whether what is asked for can be had. */
export async function checkFeedSource(
  client: pg.Client,
  { feedSource }: Pick<DiagnosisOptions, 'feedSource'>,
): Promise<readonly Finding[]> {
  if (feedSource === 'stream') return checkStream(client);
  let why: string;
  try {
    await checkPreconditions(client);
    return [ok(CHECK, 'the feed reads the log (wal): every change of every writer')];
  } catch (error) {
    const { code, message } = toFeedError(error);
    if (!isNotOffered('wal', code)) return [failure(CHECK, `The feed can't start: ${message}`)];
    why = message;
  }
  const { rows } = await client.query<{ database: string; role: string; possible: boolean }>(`
    select quote_ident(current_database()) as database, quote_ident(current_user) as role,
      case when to_regnamespace('vazao') is null then has_database_privilege(current_database(), 'CREATE')
        else has_schema_privilege('vazao', 'CREATE') end as possible`);
  const row = rows[0];
  if (row?.possible) {
    return [
      advice(CHECK, `The feed reads an outbox that triggers write (outbox), since the log is not to be had: ${why}`),
    ];
  }
  return [
    advice(
      CHECK,
      `The feed knows only what this server writes itself (app), and answers are kept for 5 s unless the route names a ttl: ${why}`,
      `GRANT CREATE ON DATABASE ${row?.database} TO ${row?.role};`,
    ),
  ];
}

/** Somebody has to write the stream: a server with a feed of its own keeps a connection for the lock that chooses. */
async function checkStream(client: pg.Client): Promise<readonly Finding[]> {
  const { rows } = await client.query<{ servers: number }>(`
    select count(*)::int as servers from pg_stat_activity
    where datname = current_database() and application_name = 'vazao leader'`);
  const { servers } = rows[0] as { servers: number };
  if (servers > 1) return [ok(CHECK, `the feed is read from Redis (stream); ${servers} servers can write it`)];
  const remedy = 'Start two servers with another VAZAO_FEED (wal or outbox), and with the same REDIS_URL.';
  if (servers === 1) {
    return [advice(CHECK, 'The feed is read from Redis (stream), and only one server can write it.', remedy)];
  }
  return [failure(CHECK, 'The feed is read from Redis (stream), and no server is there that can write it.', remedy)];
}
