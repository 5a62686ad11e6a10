/**
 * What the read sets need to know of a change to a row. The feed makes these, the cache compares them with read sets.
 * This file imports nothing, so that every floor may share its types.
 */

/** A table as the feed names it. Compared by `oid`; the names are for people. */
export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** Column names, in the order of {@link Values}. Columns that are not published (generated ones) are absent. */
  readonly columns: readonly string[];
}

/**
 * The columns of one row, in the order of `Relation.columns`, in PostgreSQL's text output under `DateStyle = ISO`,
 * `TimeZone = UTC`, `IntervalStyle = postgres`, `extra_float_digits = 3`, `bytea_output = hex`. `null` is SQL NULL; `undefined` is
 * "not known".
 */
export type Values = readonly (string | null | undefined)[];

export type Change =
  | { readonly kind: 'insert'; readonly relation: Relation; readonly new: Values }
  /**
   * `old` is undefined where the replica identity did not log it. A column that is `undefined` in `new` and that
   * PostgreSQL marked as unchanged TOAST is filled in from `old` when `old` has it.
   */
  | { readonly kind: 'update'; readonly relation: Relation; readonly old: Values | undefined; readonly new: Values }
  | { readonly kind: 'delete'; readonly relation: Relation; readonly old: Values }
  /** Anything may have happened to the table: `TRUNCATE`, too many rows to list, a changed definition. */
  | { readonly kind: 'all'; readonly relation: Relation };
