import type { Commit } from '../feed/index.ts';
import type { Change, Term } from '../readset/index.ts';
import { DROP_VALUE_MAX } from './options.ts';

/** Why and when an entry was dropped. */
export interface Drop {
  readonly key: string;
  readonly reason: 'change' | 'schema' | 'epoch' | 'purge' | 'unknown-table';
  /** Date.now() of the drop. */
  readonly at: number;
  readonly table?: string | undefined;
  readonly change?: 'insert' | 'update' | 'delete' | 'all' | undefined;
  /** The changed row, as far as it is known: column → value. */
  readonly row?: Readonly<Record<string, string | null>> | undefined;
  /** LSN of the commit. */
  readonly position?: bigint | undefined;
  /** From the writer's commit to the drop, by the clocks of server and process. */
  readonly msAfterCommit?: number | undefined;
}

/** That a change has ended the entry of a key by one of its terms. */
export function createDrop(key: string, { table }: Term, change: Change, row: Drop['row'], commit: Commit): Drop {
  const at = performance.timeOrigin + performance.now();
  return {
    key,
    reason: 'change',
    at,
    table: `${table.schema}.${table.name}`,
    change: change.kind,
    row,
    position: commit.position,
    msAfterCommit: at - commit.committedAtMs,
  };
}

/** The row as it is now, or was last; long values are cut. Undefined when there are too many rows to tell. */
export function describeRow(change: Change): Drop['row'] {
  if (change.kind === 'all') return undefined;
  const values = change.kind === 'delete' ? change.old : change.new;
  const row: Record<string, string | null> = {};
  for (const [position, name] of change.relation.columns.entries()) {
    const value = values[position];
    if (value === undefined) continue;
    if (value === null || value.length <= DROP_VALUE_MAX) row[name] = value;
    else row[name] = `${value.slice(0, DROP_VALUE_MAX)}…`;
  }
  return row;
}
