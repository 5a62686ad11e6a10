import type pg from 'pg';
import { isNotOffered } from '../../feed/create-feed.ts';
import { toFeedError } from '../../feed/errors.ts';
import { checkPreconditions } from '../../feed/preconditions.ts';
import { advice, type Finding, failure, ok } from './finding.ts';

const CHECK = 'feed source';

/** Which source the feed will take by itself, and what keeps it from a stronger one. */
export async function checkFeedSource(client: pg.Client): Promise<readonly Finding[]> {
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
