/**
 * Decides which tables the publication names. Pure.
 *
 * A published table without a usable replica identity makes the application's own UPDATE and DELETE fail, so it must not
 * be in the publication, not even for a moment. A partitioned table publishes all its partitions, those to come included:
 * it is named when its primary key guarantees each of them an identity, else its partitions are named one by one.
 *
 * Several feeds may share the publication, with other selections. So a selection only adds; nothing is taken out of the
 * publication but what does harm in it.
 */
import type { TableSelection } from './options.ts';
import type { TableRow } from './sql/find-tables.ts';

export interface LeftOutTable {
  readonly table: string;
  /** `locked`: of the source `outbox`, while a transaction that has written to the table holds up its triggers. */
  readonly reason: 'no replica identity' | 'unlogged' | 'virtual generated column' | 'not owned' | 'locked';
  /** The statement that lets the table in. */
  readonly remedy: string;
}

type Obstacle = Exclude<LeftOutTable['reason'], 'locked'>;

export interface PublicationPlan {
  /** To be taken out, before anything is put in. */
  readonly drop: readonly TableRow[];
  readonly add: readonly TableRow[];
  /** All tables whose every change the publication carries when the plan has been carried out. */
  readonly published: readonly TableRow[];
  readonly leftOut: readonly LeftOutTable[];
}

export function planPublication(rows: readonly TableRow[], selection: TableSelection): PublicationPlan {
  const children = new Map<number, TableRow[]>();
  for (const row of rows) {
    if (row.parentOid === null) continue;
    const siblings = children.get(row.parentOid);
    if (siblings) siblings.push(row);
    else children.set(row.parentOid, [row]);
  }
  const drop: TableRow[] = [];
  const add: TableRow[] = [];
  const published = new Map<number, TableRow>();
  const leftOut: LeftOutTable[] = [];

  const publish = (row: TableRow): boolean => {
    if (row.membership !== null && row.filtered) {
      if (!row.owned) return leave(row, 'not owned');
      drop.push(row);
    } else if (row.membership === null && !row.owned) {
      return leave(row, 'not owned');
    }
    if (row.membership === null || row.filtered) add.push(row);
    published.set(row.oid, row);
    return true;
  };
  const leave = (row: TableRow, reason: Obstacle): false => {
    leftOut.push({ table: nameOf(row), reason, remedy: remedyFor(row, reason) });
    return false;
  };

  /** Returns whether all changes below and in the table are published. */
  const visit = (row: TableRow): boolean => {
    if (row.kind === 'foreign') return false;
    if (row.kind === 'ordinary') {
      const harm = harmOf(row);
      if (harm) {
        if (row.membership !== null) drop.push(row);
        return leave(row, harm);
      }
      return publish(row);
    }
    const below = descendants(row, children);
    const named =
      row.permanent &&
      row.hasPrimaryKey &&
      below.every((child) => child.kind === 'partitioned' || isPublishable(child));
    if (named && publish(row)) {
      for (const child of below) published.set(child.oid, child);
      return true;
    }
    if (row.membership !== null && !drop.includes(row)) drop.push(row);
    // Without `every`, which would stop at the first partition that is left out.
    const whole = (children.get(row.oid) ?? []).map(visit);
    if (whole.length > 0 && !whole.includes(false)) published.set(row.oid, row);
    return published.has(row.oid);
  };

  for (const row of rows) {
    if (row.parentOid === null && isSelected(row, selection)) visit(row);
  }
  return { drop, add, published: [...published.values()], leftOut };
}

function descendants(row: TableRow, children: ReadonlyMap<number, readonly TableRow[]>): TableRow[] {
  return (children.get(row.oid) ?? []).flatMap((child) => [child, ...descendants(child, children)]);
}

function isPublishable(row: TableRow): boolean {
  return row.kind === 'ordinary' && harmOf(row) === undefined;
}

function harmOf(row: TableRow): Obstacle | undefined {
  if (!row.permanent) return 'unlogged';
  if (!row.identityUsable) return 'no replica identity';
  return row.identity === 'full' && row.hasVirtualColumn ? 'virtual generated column' : undefined;
}

function isSelected(row: TableRow, selection: TableSelection): boolean {
  return (
    (selection.schemas === undefined || selection.schemas.has(row.schema)) &&
    (selection.tables === undefined || selection.tables.has(nameOf(row)))
  );
}

function remedyFor(row: TableRow, reason: Obstacle): string {
  const table = quoteTable(row);
  switch (reason) {
    case 'unlogged':
      return `alter table ${table} set logged`;
    case 'no replica identity':
      return `alter table ${table} replica identity full`;
    case 'virtual generated column':
      return `alter table ${table} replica identity default`;
    case 'not owned':
      return `alter table ${table} owner to <the role of the feed>`;
  }
}

export function nameOf(row: Pick<TableRow, 'schema' | 'name'>): string {
  return `${row.schema}.${row.name}`;
}

export function quoteTable(row: Pick<TableRow, 'schema' | 'name'>): string {
  return `${quoteName(row.schema)}.${quoteName(row.name)}`;
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
