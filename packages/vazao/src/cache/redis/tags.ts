/**
 * Tags: what an answer and a change have in common, so coarse that Redis can compare them.
 *
 * For the table `t`, by oid:
 *
 *   t *            all terms of the table; of changes: those that may be anything (TRUNCATE, too many rows)
 *   t              terms without an equality; of changes: each
 *   t column       terms with an equality of the column; of changes: those whose value of it is not known
 *   t column=v     the same by value; of changes: the old and the new value
 *
 * Sound: a change that touches a term has a tag of it. `touches` asks of each predicate whether the old or the new row may
 * satisfy it; the tags ask the same of one predicate, the one that the term is indexed by, by the same canonical forms
 * (`term-index.ts`). A tag is a hash; two that fall together are one tag, which ends an answer too many and never too few.
 */
import { hash } from 'node:crypto';
import type { Commit } from '../../feed/index.ts';
import { type CatalogTable, type Change, canonical, type Term } from '../../readset/index.ts';
import { TAG_LENGTH } from './functions.ts';

/** What is known of a table: its columns, and what it is a part of. Undefined for one that the catalog did not have. */
export type FindTable = (oid: number) => Pick<CatalogTable, 'columns' | 'ancestors'> | undefined;

/** An answer with more is found by its tables as wholes. */
export const ENTRY_TAGS_MAX = 64;
/** A commit with more touches its tables as wholes. */
export const COMMIT_TAGS_MAX = 2_048;

const whole = (oid: number): string => tag(`${oid}*`);
const unpinned = (oid: number): string => tag(`${oid}`);
const unknown = (oid: number, column: string): string => tag(`${oid}\u0000${column}`);
const pinned = (oid: number, column: string, value: string): string => tag(`${oid}\u0000${column}\u0000${value}`);

function tag(text: string): string {
  return hash('sha256', text, 'base64url').slice(0, TAG_LENGTH);
}

/** The tags of an answer that depends on these terms; undefined if there are too many even by whole tables. */
export function tagsOfTerms(terms: readonly Term[]): string[] | undefined {
  const exact = tagsOf(terms, Number.POSITIVE_INFINITY);
  if (exact.length <= ENTRY_TAGS_MAX) return exact;
  // Each change of a table has the tag of its terms without an equality.
  const coarse = tagsOf(terms, 0);
  return coarse.length <= ENTRY_TAGS_MAX ? coarse : undefined;
}

function tagsOf(terms: readonly Term[], valuesMax: number): string[] {
  const tags = new Set<string>();
  for (const { table, indexBy } of terms) {
    if (indexBy?.values.length === 0) continue; // no row satisfies it
    tags.add(whole(table.oid));
    if (!indexBy || indexBy.values.length > valuesMax) {
      tags.add(unpinned(table.oid));
      continue;
    }
    tags.add(unknown(table.oid, indexBy.column));
    for (const value of indexBy.values) tags.add(pinned(table.oid, indexBy.column, value));
  }
  return [...tags];
}

/** The tags that a commit touches; undefined if it changed a table that the catalog did not have, which may be a part of any. */
export function tagsOfCommit(commit: Pick<Commit, 'changes'>, findTable: FindTable): Set<string> | undefined {
  const tags = new Set<string>();
  const oids = new Set<number>();
  for (const change of commit.changes) {
    const lineage = lineageOf(change.relation.oid, findTable);
    if (!lineage) return undefined;
    for (const oid of lineage) {
      oids.add(oid);
      if (tags.size <= COMMIT_TAGS_MAX) addTags(tags, oid, change, findTable);
    }
  }
  return tags.size <= COMMIT_TAGS_MAX ? tags : new Set([...oids].map(whole));
}

function lineageOf(oid: number, findTable: FindTable): readonly number[] | undefined {
  const table = findTable(oid);
  return table?.ancestors.every((ancestor) => findTable(ancestor)) ? [oid, ...table.ancestors] : undefined;
}

function addTags(tags: Set<string>, oid: number, change: Change, findTable: FindTable): void {
  if (change.kind === 'all') {
    tags.add(whole(oid));
    return;
  }
  tags.add(unpinned(oid));
  const rows = [...('new' in change ? [change.new] : []), ...('old' in change ? [change.old] : [])];
  for (const { name, type } of findTable(oid)?.columns ?? []) {
    const position = change.relation.columns.indexOf(name);
    for (const row of rows) {
      const value = position < 0 ? undefined : row?.[position];
      if (value === null) continue; // an equality never holds for NULL
      const form = value === undefined ? undefined : canonical(type, value);
      tags.add(form === undefined ? unknown(oid, name) : pinned(oid, name, form));
    }
  }
}
