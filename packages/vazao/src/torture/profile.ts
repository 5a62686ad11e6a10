/**
 * What `vazao torture` has to know of an application: how to write versions into its data, and where its answers show them.
 *
 * A *register* is a version counter that lives in ordinary columns, in one place or in several. Whoever writes it writes the
 * same new version to all of its places in one transaction; an answer that shows two versions of it is a mix of two commits.
 */
import type { ClientBase } from 'pg';

/** Types a profile; returns it as it is. */
export function defineProfile(profile: Profile): Profile {
  return profile;
}

export interface Profile {
  /** Environment variables of the servers, beside those that torture sets. @defaultValue none */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** Fills the migrated, empty database; every register has version 0 afterwards. Runs once, in one transaction. */
  readonly prepare: (client: ClientBase) => Promise<void>;
  /** Names of the registers, at most {@link REGISTERS_MAX}. */
  readonly registers: readonly string[];
  /** Who asks, by name. Nobody (`undefined`) may ask too. */
  readonly users: Readonly<Record<string, User>>;
  readonly readers: readonly Reader[];
  readonly writers: readonly Writer[];
  /** Changes of the schema that leave the registers as they are, each undone by its second statement. @defaultValue none */
  readonly schemaChanges?: readonly (readonly [apply: string, undo: string])[] | undefined;
}

/** More would make the checks of an answer dear. */
export const REGISTERS_MAX = 64;

export interface User {
  /** The headers that prove who asks, given the servers' VAZAO_SECRET. Called anew every few minutes. */
  readonly headers: (secret: string) => Promise<Readonly<Record<string, string>>>;
}

/** A URL that answers with versions. Every register needs at least one. */
export interface Reader {
  readonly url: string;
  /** Name of the user who asks. @defaultValue nobody */
  readonly user?: string | undefined;
  /** How often it is asked, relative to the others. @defaultValue 1 */
  readonly weight?: number | undefined;
  /** The registers that the answer must show. */
  readonly shows: readonly string[];
  /** Finds the versions in the body of an answer with status 200. Called once for each distinct body. */
  readonly read: (body: string) => Reading;
}

export interface Reading {
  /** One pair for each place that the answer shows; the same register as often as it is shown. */
  readonly versions: readonly (readonly [register: string, version: number])[];
  /** The user whose private answer this is, as far as the body tells. @defaultValue not told, and not checked */
  readonly owner?: string | undefined;
}

/** The versions that a write gives to its registers. */
export type Versions = Readonly<Record<string, number>>;

interface WriterOfAnyKind {
  /** Shown in the report. */
  readonly name: string;
  /** Each is given its next version, in one transaction. */
  readonly registers: readonly string[];
  /** How often it writes, relative to the others. @defaultValue 1 */
  readonly weight?: number | undefined;
  /**
   * It empties a table on its way (`TRUNCATE`), which PostgreSQL shows to snapshots that are older: while it runs, an answer
   * may show none of these registers. @defaultValue none
   */
  readonly empties?: readonly string[] | undefined;
}

/** A write by the application itself. Done when the status is 2xx. */
export interface RequestWriter extends WriterOfAnyKind {
  readonly kind: 'request';
  readonly user?: string | undefined;
  readonly request: (versions: Versions) => {
    readonly method: 'POST' | 'PUT' | 'PATCH' | 'DELETE';
    readonly url: string;
    /** Sent as JSON. */
    readonly body?: unknown;
  };
}

/** Statements on a plain connection, in one transaction of their own: `BEGIN` and `COMMIT` are added. */
export interface SqlWriter extends WriterOfAnyKind {
  readonly kind: 'sql';
  readonly statements: (
    versions: Versions,
  ) => readonly { readonly text: string; readonly values?: readonly unknown[] }[];
}

/** A script for `psql`, which may hold `COPY … FROM STDIN` with its lines; `BEGIN` and `COMMIT` are added. */
export interface PsqlWriter extends WriterOfAnyKind {
  readonly kind: 'psql';
  readonly script: (versions: Versions) => string;
}

export type Writer = RequestWriter | SqlWriter | PsqlWriter;
