/**
 * OR: what a condition implies as a list of alternatives, each a conjunction. A row that satisfies the condition satisfies at
 * least one of them; so for each reference, a change touches if it touches any.
 *
 *   (a.k = 1 AND b.k = 2) OR a.k = 3     for a: k = 1 | k = 3        for b: nothing, the second arm says nothing of b
 *   a.k = 1 OR a.k = 2                   is a.k IN (1, 2), which is carried over equalities as well
 *   $1::text IS NULL OR a.t = $1         once $1 is known: nothing if it is NULL, else a.t = $1
 *
 * A part that is not understood may be true of any row: within AND it is left out, as an arm of OR it makes the whole say
 * nothing. So does an arm without a condition on the reference in question. An OR whose arms all reject NULL rejects it too,
 * which is why alternatives may narrow the nullable side of an outer join as well; `IS NULL` is left out there as elsewhere.
 * Under NOT nothing is looked into.
 */
import { asKind, asList, isTree, type Tree } from './ast.ts';
import { findFamily } from './canonical.ts';
import { type Condition, type Recogniser, recognise } from './conditions.ts';
import { noteObstacle } from './find-obstacles.ts';
import {
  ALTERNATIVES_MAX,
  acceptsNull,
  type Guard,
  LIST_VALUES_MAX,
  type Operand,
  type PredicateTemplate,
} from './predicate-template.ts';
import type { ColumnNode, Reference } from './scope.ts';

export interface Alternative {
  /** What must hold of parameters besides. */
  readonly guards: readonly Guard[];
  readonly conditions: readonly PredicateCondition[];
}

export type PredicateCondition = Extract<Condition, { kind: 'predicate' }>;

const ANYTHING: readonly Alternative[] = [{ guards: [], conditions: [] }];

/** What an expression implies if it is true. */
export function alternativesOf(recogniser: Recogniser, expression: unknown): readonly Alternative[] {
  const bool = asKind(expression, 'BoolExpr');
  if (bool?.boolop === 'OR_EXPR') {
    const arms = unite(asList(bool.args).flatMap((arm) => alternativesOf(recogniser, arm)));
    return weightOf(arms) > ALTERNATIVES_MAX ? ANYTHING : arms;
  }
  if (bool?.boolop === 'AND_EXPR') {
    let product = ANYTHING;
    for (const part of asList(bool.args)) {
      const factors = alternativesOf(recogniser, part);
      const weight = weightOf(product) * factors.length + weightOf(factors) * product.length;
      if (weight > ALTERNATIVES_MAX) continue;
      product = product.flatMap((left) =>
        factors.map((right) => ({
          guards: [...left.guards, ...right.guards],
          conditions: [...left.conditions, ...right.conditions],
        })),
      );
    }
    return product;
  }
  const guard = guardOf(recogniser, expression);
  if (guard) return [{ guards: [guard], conditions: [] }];
  return [{ guards: [], conditions: recognise(recogniser, expression).filter((found) => found.kind === 'predicate') }];
}

/**
 * Tells each reference what the alternatives say of it. Returns the references that were told, and the columns to which a
 * condition of their own was put.
 * @param narrowed - references that the condition may narrow; true: an outer join may fill them with NULLs
 */
export function applyAlternatives(
  alternatives: readonly Alternative[],
  narrowed: ReadonlyMap<Reference, boolean>,
): { readonly told: ReadonlySet<Reference>; readonly pinned: readonly ColumnNode[] } {
  const told = new Set<Reference>();
  const pinned: ColumnNode[] = [];
  const references = new Set(alternatives.flatMap(({ conditions }) => conditions.map(({ node }) => node.reference)));
  for (const reference of references) {
    const isNullable = narrowed.get(reference);
    if (isNullable === undefined) continue;
    const own = alternatives.map(({ guards, conditions }) => ({
      guards,
      conditions: conditions.filter(
        ({ node, template }) => node.reference === reference && !(isNullable && acceptsNull(template)),
      ),
    }));
    if (own.some(isAnything)) continue;
    told.add(reference);
    const pin = asPin(own);
    if (pin) {
      pin.node.pins.add(pin.template);
      pinned.push(pin.node);
    } else if (reference.table) reference.alternatives.push(own);
    else for (const { conditions } of own) for (const { node } of conditions) noteObstacle(node, 'inside');
  }
  return { told, pinned };
}

