/** What happened: writes with their outcome, reads with what they showed, and what the checks say of them. */

/**
 * - `open`: asked for, and not answered
 * - `unknown`: its connection broke; it may have happened, or not, or may happen yet
 * - `acknowledged`: the database, or the application, said that it is done
 * - `applied`: unknown first, then found in the database, with nothing left that could still be under way
 * - `void`: unknown first, then not found
 */
export type Outcome = 'open' | 'unknown' | 'acknowledged' | 'applied' | 'void';

/** Registers are numbers here: their place in the profile's list. */
export interface Write {
  readonly id: number;
  readonly writer: string;
  readonly registers: readonly number[];
  /** The version of each register, in the same order. */
  readonly versions: readonly number[];
  /** Registers that old snapshots may see as empty because of it. */
  readonly empties: readonly number[];
  readonly client: number | undefined;
  readonly invokedAtMs: number;
  /** When it was acknowledged, or found; infinite before. */
  endedAtMs: number;
  outcome: Outcome;
}

/** What an answer shows: register and version by turns, each place that was found. */
export type Shown = readonly number[];

export interface Read {
  readonly client: number;
  /** Number of the connection, and the host that it leads to. */
  readonly connection: number;
  readonly host: string;
  readonly url: string;
  readonly user: string | undefined;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** The `Cache-Status` of the answer. */
  readonly status: string;
  /** Computed in one snapshot, as far as the server says; an answer past the cache has the application's own isolation. */
  readonly oneMoment: boolean;
  /** The token that it was asked with, and the one that came. */
  readonly carried?: string | undefined;
  readonly given?: string | undefined;
  /** The client now carries what stands for it: the answer's token, or its connection. */
  readonly isCarried: boolean;
  readonly shown: Shown;
  /** Registers that the answer has to show. */
  readonly expected: readonly number[];
  /** Whose private answer it is, as far as its body tells. */
  readonly owner: string | undefined;
}

/** (a) to (g) of the guarantees, and three that no cache should ever need. */
export type ViolationKind =
  | 'stale'
  | 'mixed'
  | 'backwards'
  | 'own write'
  | 'lost'
  | 'differs'
  | 'leak'
  | 'invented'
  | 'missing'
  | 'unavailable';

export interface Violation {
  readonly kind: ViolationKind;
  readonly atMs: number;
  /** One sentence. */
  readonly what: string;
  readonly register: number | undefined;
  /** The version that was shown, and the one that was due. */
  readonly version: number | undefined;
  readonly due: number | undefined;
  readonly read: Read | undefined;
}
