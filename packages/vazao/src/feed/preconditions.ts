import type { ClientBase } from 'pg';
import { FeedError } from './errors.ts';

export interface ServerFacts {
  /** As `server_version_num`: 180004. */
  readonly version: number;
  readonly superuser: boolean;
}

const VERSION_MIN = 140_000;

interface Facts extends ServerFacts {
  readonly encoding: string;
  readonly walLevel: string;
  readonly slots: number;
  readonly senders: number;
  readonly standby: boolean;
  readonly replication: boolean;
  readonly role: string;
}

/** What must be true for any feed. Throws {@link FeedError}. */
export async function checkServer(client: ClientBase): Promise<Facts> {
  const { rows } = await client.query<Facts>(`
    select current_setting('server_version_num')::int4 as version, current_setting('server_encoding') as encoding, current_setting('wal_level') as "walLevel",
      current_setting('max_replication_slots')::int4 as slots, current_setting('max_wal_senders')::int4 as senders,
      pg_catalog.pg_is_in_recovery() as standby, r.rolsuper as superuser, r.rolreplication as replication,
      pg_catalog.quote_ident(r.rolname) as role
    from pg_catalog.pg_roles r where r.rolname = current_user`);
  const facts = rows[0];
  if (!facts) throw new FeedError('ERR_FEED_DATABASE', 'The database does not know its own user.');
  if (facts.version < VERSION_MIN) {
    throw new FeedError(
      'ERR_FEED_VERSION',
      `The feed needs PostgreSQL 14 or later; this is ${Math.floor(facts.version / 10_000)}.`,
    );
  }
  if (facts.standby) {
    throw new FeedError('ERR_FEED_STANDBY', 'This server is a standby; give the feed the address of the primary.');
  }
  if (facts.encoding === 'SQL_ASCII') {
    throw new FeedError(
      'ERR_FEED_ENCODING',
      'The database has the encoding SQL_ASCII, in which different bytes may read as the same text. Dump it and load it into a database with encoding UTF8.',
    );
  }
  return facts;
}

/** What must be true before a slot is tried, so that the error says what to do. Throws {@link FeedError}. */
export async function checkPreconditions(client: ClientBase): Promise<ServerFacts> {
  const facts = await checkServer(client);
  if (facts.walLevel !== 'logical') {
    throw new FeedError(
      'ERR_FEED_WAL_LEVEL',
      `wal_level is ${facts.walLevel}; the feed needs logical: \`alter system set wal_level = logical\`, then restart PostgreSQL.`,
    );
  }
  if (facts.slots === 0 || facts.senders === 0) {
    const name = facts.slots === 0 ? 'max_replication_slots' : 'max_wal_senders';
    throw new FeedError(
      'ERR_FEED_REPLICATION_OFF',
      `${name} is 0, so nothing can be replicated: \`alter system set ${name} = 10\`, then restart PostgreSQL.`,
    );
  }
  // Managed services grant replication by membership in a role of their own, which does not show here.
  if (!facts.superuser && !facts.replication && !(await isMemberOfProviderRole(client))) {
    throw new FeedError(
      'ERR_FEED_PRIVILEGE',
      `The role ${facts.role} may not use replication. As a superuser: \`alter role ${facts.role} replication\`.`,
    );
  }
  return { version: facts.version, superuser: facts.superuser };
}

const PROVIDER_ROLES = ['rds_replication', 'rds_superuser', 'azure_pg_admin', 'cloudsqlsuperuser', 'alloydbsuperuser'];

async function isMemberOfProviderRole(client: ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ member: boolean }>(
    `select coalesce(bool_or(pg_catalog.pg_has_role(rolname, 'MEMBER')), false) as member
     from pg_catalog.pg_roles where rolname = any ($1::text[])`,
    [PROVIDER_ROLES],
  );
  return rows[0]?.member === true;
}
