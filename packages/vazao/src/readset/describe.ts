/** Read sets in words, for people and tests. */
import type { Guard, Operand } from './predicate-template.ts';
import type { Predicate, Term } from './read-set.ts';
import type { ConditionTemplate } from './template.ts';

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

/** The same of a predicate whose parameters are not known: `id in ($1)`. */
export function describeTemplate({ column, template }: Pick<ConditionTemplate, 'column' | 'template'>): string {
  switch (template.kind) {
    case 'in': {
      const shown = template.operands.slice(0, VALUES_SHOWN_MAX).map(describeOperand);
      const more = template.operands.length - shown.length;
      const unless = (template.unless ?? []).map((guards) => ` unless ${guards.map(describeGuard).join(' and ')}`);
      return `${column} in (${shown.join(', ')}${more > 0 ? `, and ${more} more` : ''})${unless.join('')}`;
    }
    case 'in array':
      return `${column} = any(${describeOperand(template.operand)})`;
    case 'range':
      return `${column} ${template.operator} ${describeOperand(template.operand)}`;
    case 'same':
      return `${column} is not distinct from ${describeOperand(template.operand)}`;
    case 'null':
    case 'not null':
      return describePredicate({ kind: template.kind, column });
  }
}

export function describeGuard({ parameter, holds }: Guard): string {
  if (holds === 'true') return `$${parameter}`;
  return holds === 'false' ? `not $${parameter}` : `$${parameter} is ${holds}`;
}

function describeOperand({ source }: Operand): string {
  return 'parameter' in source ? `$${source.parameter}` : (source.text ?? 'null');
}
