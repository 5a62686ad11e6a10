/** Statements and drops in words, for people who ask why. */
import { formatPosition } from '../feed/index.ts';
import { describePredicate } from '../readset/index.ts';
import type { Drop } from './drop.ts';
import type { StatementRecord } from './entry.ts';

export interface ExplainedStatement {
  readonly text: string;
  readonly durationMs: number;
  readonly rows: number;
  readonly refusal: { readonly code: string; readonly detail: string } | undefined;
  readonly terms: readonly {
    readonly table: string;
    readonly grain: 'row' | 'predicate' | 'table';
    /** A conjunction: a change matters only to rows that satisfy all of them. */
    readonly predicates: readonly string[];
    readonly columns: readonly string[] | 'all';
    /** What made the term the whole table. */
    readonly coarse: string | undefined;
  }[];
}

export interface ExplainedDrop {
  readonly reason: Drop['reason'];
  /** ISO 8601. */
  readonly at: string;
  readonly table: string | undefined;
  readonly change: string | undefined;
  readonly row: Readonly<Record<string, string | null>> | undefined;
  readonly position: string | undefined;
  readonly msAfterCommit: number | undefined;
}

export function explainStatement(statement: StatementRecord): ExplainedStatement {
  return {
    text: statement.text,
    durationMs: statement.durationMs,
    rows: statement.rows,
    refusal: statement.refusal,
    terms: statement.terms.map((term) => ({
      table: `${term.table.schema}.${term.table.name}`,
      grain: term.grain,
      predicates: term.predicates.map(describePredicate),
      columns: term.columns === 'all' ? 'all' : [...term.columns],
      coarse: term.coarse,
    })),
  };
}

export function explainDrop(drop: Drop): ExplainedDrop {
  return {
    reason: drop.reason,
    at: new Date(drop.at).toISOString(),
    table: drop.table,
    change: drop.change,
    row: drop.row,
    position: drop.position === undefined ? undefined : formatPosition(drop.position),
    msAfterCommit: drop.msAfterCommit,
  };
}
