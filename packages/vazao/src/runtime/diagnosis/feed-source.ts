import type pg from 'pg';
import { APP_TTL_DEFAULT_MS } from '../../feed/app-feed.ts';
import { isNotOffered, SOURCES } from '../../feed/create-feed.ts';
import type { DatabaseSource } from '../../feed/index.ts';
import { advice, type Finding, failure, ok } from './finding.ts';
import type { DiagnosisOptions } from './index.ts';
import { findRefusal, type Refusal } from './source-refusals.ts';

const CHECK = 'feed source';

/** Which source the feed will take by itself, and what keeps it from a stronger one; or whether what is asked for can be had. */
export async function checkFeedSource(
  client: pg.Client,
  { feedSource = 'auto', workers = 1 }: Pick<DiagnosisOptions, 'feedSource' | 'workers'>,
): Promise<readonly Finding[]> {
  if (feedSource === 'stream') return checkStream(client);
  let passedOver: Refusal | undefined;
  for (const source of feedSource === 'auto' ? SOURCES : [feedSource]) {
    const refusal = await findRefusal(client, source);
    if (!refusal) return source === 'app' ? checkApp(client, workers, passedOver) : [describe(source, passedOver)];
    if (feedSource !== 'auto' || !isNotOffered(source, refusal.code)) return [refuse(source, refusal)];
    passedOver = refusal;
  }
  throw new TypeError('The last source is passed over by nobody.');
}

/** Whether the feed runs, from a source that is weaker than the log. */
export function takesWeaker(findings: readonly Finding[]): boolean {
  const own = findings.filter(({ check }) => check === CHECK);
  return own.length > 0 && own.every(({ level }) => level === 'advice');
}

function refuse(source: DatabaseSource, { message, remedy }: Refusal): Finding {
  return failure(CHECK, `The feed can't start from the source ${source}: ${message}`, ...remedy);
}

function describe(source: 'wal' | 'outbox', passedOver: Refusal | undefined): Finding {
  if (source === 'wal') return ok(CHECK, 'the feed reads the log (wal): every change of every writer');
  return passedOver
    ? advice(
        CHECK,
        `The feed reads an outbox that triggers write (outbox), since the log is not to be had: ${passedOver.message}`,
      )
    : ok(
        CHECK,
        'the feed reads an outbox that triggers write (outbox), as VAZAO_FEED says: every change of every writer',
      );
}

/** A server that sees its own writes alone is for one process: several would not see each other's. */
async function checkApp(
  client: pg.Client,
  workers: number,
  passedOver: Refusal | undefined,
): Promise<readonly Finding[]> {
  const what = `The feed knows only what this server writes itself (app)${passedOver ? '' : ', as VAZAO_FEED says'}`;
  const why = passedOver ? ` ${passedOver.message}` : '';
  const remedy = passedOver?.remedy ?? [];
  if (workers > 1) {
    const detail = `${what}, and \`vazao start\` refuses to serve so with ${workers} workers, which would not see each other's writes.${why}`;
    return [failure(CHECK, detail, 'Set WORKERS=0.', ...remedy)];
  }
  const findings = [
    advice(
      CHECK,
      `${what}, and answers are kept for ${APP_TTL_DEFAULT_MS / 1_000} s unless the route names a ttl.${why}`,
      ...remedy,
    ),
  ];
  const { rows } = await client.query<{ servers: number }>(`
    select count(*)::int as servers from pg_stat_activity
    where datname = current_database() and application_name = 'vazao feed (app)'`);
  const { servers } = rows[0] as { servers: number };
  if (servers > 1) {
    const detail = `${servers} servers with such a feed run on this database, and none sees what the others write before the ttl of an answer.`;
    findings.push(
      advice(CHECK, detail, 'Let one serve alone, or give the role what a source needs that sees every writer.'),
    );
  }
  return findings;
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
