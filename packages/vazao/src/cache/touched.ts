/** Commits against what an answer read. */
import type { Commit } from '../feed/index.ts';
import { type Change, type Term, touches } from '../readset/index.ts';

/** From a table's oid to the oids that its changes concern: itself, and the tables that it is a partition or child of. */
export type Lineage = (oid: number) => readonly number[] | undefined;

/** The first of the commits that touches one of the terms. */
export function findTouching(commits: Iterable<Commit>, terms: readonly Term[], lineage: Lineage): Commit | undefined {
  for (const commit of commits) {
    if (commit.changes.some((change) => touchesAny(terms, change, lineage))) return commit;
  }
  return undefined;
}

function touchesAny(terms: readonly Term[], change: Change, lineage: Lineage): boolean {
  const oids = lineage(change.relation.oid);
  if (!oids) return true; // a table that the catalog did not have: it may be a part of any
  return terms.some((term) => oids.includes(term.table.oid) && touches(term, change));
}
