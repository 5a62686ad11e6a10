import type { ClientBase } from 'pg';
import { FeedError } from './errors.ts';

export interface ServerFacts {
  /** As `server_version_num`: 180004. */
  readonly version: number;
  readonly superuser: boolean;
}

const VERSION_MIN = 140_000;

/** What must be true before a slot is tried, so that the error says what to do. Throws {@link FeedError}. */
export async function checkPreconditions(client: ClientBase): Promise<ServerFacts> {
  const { rows } = await client.query<{
    version: number;
    encoding: string;
    walLevel: string;
    standby: boolean;
    superuser: boolean;
    replication: boolean;
    role: string;
  }>(`
    select current_setting('server_version_num')::int4 as version, current_setting('server_encoding') as encoding, current_setting('wal_level') as "walLevel",
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
  if (facts.walLevel !== 'logical') {
    throw new FeedError(
      'ERR_FEED_WAL_LEVEL',
      `wal_level is ${facts.walLevel}; the feed needs logical: \`alter system set wal_level = logical\`, then restart PostgreSQL.`,
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
