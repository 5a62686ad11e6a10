import type pg from 'pg';
import type { NotStored } from '../cache/index.ts';
import type { LocalSession } from './local-sessions.ts';
import type { Statement } from './statement.ts';

/** Takes care of the statements that are read for a fill: what the pool asks of it, and whoever reads within the fill. */
export interface FillCare {
  /** The pool on which its statements run. */
  readonly owner: object;
  /** Statements are still read for the fill. */
  readonly isOpen: boolean;
  /** All its statements see one snapshot, in one transaction: it may stand for a transaction that a handler begins. */
  readonly isOneTransaction: boolean;
  /** What statements mean where this is set for them; undefined while that is being asked, or the schema is being read. */
  findLocal(settings: ReadonlyMap<string, string>): LocalSession | 'refused' | undefined;
  /** Why the answer will not be stored, as far as that is known. */
  readonly notStored: NotStored | undefined;
  /** Runs a statement for the fill; undefined when it isn't one for it: the caller sends it elsewhere. */
  query(statement: Statement): Promise<pg.QueryResult> | undefined;
  /** Ends the fill's care, not the request. */
  leave(code: string, detail: string): void;
}
