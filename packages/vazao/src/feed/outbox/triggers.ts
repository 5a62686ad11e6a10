/**
 * Brings the triggers in step with the tables, each table in a transaction of its own.
 *
 * Making or enabling a trigger locks the table against writers (SHARE ROW EXCLUSIVE): it waits for every transaction that
 * has written to it, and whoever writes afterwards fires it. So no transaction is left whose changes are known by half, and
 * this makes no suspects. While it waits, new writers wait behind it; so it waits briefly, leaves a table out that it can't
 * have, and is called again later.
 */
import type { ClientBase } from 'pg';
import { sqlStateOf } from '../errors.ts';
import type { TableSelection } from '../options.ts';
import { inTransaction, type PublicationState, type PublishedBy } from '../publication.ts';
import { type LeftOutTable, nameOf, quoteName, quoteTable } from '../publication-plan.ts';
import { readSnapshot } from '../read-snapshot.ts';
import { FIND_TABLES_SQL, type TableRow } from '../sql/find-tables.ts';
import { findPublished, type PlannedTable, planOutbox } from './plan.ts';
import { FIND_TRIGGERS_SQL, type TriggerRow } from './sql/find-triggers.ts';

const LOCK_TIMEOUT = '500ms';
/** Two feeds that start at one moment would both make the triggers. */
const ADVISORY_LOCK = 0x76617a_6f74;

export interface TriggerTarget {
  readonly selection: TableSelection;
  readonly feedId: string;
}

export interface TriggerState extends PublicationState {
  /** Triggers were made or dropped. */
  readonly altered: boolean;
}

export async function syncTriggers(client: ClientBase, target: TriggerTarget): Promise<TriggerState> {
  // Of the session: each table has a transaction of its own.
  await client.query('select pg_catalog.pg_advisory_lock($1)', [ADVISORY_LOCK]);
  try {
    return await syncLocked(client, target);
  } finally {
    await client.query('select pg_catalog.pg_advisory_unlock($1)', [ADVISORY_LOCK]);
  }
}

async function syncLocked(client: ClientBase, target: TriggerTarget): Promise<TriggerState> {
  const { tables, triggers } = await look(client);
  const plan = planOutbox(tables, triggers, target.selection);
  const locked: LeftOutTable[] = [];
  let altered = false;
  for (const planned of plan.tables) {
    const { row } = planned;
    const statements = statementsFor(planned, triggers.get(row.oid)?.triggers ?? []);
    if (statements.length === 0) continue;
    if (await run(client, statements, target)) altered = true;
    else locked.push(describeLocked(row));
  }
  // The triggers are read again, after the commits: another plan means that somebody changed a table meanwhile, and the
  // schema change that did so calls for the next run.
  const after = await look(client);
  const found = planOutbox(after.tables, after.triggers, target.selection);
  const followed = new Set(
    found.tables
      .filter((planned) => statementsFor(planned, after.triggers.get(planned.row.oid)?.triggers ?? []).length === 0)
      .map(({ row }) => row.oid),
  );
  const whole = found.whole.filter((row) =>
    found.tables.every((table) => followed.has(table.row.oid) || !isBelow(table.row, row.oid, after.tables)),
  );
  for (const row of whole) followed.add(row.oid);
  const published = new Map<number, PublishedBy>();
  for (const oid of findPublished(followed, after.triggers)) {
    const identity = after.triggers.get(oid)?.identity ?? '';
    published.set(oid, { publication: '', entries: identity === '' ? [] : [identity] });
  }
  return {
    altered,
    published,
    tables: after.tables,
    leftOut: [...found.leftOut, ...locked],
    snapshot: await readSnapshot(client),
  };
}

async function look(client: ClientBase): Promise<{ tables: TableRow[]; triggers: Map<number, TriggerRow> }> {
  const { rows: tables } = await client.query<TableRow>(FIND_TABLES_SQL, ['']);
  const { rows } = await client.query<TriggerRow>(FIND_TRIGGERS_SQL);
  return { tables, triggers: new Map(rows.map((row) => [row.oid, row])) };
}