function weightOf(alternatives: readonly Alternative[]): number {
  let weight = 0;
  for (const { guards, conditions } of alternatives) weight += guards.length + conditions.length;
  return weight;
}

function isAnything({ guards, conditions }: Alternative): boolean {
  return guards.length === 0 && conditions.length === 0;
}

/** `k = 1 OR k = 2` is a list. Keeps long chains of the same column short. */
function unite(arms: readonly Alternative[]): readonly Alternative[] {
  const lists = new Map<ColumnNode, Operand[]>();
  const united: Alternative[] = [];
  for (const arm of arms) {
    const [condition, ...more] = arm.conditions;
    if (condition?.template.kind !== 'in' || more.length > 0 || arm.guards.length > 0) {
      united.push(arm);
      continue;
    }
    const { node, template } = condition;
    const operands = lists.get(node) ?? [];
    operands.push(...template.operands);
    if (operands.length > LIST_VALUES_MAX) return ANYTHING;
    if (lists.has(node)) continue;
    lists.set(node, operands);
    united.push({ guards: [], conditions: [{ kind: 'predicate', node, template: { kind: 'in', operands } }] });
  }
  return united;
}

/** If all say values of one column, or nothing but guards: one condition on that column, unless a guard holds. */
function asPin(alternatives: readonly Alternative[]): { node: ColumnNode; template: PredicateTemplate } | undefined {
  const operands: Operand[] = [];
  const unless: (readonly Guard[])[] = [];
  let node: ColumnNode | undefined;
  for (const { guards, conditions } of alternatives) {
    const [condition, ...more] = conditions;
    if (!condition) {
      unless.push(guards);
      continue;
    }
    if (condition.template.kind !== 'in' || more.length > 0 || (node && node !== condition.node)) return undefined;
    node = condition.node;
    operands.push(...condition.template.operands); // its guards are left out: it may hold
  }
  return node && { node, template: { kind: 'in', operands, unless } };
}

/** A condition on a parameter alone: `$1 IS NULL`, `$1::text IS NOT NULL`, `$1::bool`, `NOT $1::bool`. */
function guardOf(recogniser: Recogniser, expression: unknown): Guard | undefined {
  const test = asKind(expression, 'NullTest');
  if (test) {
    const parameter = parameterOf(recogniser, test.arg, undefined);
    return parameter === undefined
      ? undefined
      : { parameter, holds: test.nulltesttype === 'IS_NOT_NULL' ? 'not null' : 'null' };
  }
  const not = asKind(expression, 'BoolExpr');
  const isNegated = not?.boolop === 'NOT_EXPR';
  const parameter = parameterOf(recogniser, isNegated ? asList(not.args)[0] : expression, 'bool');
  return parameter === undefined ? undefined : { parameter, holds: isNegated ? 'false' : 'true' };
}

/**
 * The number of a parameter, bare or under a cast to a type that is known. Bare, its type is told by its other uses: those must
 * be understood for a guard to count (a composite value may be NULL without being so).
 */
function parameterOf(recogniser: Recogniser, expression: unknown, family: 'bool' | undefined): number | undefined {
  const cast = asKind(expression, 'TypeCast');
  if (cast) {
    const type = isTree(cast.typeName) ? recogniser.names.findType(cast.typeName as Tree) : undefined;
    const found = type && !type.hasModifier ? findFamily(type.base) : undefined;
    if (!found || (family !== undefined && (found !== family || type?.isArray))) return undefined;
  } else if (family !== undefined) return undefined;
  const parameter = asKind(cast ? cast.arg : expression, 'ParamRef');
  return parameter && Number(parameter.number ?? 0);
}
