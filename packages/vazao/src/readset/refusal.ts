/** Why the answer of a statement can't be cached. The codes are API; the sentences are for people. */

export type RefusalCode =
  /** PostgreSQL's parser rejects the text. */
  | 'syntax'
  /** The text holds several statements, or none. */
  | 'not-one-statement'
  /** It writes: INSERT, UPDATE, DELETE, MERGE, SELECT INTO, a CTE that writes. */
  | 'write'
  /** BEGIN, COMMIT, SAVEPOINT … */
  | 'transaction'
  /** It changes the session: SET, RESET, DISCARD, LISTEN, PREPARE, set_config() … */
  | 'session-setting'
  /** Any other command: DDL, EXPLAIN, SHOW, CALL, DO … */
  | 'command'
  /** FOR UPDATE and its kin. */
  | 'lock'
  | 'volatile-function'
  /** A function that is not IMMUTABLE and was not declared. */
  | 'function'
  | 'unknown-function'
  /** The answer depends on the session: current_user, current_setting() … */
  | 'session-function'
  | 'operator'
  | 'unknown-table'
  /** ctid, xmin …: they change without any change of the row. */
  | 'system-column'
  /** TABLESAMPLE chooses rows by where they happen to be stored. */
  | 'sample'
  /** Casts to regclass and its kin read the system catalog. */
  | 'catalog-cast'
  | 'unlogged'
  | 'temporary'
  | 'foreign'
  | 'materialized-view'
  | 'sequence'
  | 'system'
  | 'row-security'
  | 'unpublished'
  /** Something that this release does not understand. */
  | 'unsupported'
  | 'too-complex';

export interface Refusal {
  readonly code: RefusalCode;
  /** A sentence that says what was found and what to do. */
  readonly detail: string;
}

/** A finding of the analysis. `impure` means that the statement must not run inside a fill's read-only transaction either. */
export interface Finding extends Refusal {
  readonly impure: boolean;
}

/** The most serious finding: one that forbids running the statement says more than one that only forbids storing its answer. */
export function worst(findings: readonly Finding[]): Finding | undefined {
  return findings.find((finding) => finding.impure) ?? findings[0];
}
