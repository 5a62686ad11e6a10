/**
 * Decides which triggers each table needs. Pure. What PostgreSQL 14 to 18 allow and fire:
 *
 * - A statement trigger with transition tables fires for the table that the statement names, and sees the rows of that
 *   table's partitions and children too, in the columns of the named table and without saying which of them a row is of.
 *   So it is for tables that stand alone.
 * - A row trigger fires on the partition or child that holds the row; with transition tables it is refused there, so it has
 *   none. One on a partitioned table is cloned to its partitions, also to those that are made or attached later, in the
 *   same transaction. One on a parent by inheritance is not.
 * - A TRUNCATE trigger fires on each table that is emptied, whichever was named, and is not cloned.
 * - What a subscription of logical replication applies fires row triggers only.
 */
import type { TableSelection } from '../options.ts';
import type { LeftOutTable } from '../publication-plan.ts';
import { nameOf, quoteTable } from '../publication-plan.ts';
import type { TableRow } from '../sql/find-tables.ts';
import type { TriggerRow } from './sql/find-triggers.ts';

/** `rows above`: by the triggers of the partitioned table. */
export type TriggerMode = 'statements' | 'rows' | 'rows above' | 'rows of partitions';

export interface PlannedTable {
  readonly row: TableRow;
  readonly mode: TriggerMode;
  /** The partitioned table whose triggers its own are clones of. */
  readonly rootOid?: number | undefined;
}

export interface OutboxPlan {
  /** Tables that need triggers, partitioned ones before their partitions. */
  readonly tables: readonly PlannedTable[];
  /** Partitioned tables all of whose partitions are followed. */
  readonly whole: readonly TableRow[];
  readonly leftOut: readonly LeftOutTable[];
}

export function planOutbox(
  rows: readonly TableRow[],
  triggers: ReadonlyMap<number, TriggerRow>,
  selection: TableSelection,
): OutboxPlan {
  const partitions = Map.groupBy(rows, (row) => row.parentOid);
  const tables: PlannedTable[] = [];
  const whole: TableRow[] = [];
  const leftOut: LeftOutTable[] = [];

  const visit = (row: TableRow): boolean => {
    if (row.kind === 'foreign') return false;
    const below = partitions.get(row.oid) ?? [];
    if (row.kind === 'ordinary') {
      const reason = obstacleOf(row);
      if (reason) {
        leftOut.push({ table: nameOf(row), reason, remedy: remedyFor(row, reason) });
        return false;
      }
      const facts = triggers.get(row.oid);
      const isAlone =
        row.parentOid === null && !facts?.hasChildren && !facts?.subscribed && (facts?.parents ?? []).length === 0;
      tables.push({ row, mode: isAlone ? 'statements' : 'rows' });
      return true;
    }
    if (isFollowable(row, partitions)) {
      tables.push({ row, mode: 'rows of partitions' });
      for (const child of descendants(row, partitions))
        tables.push({ row: child, mode: 'rows above', rootOid: row.oid });
      whole.push(row);
      return true;
    }
    // Without `every`, which would stop at the first partition that is left out.
    const followed = below.map(visit);
    if (below.length === 0 || followed.includes(false)) return false;
    whole.push(row);
    return true;
  };

  for (const row of rows) if (row.parentOid === null && isSelected(row, selection)) visit(row);
  return { tables, whole, leftOut };
}

/** Of the tables that have their triggers, those of whose every change they tell: an inheritance parent needs its children. */
export function findPublished(
  followed: ReadonlySet<number>,
  triggers: ReadonlyMap<number, TriggerRow>,
): ReadonlySet<number> {
  const published = new Set(followed);
  for (let changed = true; changed; ) {
    changed = false;
    for (const { oid, parents } of triggers.values()) {
      if (published.has(oid)) continue;
      for (const parent of parents) changed = published.delete(parent) || changed;
    }
  }
  return published;
}

function isFollowable(row: TableRow, partitions: ReadonlyMap<number | null, readonly TableRow[]>): boolean {
  return (
    row.owned &&
    row.permanent &&
    descendants(row, partitions).every((child) => child.kind !== 'foreign' && obstacleOf(child) === undefined)
  );
}

function descendants(row: TableRow, partitions: ReadonlyMap<number | null, readonly TableRow[]>): TableRow[] {
  return (partitions.get(row.oid) ?? []).flatMap((child) => [child, ...descendants(child, partitions)]);
}

function obstacleOf(row: TableRow): 'unlogged' | 'not owned' | undefined {
  if (!row.permanent) return 'unlogged';
  return row.owned ? undefined : 'not owned';
}

function remedyFor(row: TableRow, reason: 'unlogged' | 'not owned'): string {
  return reason === 'unlogged'
    ? `alter table ${quoteTable(row)} set logged`
    : `alter table ${quoteTable(row)} owner to <the role of the feed>`;
}

function isSelected(row: TableRow, selection: TableSelection): boolean {
  return (
    (selection.schemas === undefined || selection.schemas.has(row.schema)) &&
    (selection.tables === undefined || selection.tables.has(nameOf(row)))
  );
}
