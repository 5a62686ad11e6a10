/**
 * From a change of a row to the entries that it may concern: `table → column = value → terms`.
 *
 *   oid 16402 ─┬─ by column ── "campanha_id" ─┬─ "7"  → { term of entry A, term of entry B }
 *              │                              └─ "12" → { term of entry C }
 *              └─ scan ─────── { terms without an equality: looked at for each change of the table }
 *
 * A term stands under one column only, the most selective that it pins. A change looks up its old and its new value in
 * each column that has terms, so its cost depends on how many columns are indexed, not on how many entries there are.
 */
import { type Change, canonical, type Relation, type Term, touches } from '../readset/index.ts';
import type { Entry } from './entry.ts';

interface IndexedTerm<V> {
  readonly entry: Entry<V>;
  readonly term: Term;
}

interface ColumnIndex<V> {
  /** The column's type, for the canonical form of the values that changes bring. */
  readonly type: string;
  readonly byValue: Map<string, Set<IndexedTerm<V>>>;
}

interface TableIndex<V> {
  readonly byColumn: Map<string, ColumnIndex<V>>;
  readonly scan: Set<IndexedTerm<V>>;
}

export class TermIndex<V> {
  readonly #tables = new Map<number, TableIndex<V>>();
  /** Where each entry's terms stand, so that removal needs no search. */
  readonly #places = new Map<Entry<V>, IndexedTerm<V>[]>();

  add(entry: Entry<V>): void {
    const places: IndexedTerm<V>[] = [];
    for (const term of entry.terms) {
      const indexed = { entry, term };
      places.push(indexed);
      let table = this.#tables.get(term.table.oid);
      if (!table) {
        table = { byColumn: new Map(), scan: new Set() };
        this.#tables.set(term.table.oid, table);
      }
      const { indexBy } = term;
      if (!indexBy) {
        table.scan.add(indexed);
        continue;
      }
      let column = table.byColumn.get(indexBy.column);
      if (!column) {
        column = { type: indexBy.type, byValue: new Map() };
        table.byColumn.set(indexBy.column, column);
      }
      for (const value of indexBy.values) {
        const terms = column.byValue.get(value);
        if (terms) terms.add(indexed);
        else column.byValue.set(value, new Set([indexed]));
      }
    }
    this.#places.set(entry, places);
  }

  remove(entry: Entry<V>): void {
    const places = this.#places.get(entry);
    if (!places) return;
    this.#places.delete(entry);
    for (const indexed of places) this.#removeTerm(indexed);
  }

  /**
   * Calls back for each entry that the change touches, in no order, maybe more than once; removing entries meanwhile is fine.
   * @param oid - the changed table, or one of the tables that it is a part of
   */
  match(oid: number, change: Change, onTouched: (entry: Entry<V>, term: Term) => void): void {
    const table = this.#tables.get(oid);
    if (!table) return;
    const tryAll = (terms: Iterable<IndexedTerm<V>>): void => {
      for (const { entry, term } of terms) if (touches(term, change)) onTouched(entry, term);
    };
    tryAll(table.scan);
    for (const [name, column] of table.byColumn) {
      const wanted = changedValues(change, name, column.type);
      if (wanted === 'any') {
        for (const terms of column.byValue.values()) tryAll(terms);
        continue;
      }
      for (const value of wanted) {
        const terms = column.byValue.get(value);
        if (terms) tryAll(terms);
      }
    }
  }

  #removeTerm(indexed: IndexedTerm<V>): void {
    const { term } = indexed;
    const table = this.#tables.get(term.table.oid);
    if (!table) return;
    const { indexBy } = term;
    if (!indexBy) {
      table.scan.delete(indexed);
    } else {
      const column = table.byColumn.get(indexBy.column);
      for (const value of indexBy.values) {
        const terms = column?.byValue.get(value);
        if (!terms) continue;
        terms.delete(indexed);
        if (terms.size === 0) column?.byValue.delete(value);
      }
      if (column?.byValue.size === 0) table.byColumn.delete(indexBy.column);
    }
    if (table.scan.size === 0 && table.byColumn.size === 0) this.#tables.delete(term.table.oid);
  }
}

/** The canonical values that a change brings into or takes out of a column; 'any' when they can't be told. */
function changedValues(change: Change, column: string, type: string): readonly string[] | 'any' {
  if (change.kind === 'all') return 'any';
  const position = positionOf(change.relation, column);
  if (position < 0) return 'any';
  const values: string[] = [];
  const rows =
    change.kind === 'insert' ? [change.new] : change.kind === 'delete' ? [change.old] : [change.old, change.new];
  for (const row of rows) {
    const value = row?.[position];
    if (value === undefined) return 'any';
    if (value === null) continue; // an equality never holds for NULL
    const form = canonical(type, value);
    if (form === undefined) return 'any';
    if (values[0] !== form) values.push(form);
  }
  return values;
}

const positions = new WeakMap<Relation, Map<string, number>>();

function positionOf(relation: Relation, column: string): number {
  let known = positions.get(relation);
  if (!known) {
    known = new Map(relation.columns.map((name, position) => [name, position]));
    positions.set(relation, known);
  }
  return known.get(column) ?? -1;
}