/** Returns whether it could; false when a writer held the table, or it is gone. */
async function run(client: ClientBase, statements: readonly string[], target: TriggerTarget): Promise<boolean> {
  try {
    await inTransaction(client, async () => {
      await client.query(
        `select pg_catalog.set_config('lock_timeout', $1, true), pg_catalog.set_config('vazao.feed', $2, true)`,
        [LOCK_TIMEOUT, target.feedId],
      );
      for (const statement of statements) await client.query(statement);
    });
    return true;
  } catch (error) {
    // Lock not available, deadlock; table, trigger or column gone since it was looked up.
    if (['55P03', '40P01', '42P01', '42704', '42710'].includes(sqlStateOf(error) ?? '')) return false;
    throw error;
  }
}

const PREFIX = 'vazao_outbox_';

/** What makes the triggers of the table what the mode asks for; nothing when they are. */
function statementsFor({ row, mode, rootOid }: PlannedTable, present: readonly string[]): string[] {
  const table = quoteTable(row);
  const wanted = new Map<string, string>();
  if (mode === 'statements') {
    for (const [event, transition] of TRANSITIONS) {
      wanted.set(
        `${PREFIX}${event}`,
        `after ${event} on ${table} referencing ${transition} for each statement execute function vazao.outbox_statement()`,
      );
    }
  } else if (mode === 'rows') {
    wanted.set(
      `${PREFIX}row`,
      `after insert or update or delete on ${table} for each row execute function vazao.outbox_row()`,
    );
  } else if (mode === 'rows of partitions') {
    // Its own name, so that the clone on a partition never meets a trigger that the partition brought along.
    wanted.set(
      `${PREFIX}root_${row.oid}`,
      `after insert or update or delete on ${table} for each row execute function vazao.outbox_row()`,
    );
  }
  if (row.kind === 'ordinary') {
    wanted.set(
      `${PREFIX}truncate`,
      `after truncate on ${table} for each statement execute function vazao.outbox_truncate()`,
    );
  }
  const clone = rootOid === undefined ? undefined : `${PREFIX}root_${rootOid}`;
  const superfluous = present.filter((name) => !wanted.has(name) && name !== clone);
  const missing = [...wanted].filter(([name]) => !present.includes(name));
  const statements = superfluous.map((name) => `drop trigger if exists ${quoteName(name)} on ${table}`);
  // A clone can be neither made nor dropped by itself; but disabled it can be, and PostgreSQL 14 makes it not fire always.
  if (clone !== undefined && !present.includes(clone)) {
    statements.push(`alter table ${table} enable always trigger ${quoteName(clone)}`);
  }
  for (const [name, definition] of missing) {
    // One that is there and was disabled or altered is no better than none.
    statements.push(`drop trigger if exists ${quoteName(name)} on ${table}`);
    statements.push(`create trigger ${quoteName(name)} ${definition}`);
    // Also in sessions that set session_replication_role, as restores and replication tools do.
    statements.push(`alter table ${table} enable always trigger ${quoteName(name)}`);
  }
  return statements;
}

const TRANSITIONS = [
  ['insert', 'new table as vazao_new'],
  ['update', 'old table as vazao_old new table as vazao_new'],
  ['delete', 'old table as vazao_old'],
] as const;

function describeLocked(row: TableRow): LeftOutTable {
  return {
    table: nameOf(row),
    reason: 'locked',
    remedy: 'the feed tries again by itself; a transaction that has written to the table holds it up',
  };
}

function isBelow(row: TableRow, ancestor: number, tables: readonly TableRow[]): boolean {
  const byOid = new Map(tables.map((table) => [table.oid, table]));
  for (let at: TableRow | undefined = row; at?.parentOid != null; at = byOid.get(at.parentOid)) {
    if (at.parentOid === ancestor) return true;
  }
  return false;
}
