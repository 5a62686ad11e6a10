/** Why the answer of a statement can't be cached. The codes are API; the sentences are for people. */
import type { Invisibility } from './catalog.ts';

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
  /** A function whose insides are not known, and that was not declared. */
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
  /** A setting of the database or role under which statements mean something else. */
  | 'setting'
  /** A relation whose changes are not in the feed. */
  | Invisibility
  | 'too-complex';

/** What to do about each; `docs/read-sets.md` shows the same. */
export const CURES: Readonly<Record<RefusalCode, string>> = {
  syntax: 'correct it',
  'not-one-statement': 'send each by itself',
  write: 'write outside of cached routes',
  transaction: 'a cached read has a transaction of its own; leave it out',
  'session-setting':
    'set it where the pool connects; settings of the application, role, search path and time zone also in a transaction',
  command: 'run it outside of cached routes',
  lock: 'lock only in transactions that write',
  'volatile-function': 'pass the value as a parameter, or leave the route uncached',
  function: 'declare it, with what it reads; or write out what it does',
  'unknown-function': 'check its name and schema',
  'session-function': 'pass the value as a parameter, or set it in the transaction that reads it',
  operator: 'use another, or compare in the application',
  'unknown-table': 'check its name and the search path',
  'system-column': 'read a column of your own',
  sample: 'choose by a column',
  'catalog-cast': 'compare with the name as text',
  setting: '`ALTER DATABASE … RESET …`, likewise of the role and the server; then start again',
  unlogged: '`ALTER TABLE … SET LOGGED`',
  temporary: 'use a CTE',
  foreign: 'leave the route uncached',
  'materialized-view': 'read the tables, or leave the route uncached',
  sequence: 'read the greatest key of the table',
  system: 'leave the route uncached',
  'row-security': 'a condition of your own, with the user as a parameter',
  unpublished: '`ALTER PUBLICATION … ADD TABLE`; `vazao doctor` says which',
  unsupported: 'write it in another way, and please report it',
  'too-complex': 'pass long lists as an array parameter, or split the statement',
};

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
