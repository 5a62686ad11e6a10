/**
 * A snapshot of the parts of PostgreSQL's catalog that decide what a statement means. It is loaded elsewhere
 * (`db/load-catalog.ts`); this file only says its shape, so that `readset/` stays free of I/O.
 */

/** Why a relation's rows can't be followed through the feed; `undefined` when they can. */
export type Invisibility =
  | 'unlogged'
  | 'temporary'
  | 'foreign'
  | 'materialized-view'
  | 'sequence'
  | 'system'
  | 'row-security'
  | 'unpublished'
  /** A kind of relation that this release does not understand; as a refusal, anything that it does not. */
  | 'unsupported';

export interface CatalogColumn {
  readonly name: string;
  /** Name in `pg_catalog` of the base type (domains resolved): `int4`, `text`, `numeric`, … or `enum` for enum types; `other` for user types. */
  readonly type: string;
  /** False for a column whose collation is not deterministic: equal text may differ in bytes. True where there is no collation. */
  readonly deterministic: boolean;
  /** A generated column (stored or virtual): the feed does not carry it. */
  readonly generated: boolean;
  /** No row of the table or of a descendant has NULL there. What is loaded says so only of `NOT NULL` constraints that are valid. */
  readonly notNull?: boolean | undefined;
}

export interface CatalogTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** `table` includes partitioned tables and partitions. */
  readonly kind: 'table' | 'view';
  /** Columns in order of their number, without dropped ones. */
  readonly columns: readonly CatalogColumn[];
  /** The definition of a view, as `pg_get_viewdef` prints it; undefined for tables. */
  readonly definition: string | undefined;
  readonly invisible: Invisibility | undefined;
  /** Column sets that are unique (primary key first): used to choose the most selective predicate. */
  readonly uniqueKeys: readonly (readonly string[])[];
  /** Of a view: its tables are read with the rights, and the row-level security, of an owner who is not the pool's role. */
  readonly asOwner?: boolean | undefined;
  /** Of a table whose row-level security is enabled. */
  readonly rowSecurity?: RowSecurity | undefined;
  /** Oids of all inheritance and partition ancestors. A change of this table is a change of each of them. */
  readonly ancestors: readonly number[];
}

export interface RowSecurity {
  /** It applies to the pool's role, which is no superuser, owner …. */
  readonly isActive: boolean;
  /** The conditions of the policies that apply to a SELECT by the pool's role, every name outside of pg_catalog qualified. */
  readonly policies: readonly string[];
}

export interface CatalogFunction {
  readonly schema: string;
  readonly name: string;
  readonly volatility: 'immutable' | 'stable' | 'volatile';
  readonly kind: 'function' | 'aggregate' | 'window' | 'procedure';
  /** What a function in SQL that is not VOLATILE runs, if it does so as its caller would (no SECURITY DEFINER, no SET). */
  readonly body?: { readonly text: string; readonly isQualified: boolean } | undefined;
  /** `IMMUTABLE` is all that is known of it: neither PostgreSQL's own, nor of an extension, nor with a body that shows it. */
  readonly isOpaque?: boolean | undefined;
  /** The functions outside of PostgreSQL that an aggregate is made of. */
  readonly parts?: readonly FunctionName[] | undefined;
  /** The default values of arguments, as a list of expressions, names qualified. */
  readonly defaults?: string | undefined;
}

/** Whether a call may do more than compute a value of its arguments. */
export function mustBeLookedAt({ volatility, body, isOpaque, parts, defaults }: CatalogFunction): boolean {
  return volatility !== 'immutable' || (body ?? parts ?? defaults) !== undefined || isOpaque === true;
}

export interface FunctionName {
  readonly schema: string;
  readonly name: string;
}

/** An operator that is not in `pg_catalog`. */
export interface CatalogOperator {
  readonly schema: string;
  readonly name: string;
  readonly volatility: 'immutable' | 'stable' | 'volatile';
  /**
   * True when an operand is a type of `pg_catalog`, a domain or an enum: of columns of those types more is known here, and an
   * expression on them may mean this operator instead of PostgreSQL's own.
   */
  readonly mayTakeOver: boolean;
  readonly function: FunctionName;
}

/** A type that is not in `pg_catalog`. */
export interface CatalogType {
  readonly schema: string;
  readonly name: string;
  /** As in {@link CatalogColumn.type}. */
  readonly base: string;
  /** A value that is cast to it is the same in its base type, and compared alike: no length, no precision, no collation of its own. */
  readonly isFaithful?: boolean | undefined;
  /** It is, or is made of, dates and times: its text may say `today`. */
  readonly holdsTime?: boolean | undefined;
  /** Among them `timetz`, whose offset may be that of the current day. */
  readonly holdsZone?: boolean | undefined;
}

export interface CatalogCast {
  /** For people. */
  readonly source: string;
  readonly target: string;
  readonly schema: string;
  readonly function: string;
  readonly volatility: CatalogFunction['volatility'];
}

export interface Catalog {
  /** Schemas in which unqualified names are looked up, in order; `pg_catalog` included (first, unless named). */
  readonly searchPath: readonly string[];
  /** All relations that are not in `pg_catalog` or `information_schema`. */
  readonly tables: readonly CatalogTable[];
  /** Functions of all schemas, `pg_catalog` included; one row an overload. */
  readonly functions: readonly CatalogFunction[];
  readonly operators: readonly CatalogOperator[];
  readonly types: readonly CatalogType[];
  /** Casts by functions of the application, and others that are not IMMUTABLE. An expression need not name them. */
  readonly unsureCasts?: readonly CatalogCast[] | undefined;
  /** `name = value` of settings under which statements mean something else than is understood here. */
  readonly unusualSettings?: readonly string[] | undefined;
}
