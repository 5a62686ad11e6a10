/** Predicates before their parameters are known, and how binding makes them into predicates. */
import { parseArrayLiteral } from './array-literal.ts';
import { canonical } from './canonical.ts';
import type { ObstacleCode } from './obstacle.ts';
import type { Predicate, RangeOperator } from './read-set.ts';

/** A value in PostgreSQL's text form, or the parameter that holds it. */
export interface Operand {
  readonly source: { readonly text: string | null } | { readonly parameter: number };
  /**
   * Whether it passes through a cast to an integer type. If the parameter already has another number type from elsewhere in
   * the statement, the cast rounds: `$1 = 1.6` becomes 2. So only whole numbers are taken at their word there.
   */
  readonly isInteger: boolean;
}

/** A condition on a parameter alone, decided when it is known. */
export interface Guard {
  readonly parameter: number;
  readonly holds: 'null' | 'not null' | 'true' | 'false';
}

export type PredicateTemplate =
  /** If all guards of one of `unless` may hold, it says nothing. */
  | {
      readonly kind: 'in';
      readonly operands: readonly Operand[];
      readonly unless?: readonly (readonly Guard[])[] | undefined;
    }
  /** The operand is an array. */
  | { readonly kind: 'in array'; readonly operand: Operand }
  | { readonly kind: 'range'; readonly operator: RangeOperator; readonly operand: Operand }
  /** Equal to it, or NULL if it is NULL. */
  | { readonly kind: 'same'; readonly operand: Operand }
  | { readonly kind: 'null' }
  | { readonly kind: 'not null' };

/**
 * Of one condition, counted by what each asks, and of all of a statement in the end; beyond, the condition is left out. Each
 * is a term of its own, with a place in the index.
 */
export const ALTERNATIVES_MAX = 1_000;
/** More values than this are not worth an index. */
export const LIST_VALUES_MAX = 10_000;

/** Whether it may be true for NULL: then a row that an outer join filled with NULLs passes it too. */
export function acceptsNull({ kind }: PredicateTemplate): boolean {
  return kind === 'null' || kind === 'same';
}

export function parametersOf(template: PredicateTemplate): number[] {
  const operands = template.kind === 'in' ? template.operands : 'operand' in template ? [template.operand] : [];
  const guards = template.kind === 'in' && template.unless ? template.unless.flat() : [];
  return [
    ...operands.flatMap(({ source }) => ('parameter' in source ? [source.parameter] : [])),
    ...guards.map((guard) => guard.parameter),
  ];
}

/** Binds a template for a column. Undefined: cannot tell, so it narrows nothing. */
export function bindPredicate(
  template: PredicateTemplate,
  column: string,
  type: string,
  parameters: readonly unknown[],
): Predicate | undefined {
  switch (template.kind) {
    case 'null':
    case 'not null':
      return { kind: template.kind, column };
    case 'range': {
      const value = bindOperand(template.operand, type, parameters);
      if (value === undefined) return undefined;
      if (value === null) return { kind: 'in', column, type, values: new Set() };
      return { kind: 'range', column, type, operator: template.operator, value };
    }
    case 'same': {
      const value = bindOperand(template.operand, type, parameters);
      if (value === undefined) return undefined;
      return value === null ? { kind: 'null', column } : { kind: 'in', column, type, values: new Set([value]) };
    }
    case 'in': {
      if (template.unless?.some((guards) => mayHold(guards, parameters))) return undefined;
      const values = new Set<string>();
      for (const operand of template.operands) {
        const value = bindOperand(operand, type, parameters);
        if (value === undefined) return undefined;
        if (value !== null) values.add(value); // `= NULL` is never true
      }
      return { kind: 'in', column, type, values };
    }
    case 'in array': {
      const text = textOf(template.operand, parameters);
      if (text === undefined) return undefined;
      const elements = text === null ? [] : parseArrayLiteral(text);
      if (!elements || elements.length > LIST_VALUES_MAX) return undefined;
      const values = new Set<string>();
      for (const element of elements) {
        if (element === null) continue;
        const value = canonicalOperand(element, type, template.operand.isInteger);
        if (value === undefined) return undefined;
        values.add(value);
      }
      return { kind: 'in', column, type, values };
    }
  }
}

/** Why {@link bindPredicate} can't tell; for people. */
export function whyUnbound(template: PredicateTemplate, parameters: readonly unknown[]): ObstacleCode {
  if (template.kind === 'in' && template.unless?.some((guards) => mayHold(guards, parameters))) return 'turned-off';
  if (template.kind !== 'in array') return 'unknown-value';
  const text = textOf(template.operand, parameters);
  return (parseArrayLiteral(text ?? '')?.length ?? 0) > LIST_VALUES_MAX ? 'list' : 'unknown-value';
}

/** Whether all guards may hold for these parameters. */
export function mayHold(guards: readonly Guard[], parameters: readonly unknown[]): boolean {
  return guards.every((guard) => evaluateGuard(guard, parameters) !== false);
}

/** Undefined: cannot tell. */
function evaluateGuard(guard: Guard, parameters: readonly unknown[]): boolean | undefined {
  const text = parameterText(parameters[guard.parameter - 1]);
  if (text === undefined) return undefined;
  if (guard.holds === 'null') return text === null;
  if (guard.holds === 'not null') return text !== null;
  if (text === null) return false;
  const value = canonical('bool', text);
  return value === undefined ? undefined : value === (guard.holds === 'true' ? 't' : 'f');
}

function bindOperand(operand: Operand, type: string, parameters: readonly unknown[]): string | null | undefined {
  const text = textOf(operand, parameters);
  return typeof text === 'string' ? canonicalOperand(text, type, operand.isInteger) : text;
}

function canonicalOperand(text: string, type: string, isInteger: boolean): string | undefined {
  const value = canonical(type, text);
  return isInteger && value?.includes('.') ? undefined : value;
}

function textOf(operand: Operand, parameters: readonly unknown[]): string | null | undefined {
  return 'text' in operand.source ? operand.source.text : parameterText(parameters[operand.source.parameter - 1]);
}

/** The text that a driver would send; undefined where it can't be told from the value. */
export function parameterText(value: unknown): string | null | undefined {
  if (typeof value === 'string' || value === null) return value;
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  return undefined;
}
