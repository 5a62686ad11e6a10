/**
 * Brings the publication in step with the tables, in one transaction.
 *
 * Whoever calls this learns two things beside the list of tables: the snapshot after the change (transactions in it that
 * are still running may have changed a new table unseen), and for each table the identity of its entry in the
 * publication. An entry that is another than before was taken out and put back by somebody, and changes between are lost.
 */
import type { ClientBase } from 'pg';
import { FeedError } from './errors.ts';
import type { TableSelection } from './options.ts';
import { type LeftOutTable, planPublication, quoteName, quoteTable } from './publication-plan.ts';
import { readSnapshot } from './read-snapshot.ts';
import type { Snapshot } from './snapshot.ts';
import { findPublicationSql, type PublicationRow, publicationOptions } from './sql/find-publication.ts';
import { FIND_TABLES_SQL, type TableRow } from './sql/find-tables.ts';

export interface PublicationState {
  /** By oid, all tables whose every change is published. */
  readonly published: ReadonlyMap<number, PublishedBy>;
  readonly tables: readonly TableRow[];
  readonly leftOut: readonly LeftOutTable[];
  /** Taken after the transaction. */
  readonly snapshot: Snapshot;
}

/** What a table is published by. */
export interface PublishedBy {
  /** Identifies the publication and its options. */
  readonly publication: string;
  /** Its entries for the table and for the partitioned tables above it. */
  readonly entries: readonly string[];
}

/** Whether changes to the table may have been lost between two looks at the publication. */
export function isHole(before: PublishedBy, after: PublishedBy): boolean {
  if (before.publication !== after.publication) return true;
  return before.entries.length > 0 && !before.entries.some((entry) => after.entries.includes(entry));
}

export interface PublicationTarget {
  readonly publication: string;
  readonly selection: TableSelection;
  readonly feedId: string;
  readonly serverVersion: number;
}

/** Two feeds that start at one moment would both create the publication. Any number that nobody else uses. */
const ADVISORY_LOCK = 0x76617a_616f;
/** `alter publication` waits for schema changes and vacuum of the table. Longer than autovacuum needs to step aside (1 s). */
const LOCK_TIMEOUT = '5s';

export async function syncPublication(client: ClientBase, target: PublicationTarget): Promise<PublicationState> {
  const change = await inTransaction(client, async () => {
    await client.query('select pg_catalog.pg_advisory_xact_lock($1)', [ADVISORY_LOCK]);
    await client.query(
      `select pg_catalog.set_config('lock_timeout', $1, true), pg_catalog.set_config('vazao.feed', $2, true)`,
      [LOCK_TIMEOUT, target.feedId],
    );
    await ensurePublication(client, target);
    const { rows } = await client.query<TableRow>(FIND_TABLES_SQL, [target.publication]);
    const plan = planPublication(rows, target.selection);
    const name = quoteName(target.publication);
    if (plan.drop.length > 0) {
      await client.query(
        `alter publication ${name} drop table ${plan.drop.map((row) => `only ${quoteTable(row)}`).join(', ')}`,
      );
    }
    if (plan.add.length > 0) {
      await client.query(
        `alter publication ${name} add table ${plan.add.map((row) => `only ${quoteTable(row)}`).join(', ')}`,
      );
    }
    return plan;
  });
  // The entries' identities are read after the commit, and with them the snapshot that makes the suspects.
  const { rows: tables } = await client.query<TableRow>(FIND_TABLES_SQL, [target.publication]);
  const publication = await findPublication(client, target);
  const snapshot = await readSnapshot(client);
  const published = publishedEntries(change.published, tables, publication?.version ?? '');
  return { published, tables, leftOut: change.leftOut, snapshot };
}

/** A table is published by its own entry, or by that of the partitioned table above it. */
function publishedEntries(
  published: readonly TableRow[],
  tables: readonly TableRow[],
  publication: string,
): Map<number, PublishedBy> {
  const byOid = new Map(tables.map((row) => [row.oid, row]));
  const found = new Map<number, PublishedBy>();
  for (const { oid, kind } of published) {
    const entries: string[] = [];
    for (let row = byOid.get(oid); row; row = row.parentOid === null ? undefined : byOid.get(row.parentOid)) {
      if (row.membership !== null) entries.push(row.membership);
    }
    // A partitioned table whose partitions are named one by one has no entry; its partitions speak for it. Any other
    // table without one was taken out between the two statements.
    if (entries.length > 0 || (kind === 'partitioned' && byOid.has(oid))) found.set(oid, { publication, entries });
  }
  return found;
}

async function ensurePublication(client: ClientBase, target: PublicationTarget): Promise<void> {
  const name = quoteName(target.publication);
  const options = publicationOptions(target.serverVersion);
  const found = await findPublication(client, target);
  if (!found) {
    await client.query(`create publication ${name} with (${options})`);
    return;
  }
  if (found.allTables) {
    throw new FeedError(
      'ERR_FEED_PUBLICATION',
      `The publication ${target.publication} is for all tables, which cannot be altered. Drop it (\`drop publication ${name}\`), and the feed creates the one it needs; or give the feed another name.`,
    );
  }
  if (!found.owned && (!found.optionsRight || found.schemas.length > 0)) {
    throw new FeedError(
      'ERR_FEED_PUBLICATION',
      `The publication ${target.publication} has options that lose changes, and belongs to another role. Its owner must run: \`alter publication ${name} set (${options})\`.`,
    );
  }
  if (!found.optionsRight) await client.query(`alter publication ${name} set (${options})`);
  if (found.schemas.length > 0) {
    await client.query(`alter publication ${name} drop tables in schema ${found.schemas.map(quoteName).join(', ')}`);
  }
}

async function findPublication(client: ClientBase, target: PublicationTarget): Promise<PublicationRow | undefined> {
  const { rows } = await client.query<PublicationRow>(findPublicationSql(target.serverVersion), [target.publication]);
  return rows[0];
}

export async function inTransaction<Result>(client: ClientBase, work: () => Promise<Result>): Promise<Result> {
  await client.query('begin');
  try {
    const result = await work();
    await client.query('commit');
    return result;
  } catch (error) {
    // The first error is the one to tell; a rollback that fails means that the connection is gone.
    await client.query('rollback').catch(() => {});
    throw error;
  }
}
