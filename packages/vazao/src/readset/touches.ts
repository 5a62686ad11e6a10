/** Does a change of a row touch a term? The hot path of every commit. */
import { canonical, compareCanonical } from './canonical.ts';
import type { Change, Relation, Values } from './change.ts';
import type { Predicate, Term } from './read-set.ts';

/**
 * True unless the change surely leaves every answer alone that depends on the term. The change is one of the term's table or
 * of a descendant of it (partition, inheritance child), whose columns may come in another order: they are matched by name.
 */
export function touches(term: Term, change: Change): boolean {
  if (term.indexBy?.values.length === 0) return false; // no row satisfies it, whatever is not known of the row
  switch (change.kind) {
    case 'all':
      return true;
    case 'insert':
      return satisfies(term, change.relation, change.new);
    case 'delete':
      return satisfies(term, change.relation, change.old);
    case 'update':
      return (
        (satisfies(term, change.relation, change.new) ||
          change.old === undefined ||
          satisfies(term, change.relation, change.old)) &&
        differs(term, change.relation, change.old, change.new)
      );
  }
}

/** Whether the row may satisfy all predicates: false only if one surely fails. */
function satisfies(term: Term, relation: Relation, row: Values): boolean {
  for (const predicate of term.predicates) {
    const position = positionsOf(relation).get(predicate.column);
    const value = position === undefined ? undefined : row[position];
    if (value !== undefined && fails(predicate, value)) return false;
  }
  return true;
}

function fails(predicate: Predicate, value: string | null): boolean {
  switch (predicate.kind) {
    case 'null':
      return value !== null;
    case 'not null':
      return value === null;
    case 'in': {
      if (value === null) return true;
      const known = canonical(predicate.type, value);
      return known !== undefined && !predicate.values.has(known);
    }
    case 'range': {
      if (value === null) return true;
      const known = canonical(predicate.type, value);
      if (known === undefined) return false;
      const order = compareCanonical(predicate.type, known, predicate.value);
      switch (predicate.operator) {
        case '<':
          return order >= 0;
        case '<=':
          return order > 0;
        case '>':
          return order <= 0;
        case '>=':
          return order < 0;
      }
    }
  }
}

/** Whether a column that the term reads may differ. Compared as text: equal text is the same value, whatever the type. */
function differs(term: Term, relation: Relation, before: Values | undefined, after: Values): boolean {
  if (term.columns !== 'all' && term.columns.size === 0) return false; // only existence is read
  if (before === undefined) return true;
  if (term.columns === 'all') {
    for (let at = 0; at < relation.columns.length; at++) if (isOther(before[at], after[at])) return true;
    return false;
  }
  const positions = positionsOf(relation);
  for (const column of term.columns) {
    const position = positions.get(column);
    if (position === undefined || isOther(before[position], after[position])) return true;
  }
  return false;
}

function isOther(before: string | null | undefined, after: string | null | undefined): boolean {
  // An unchanged TOAST value arrives filled in from the old row; one that is still unknown here may be anything.
  return before === undefined || after === undefined || before !== after;
}

/** Relation objects are stable for as long as the feed sees no new description, so positions are looked up once for each. */
const positionsByRelation = new WeakMap<Relation, ReadonlyMap<string, number>>();

function positionsOf(relation: Relation): ReadonlyMap<string, number> {
  let positions = positionsByRelation.get(relation);
  if (!positions) {
    positions = new Map(relation.columns.map((name, position) => [name, position]));
    positionsByRelation.set(relation, positions);
  }
  return positions;
}
