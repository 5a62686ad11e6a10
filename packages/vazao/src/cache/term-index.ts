/**
 * From a change of a row to the entries that it may concern: `table → column = value → terms`.
 *
 *   oid 16402 ─┬─ by column ── "campanha_id" ─┬─ "7"  → { term of entry A, term of entry B }
 *              │                              └─ "12" → { term of entry C }
 *              ├─ by range ─── "criado_em" ── [2026-11-01, ∞) → term of entry D
 *              └─ scan ─────── { terms with neither: looked at for each change of the table }
 *
 * A term stands under one column only: the most selective that it pins, else one that it bounds. A change looks up its old
 * and its new value in each column that has terms, so its cost depends on how many columns are indexed and on how many
 * terms it touches, not on how many entries there are.
 */
import { type Change, canonical, orderKey, type Relation, type Term, touches } from '../readset/index.ts';
import type { Entry } from './entry.ts';
import { type Interval, RangeIndex } from './range-index.ts';

interface IndexedTerm<V> {
  readonly entry: Entry<V>;
  readonly term: Term;
  /** Where it stands, if by a range. */
  range: { readonly column: string; readonly interval: Interval<IndexedTerm<V>> } | undefined;
}

interface ColumnIndex<V> {
  /** The column's type, for the canonical form of the values that changes bring. */
  readonly type: string;
  readonly byValue: Map<string, Terms<V>>;
}

/** Most values have one term, and a set would be most of what that takes. */
type Terms<V> = IndexedTerm<V> | Set<IndexedTerm<V>>;

interface RangeColumn<V> {
  readonly type: string;
  readonly ranges: RangeIndex<IndexedTerm<V>>;
}

interface TableIndex<V> {
  readonly byColumn: Map<string, ColumnIndex<V>>;
  readonly byRange: Map<string, RangeColumn<V>>;
  readonly scan: Set<IndexedTerm<V>>;
}

export class TermIndex<V> {
  readonly #tables = new Map<number, TableIndex<V>>();
  /** Where each entry's terms stand, so that removal needs no search. */
  readonly #places = new Map<Entry<V>, IndexedTerm<V>[]>();

  add(entry: Entry<V>): void {
    const places: IndexedTerm<V>[] = [];
    for (const term of entry.terms) {
      const indexed: IndexedTerm<V> = { entry, term, range: undefined };
      places.push(indexed);
      let table = this.#tables.get(term.table.oid);
      if (!table) {
        table = { byColumn: new Map(), byRange: new Map(), scan: new Set() };
        this.#tables.set(term.table.oid, table);
      }
      const { indexBy } = term;
      if (!indexBy) {
        addUnpinned(table, indexed);
        continue;
      }
      let column = table.byColumn.get(indexBy.column);
      if (!column) {
        column = { type: indexBy.type, byValue: new Map() };
        table.byColumn.set(indexBy.column, column);
      }
      for (const value of indexBy.values) {
        const terms = column.byValue.get(value);
        if (!terms) column.byValue.set(value, indexed);
        else if (terms instanceof Set) terms.add(indexed);
        else column.byValue.set(value, new Set([terms, indexed]));
      }
    }
    this.#places.set(entry, places.slice()); // without the room that `push` leaves in it
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
    const tryAll = (terms: Terms<V> | IndexedTerm<V>[]): void => {
      for (const { entry, term } of 'entry' in terms ? [terms] : terms)
        if (touches(term, change)) onTouched(entry, term);
    };
    tryAll(table.scan);
    for (const [name, { type, ranges }] of table.byRange) {
      // Collected first: an entry that is touched is taken out of the ranges.
      const found: IndexedTerm<V>[] = [];
      const collect = (indexed: IndexedTerm<V>): void => {
        found.push(indexed);
      };
      const wanted = changedValues(change, name, type);
      if (wanted === 'any') ranges.forEach(collect);
      else for (const value of wanted) ranges.find(orderKey(type, value) as number, collect);
      tryAll(found);
    }
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
    if (indexed.range) {
      const column = table.byRange.get(indexed.range.column);
      column?.ranges.remove(indexed.range.interval);
      if (column?.ranges.size === 0) table.byRange.delete(indexed.range.column);
    } else if (!indexBy) {
      table.scan.delete(indexed);
    } else {
      const column = table.byColumn.get(indexBy.column);
      for (const value of indexBy.values) {
        const terms = column?.byValue.get(value);
        if (terms instanceof Set) terms.delete(indexed);
        if (terms === indexed || (terms instanceof Set && terms.size === 0)) column?.byValue.delete(value);
      }
      if (column?.byValue.size === 0) table.byColumn.delete(indexBy.column);
    }
    if (table.scan.size === 0 && table.byColumn.size === 0 && table.byRange.size === 0)
      this.#tables.delete(term.table.oid);
  }
}

/** Puts a term without an equality under a column that it bounds, best on both sides; else among those to scan. */
function addUnpinned<V>(table: TableIndex<V>, indexed: IndexedTerm<V>): void {
  const best = boundsOf(indexed.term);
  if (!best) {
    table.scan.add(indexed);
    return;
  }
  let column = table.byRange.get(best.column);
  if (!column) {
    column = { type: best.type, ranges: new RangeIndex() };
    table.byRange.set(best.column, column);
  }
  indexed.range = { column: best.column, interval: column.ranges.add(best.low, best.high, indexed) };
}

interface Bounds {
  readonly column: string;
  readonly type: string;
  low: number;
  high: number;
}

function boundsOf(term: Term): Bounds | undefined {
  const byColumn = new Map<string, Bounds>();
  for (const predicate of term.predicates) {
    if (predicate.kind !== 'range') continue;
    const { column, type, operator, value } = predicate;
    const key = orderKey(type, value);
    if (key === undefined) continue;
    const bounds = byColumn.get(column) ?? {
      column,
      type,
      low: Number.NEGATIVE_INFINITY,
      high: Number.POSITIVE_INFINITY,
    };
    if (operator === '<' || operator === '<=') bounds.high = Math.min(bounds.high, key);
    else bounds.low = Math.max(bounds.low, key);
    byColumn.set(column, bounds);
  }
  const all = [...byColumn.values()];
  return all.find(({ low, high }) => Number.isFinite(low) && Number.isFinite(high)) ?? all[0];
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
