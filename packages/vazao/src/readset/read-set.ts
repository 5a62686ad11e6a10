/**
 * The read set: what an answer depends on.
 *
 * A term says: "a change of a row of `table` can only matter if the old or the new row satisfies all of `predicates`, and
 * (for an UPDATE) at least one of `columns` differs". A read set is a list of terms, one for each reference to a table.
 */
import type { CatalogTable } from './catalog.ts';

/** Values are in canonical form, see `canonical.ts`; `type` is the type of the column. */
export type Predicate =
  | { readonly kind: 'in'; readonly column: string; readonly type: string; readonly values: ReadonlySet<string> }
  | {
      readonly kind: 'range';
      readonly column: string;
      readonly type: string;
      readonly operator: RangeOperator;
      readonly value: string;
    }
  | { readonly kind: 'null'; readonly column: string }
  | { readonly kind: 'not null'; readonly column: string };

export type RangeOperator = '<' | '<=' | '>' | '>=';

/** `row`: a unique key is given. `predicate`: some of the table. `table`: all of it. */
export type Grain = 'row' | 'predicate' | 'table';

export interface Term {
  readonly table: CatalogTable;
  /** Columns whose values the answer depends on; `all` where they can't be told, or a generated column is among them. */
  readonly columns: ReadonlySet<string> | 'all';
  /** A conjunction. */
  readonly predicates: readonly Predicate[];
  readonly grain: Grain;
  /** Why the term is the whole table; undefined when it is not. */
  readonly coarse: string | undefined;
  /**
   * The equality to index the term under; undefined if there is none. Without values, no row satisfies it. A changed row
   * whose value for the column is unknown, or has no canonical form, must be tried against all terms of the table.
   */
  readonly indexBy: { readonly column: string; readonly type: string; readonly values: readonly string[] } | undefined;
}

export interface ReadSet {
  readonly terms: readonly Term[];
  /** The answer depends on the current time. */
  readonly usesTime: boolean;
}
