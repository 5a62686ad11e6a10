import type pg from 'pg';
import { advice, type Finding, failure, ok } from './finding.ts';

const VERSION_MIN = 14;
const RESTART = 'Then restart PostgreSQL.';
/** More than this shows in the lag that responses report; nothing else depends on the clocks. */
const CLOCK_SKEW_MAX_MS = 100;
const SENDER_TIMEOUT_MIN_MS = 5_000;

/** Version, role, and the settings of the whole server. */
export async function checkServer(client: pg.Client): Promise<readonly Finding[]> {
  const sentAt = Date.now();
  const { rows } = await client.query(`
    select current_setting('server_version') as version, current_setting('server_version_num')::int / 10000 as major,
      pg_is_in_recovery() as standby, current_setting('wal_level') as wal_level,
      (select setting::int from pg_settings where name = 'wal_sender_timeout') as sender_timeout_ms,
      current_setting('max_slot_wal_keep_size', true) as slot_keep,
      extract(epoch from clock_timestamp())::float8 * 1000 as now_ms`);
  const middle = (sentAt + Date.now()) / 2;
  const facts = rows[0];
  const skewMs = Math.round(facts.now_ms - middle);
  return [
    facts.major >= VERSION_MIN
      ? ok('version', `PostgreSQL ${facts.version}`)
      : failure(
          'version',
          `PostgreSQL ${facts.version}; the feed needs ${VERSION_MIN} or later.`,
          'Upgrade the server.',
        ),
    facts.standby
      ? failure(
          'primary',
          'This server is a standby; the feed reads from the primary.',
          'Set DATABASE_URL to the primary.',
        )
      : ok('primary', 'the server is a primary'),
    facts.wal_level === 'logical'
      ? ok('wal_level', 'wal_level is logical')
      : failure(
          'wal_level',
          `wal_level is ${facts.wal_level}; row changes are not in the log.`,
          "ALTER SYSTEM SET wal_level = 'logical';",
          `${RESTART} On a managed service: set the parameter rds.logical_replication, cloudsql.logical_decoding or wal_level in its console.`,
        ),
    checkSenderTimeout(facts.sender_timeout_ms),
    facts.slot_keep === '-1'
      ? advice(
          'max_slot_wal_keep_size',
          'A slot that somebody forgets can fill the disk (max_slot_wal_keep_size is -1). The slots of the feed are temporary and go with their connection.',
          "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB';",
          'SELECT pg_reload_conf();',
        )
      : ok('max_slot_wal_keep_size', `max_slot_wal_keep_size is ${facts.slot_keep}`),
    Math.abs(skewMs) <= CLOCK_SKEW_MAX_MS
      ? ok('clock', `the clocks differ by ${Math.abs(skewMs)} ms`)
      : advice(
          'clock',
          `The clock of the database is ${Math.abs(skewMs)} ms ${skewMs > 0 ? 'ahead of' : 'behind'} this one, and so will the reported lag be. Freshness does not depend on it.`,
          'Run an NTP service (chrony, systemd-timesyncd) on both machines.',
        ),
  ];
}

function checkSenderTimeout(timeoutMs: number): Finding {
  const check = 'wal_sender_timeout';
  if (timeoutMs >= SENDER_TIMEOUT_MIN_MS) return ok(check, `wal_sender_timeout is ${timeoutMs} ms`);
  const remedy = ["ALTER SYSTEM SET wal_sender_timeout = '60s';", 'SELECT pg_reload_conf();'];
  return timeoutMs === 0
    ? advice(check, 'wal_sender_timeout is 0: the slot of a host that vanished is kept until TCP notices.', ...remedy)
    : advice(check, `wal_sender_timeout is ${timeoutMs} ms: a short pause of this process ends the stream.`, ...remedy);
}

const PROVIDER_ROLES = ['rds_replication', 'rds_superuser', 'azure_pg_admin', 'cloudsqlsuperuser', 'alloydbsuperuser'];

/** What the role may do. */
export async function checkPrivileges(client: pg.Client): Promise<readonly Finding[]> {
  const { rows } = await client.query(
    `select quote_ident(r.rolname) as role, quote_ident(current_database()) as database, r.rolsuper as superuser,
       r.rolreplication or exists (
         select from pg_roles p where p.rolname = any ($1) and pg_has_role(p.rolname, 'MEMBER')) as replication,
       has_database_privilege(current_database(), 'CREATE') as may_create,
       exists (select from pg_event_trigger where evtname = 'vazao_ddl_command_end') as has_trigger
     from pg_roles r where r.rolname = current_user`,
    [PROVIDER_ROLES],
  );
  const { role, database, superuser, replication, may_create: mayCreate, has_trigger: hasTrigger } = rows[0];
  return [
    superuser || replication
      ? ok('replication', `the role ${role} may replicate`)
      : failure('replication', `The role ${role} may not replicate.`, `ALTER ROLE ${role} REPLICATION;`),
    mayCreate
      ? ok('create', `the role ${role} may create the schema vazao and the publication`)
      : failure(
          'create',
          `The role ${role} may not create anything in the database ${database}.`,
          `GRANT CREATE ON DATABASE ${database} TO ${role};`,
        ),
    superuser || hasTrigger
      ? ok('event triggers', 'schema changes announce themselves')
      : advice(
          'event triggers',
          `The role ${role} may not create event triggers: schema changes are noticed by looking, once a second, and then clear the whole cache; and REDIS_URL shares no answers.`,
          'Start once with a superuser in DATABASE_URL; the triggers stay.',
        ),
  ];
}
