import type pg from 'pg';
import { advice, type Finding, failure, ok } from './finding.ts';
import type { DiagnosisOptions } from './index.ts';

/** The feed's own connections beside the pool: stream, queries, heartbeat. */
const FEED_CONNECTIONS = 3;
const OLD_TRANSACTION_SECONDS = 10;

/** Free slots, senders and connections. */
export async function checkRoom(
  client: pg.Client,
  { databasePoolMax }: Pick<DiagnosisOptions, 'databasePoolMax'>,
): Promise<readonly Finding[]> {
  const { rows } = await client.query(`
    select current_setting('max_replication_slots')::int as slots, (select count(*)::int from pg_replication_slots) as slots_used,
      current_setting('max_wal_senders')::int as senders, (select count(*)::int from pg_stat_replication) as senders_used,
      current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as connections,
      (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as connections_used`);
  const facts = rows[0];
  const wanted = databasePoolMax + FEED_CONNECTIONS;
  const free = facts.connections - facts.connections_used;
  return [
    checkFree('max_replication_slots', facts.slots, facts.slots_used),
    checkFree('max_wal_senders', facts.senders, facts.senders_used),
    ...(await checkForgottenSlots(client)),
    free >= wanted
      ? ok('connections', `${free} connections are free, one server takes up to ${wanted}`)
      : advice(
          'connections',
          `${free} connections are free, and one server takes up to ${wanted}.`,
          `Set DATABASE_POOL to ${Math.max(2, free - FEED_CONNECTIONS)}, or: ALTER SYSTEM SET max_connections = ${facts.connections + wanted}; Then restart PostgreSQL.`,
        ),
  ];
}

function checkFree(setting: string, size: number, used: number): Finding {
  if (size > used) return ok(setting, `${size - used} of ${size} are free`);
  return failure(
    setting,
    `All ${size} are in use; the feed needs one.`,
    `ALTER SYSTEM SET ${setting} = ${size + 10};`,
    'Then restart PostgreSQL.',
  );
}

async function checkForgottenSlots(client: pg.Client): Promise<readonly Finding[]> {
  const { rows } = await client.query(`
    select slot_name as name, pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) as kept
    from pg_replication_slots
    where not active and not temporary and restart_lsn is not null
      and pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) > 1024 ^ 3`);
  return rows.map(({ name, kept }) =>
    advice(
      'forgotten slot',
      `Nobody reads from the slot ${name}, and it keeps ${kept} of log on the disk. It is not one of ours.`,
      `SELECT pg_drop_replication_slot('${name.replaceAll("'", "''")}');`,
    ),
  );
}

/** A new slot waits for every transaction that was writing when it was asked for, in any database of the server. */
export async function checkOldTransactions(client: pg.Client): Promise<readonly Finding[]> {
  const { rows } = await client.query(
    `select pid, coalesce(state, 'running') as state, coalesce(application_name, '') as application, datname as database,
       extract(epoch from now() - xact_start)::int as seconds
     from pg_stat_activity
     where backend_xid is not null and pid <> pg_backend_pid() and now() - xact_start > make_interval(secs => $1)
     order by xact_start limit 10`,
    [OLD_TRANSACTION_SECONDS],
  );
  const prepared = await client.query(
    `select gid, extract(epoch from now() - prepared)::int as seconds from pg_prepared_xacts
     where now() - prepared > make_interval(secs => $1) limit 10`,
    [OLD_TRANSACTION_SECONDS],
  );
  const findings = [
    ...rows.map(({ pid, state, application, database, seconds }) =>
      failure(
        'old transaction',
        `A transaction has been writing for ${seconds} s (${state}, ${application || 'no name'}, database ${database}); the feed can't start until it ends.`,
        `SELECT pg_terminate_backend(${pid});`,
        "ALTER SYSTEM SET idle_in_transaction_session_timeout = '60s'; SELECT pg_reload_conf();",
      ),
    ),
    ...prepared.rows.map(({ gid, seconds }) =>
      failure(
        'old transaction',
        `The prepared transaction ${gid} has been waiting for ${seconds} s; the feed can't start until it ends.`,
        `ROLLBACK PREPARED '${gid.replaceAll("'", "''")}';`,
      ),
    ),
  ];
  return findings.length > 0 ? findings : [ok('old transaction', 'no old transaction is in the way')];
}
