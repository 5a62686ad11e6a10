/** Read sets in words, for people and tests. */
import type { Predicate, Term } from './read-set.ts';

const VALUES_SHOWN_MAX = 10;

/** For instance `campanhas (id, titulo) where id in (7)`; `(*)` for all columns, `()` if only existence is read. */
export function describeTerm(term: Term): string {
  const columns = term.columns === 'all' ? '*' : [...term.columns].sort().join(', ');
  const where = term.predicates.length === 0 ? '' : ` where ${term.predicates.map(describePredicate).join(' and ')}`;
  return `${term.table.name} (${columns})${where}`;
}

/** For instance `id in (7)`. */
export function describePredicate(predicate: Predicate): string {
  switch (predicate.kind) {
    case 'in': {
      const shown = [...predicate.values].slice(0, VALUES_SHOWN_MAX);
      const more = predicate.values.size - shown.length;
      return `${predicate.column} in (${shown.join(', ')}${more > 0 ? `, and ${more} more` : ''})`;
    }
    case 'range':
      return `${predicate.column} ${predicate.operator} ${predicate.value}`;
    case 'null':
      return `${predicate.column} is null`;
    case 'not null':
      return `${predicate.column} is not null`;
  }
}
