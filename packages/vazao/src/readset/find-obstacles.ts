/**
 * Why nothing was taken of a condition. Asked only of those that `conditions.ts` and `alternatives.ts` made nothing of, and
 * only for people: what is said here decides nothing.
 */
import { asKind, asList, asWords, isTree, type Tree } from './ast.ts';
import { isOrdered } from './canonical.ts';
import { columnOf, familyOf, isBuiltin, type Recogniser, recognise } from './conditions.ts';
import { addObstacle, type ObstacleCode } from './obstacle.ts';
import { ALTERNATIVES_MAX, LIST_VALUES_MAX } from './predicate-template.ts';
import type { ColumnNode, Reference } from './scope.ts';

/** Conditions of a statement that are looked into. What matters is said by the first few, and long statements stay cheap. */
export const EXPLAINED_MAX = 100;

/** Tells the table of a column; behind a sub-select, CTE or view, that of the column within. */
export function noteObstacle(node: ColumnNode, code: ObstacleCode): void {
  // Where nothing new was said, nor is it within.
  if (!addObstacle(node.reference.obstacles, code, node.column.name)) return;
  for (const within of node.shows) noteObstacle(within, code);
}

/** A condition on a column of a sub-select that was put to it, but does not reach the table within. */
export function noteInside(pinned: Iterable<ColumnNode>): void {
  const seen = new Set<ColumnNode>();
  let notes = 0;
  const look = (node: ColumnNode): void => {
    if (seen.has(node)) return;
    seen.add(node);
    for (const within of node.shows) {
      if (node.carriesTo.has(within)) look(within);
      else if (++notes <= EXPLAINED_MAX) noteObstacle(within, 'inside');
    }
  };
  for (const node of pinned) look(node);
}

const NONE: ReadonlySet<Reference> = new Set();

/** @param told - references that the condition, an OR, narrows nevertheless */
export function noteObstacles(recogniser: Recogniser, condition: unknown, told: ReadonlySet<Reference> = NONE): void {
  const note = (node: ColumnNode, code: ObstacleCode): void => {
    if (!told.has(node.reference)) noteObstacle(node, code);
  };
  const noteAll = (value: unknown, code: ObstacleCode): void => {
    for (const node of columnsIn(recogniser, value)) note(node, code);
  };
  const opacity = new Map<unknown, boolean>();
  /** An arm of which no part is understood. */
  const isOpaque = (arm: unknown): boolean => {
    const known = opacity.get(arm);
    if (known !== undefined) return known;
    const bool = asKind(arm, 'BoolExpr');
    const isIt =
      bool?.boolop === 'AND_EXPR'
        ? asList(bool.args).every(isOpaque)
        : bool?.boolop === 'OR_EXPR'
          ? asList(bool.args).some(isOpaque)
          : recognise(recogniser, arm).length === 0;
    opacity.set(arm, isIt);
    return isIt;
  };
  const look = (expression: unknown): void => {
    const bool = asKind(expression, 'BoolExpr');
    if (bool?.boolop === 'OR_EXPR') {
      const arms = asList(bool.args);
      const opaque = arms.filter(isOpaque);
      for (const arm of opaque) look(arm);
      noteAll(
        arms,
        opaque.length === 0 && columnsIn(recogniser, arms).length > ALTERNATIVES_MAX ? 'alternatives' : 'or',
      );
    } else if (bool?.boolop === 'AND_EXPR') for (const part of asList(bool.args)) look(part);
    else if (bool) noteAll(bool.args, 'negation');
    else if (asKind(expression, 'A_Expr')) lookComparison(asKind(expression, 'A_Expr') as Tree);
    else {
      const test = asKind(expression, 'NullTest') ?? asKind(expression, 'BooleanTest');
      const link = asKind(expression, 'SubLink');
      const bare = columnOf(recogniser, test?.arg ?? link?.testexpr ?? expression);
      if (link) noteAll(link.testexpr, 'sub-select');
      else if (!bare) noteAll(expression, 'expression');
      else note(bare, test && bare.column.type !== 'other' ? 'operator' : 'type');
    }
  };
  const lookComparison = (comparison: Tree): void => {
    const operator = operatorOf(recogniser, comparison);
    const left = itemsOf(comparison.lexpr);
    const right = itemsOf(comparison.rexpr);
    for (const [own, other] of [
      [left, right],
      [right, left],
    ] as const) {
      for (const item of own) {
        const bare = columnOf(recogniser, item);
        if (bare) note(bare, reasonOf(recogniser, bare, operator, other));
        else noteAll(item, isCastOfColumn(recogniser, item) ? 'cast' : 'expression');
      }
    }
  };
  look(condition);
}

/** Why the comparison of a bare column was not taken. */
function reasonOf(
  recogniser: Recogniser,
  node: ColumnNode,
  operator: string | undefined,
  others: readonly unknown[],
): ObstacleCode {
  if (operator === undefined) return 'operator';
  const family = familyOf(node.column);
  if (family === undefined) return 'type';
  if (others.length > LIST_VALUES_MAX) return 'list';
  const [column] = others.flatMap((other) => columnOf(recogniser, other) ?? []);
  if (column) return operator === '=' ? 'join-type' : 'value';
  if (operator !== '=' && !isOrdered(family)) return 'order';
  const isPlain = (value: unknown): boolean =>
    asKind(value, 'A_Const') !== undefined || asKind(value, 'ParamRef') !== undefined;
  const isValue = (value: unknown): boolean => isPlain(value) || isPlain(asKind(value, 'TypeCast')?.arg);
  return others.every(isValue) ? 'value-type' : 'value';
}

/** Undefined for one of which nothing is taken. */
function operatorOf(recogniser: Recogniser, comparison: Tree): string | undefined {
  const words = asWords(comparison.name) ?? [];
  const name = words.at(-1) ?? '';
  const isOwn = words.length === 2 ? words[0] === 'pg_catalog' : isBuiltin(recogniser.names, name);
  switch (comparison.kind) {
    case 'AEXPR_BETWEEN':
      return '<';
    case 'AEXPR_OP':
      return isOwn && ['=', '<', '<=', '>', '>='].includes(name) ? name : undefined;
    case 'AEXPR_IN':
    case 'AEXPR_OP_ANY':
      return isOwn && name === '=' ? name : undefined;
    default:
      return undefined;
  }
}

/** The elements of a list, row or array; else the expression itself. */
function itemsOf(value: unknown): readonly unknown[] {
  const cast = asKind(value, 'TypeCast');
  const list = asKind(value, 'List') ?? asKind(value, 'RowExpr') ?? asKind(cast ? cast.arg : value, 'A_ArrayExpr');
  return list ? asList(list.items ?? list.args ?? list.elements).flatMap(itemsOf) : [value];
}

function isCastOfColumn(recogniser: Recogniser, value: unknown): boolean {
  const cast = asKind(value, 'TypeCast');
  return cast !== undefined && columnOf(recogniser, cast.arg) !== undefined;
}

/** Not those of sub-selects, which have conditions of their own. */
function columnsIn(recogniser: Recogniser, value: unknown): readonly ColumnNode[] {
  const found: ColumnNode[] = [];
  const look = (value: unknown): void => {
    if (Array.isArray(value)) for (const item of value) look(item);
    if (!isTree(value)) return;
    for (const [key, inner] of Object.entries(value)) {
      if (key === 'SelectStmt') continue;
      const node = key === 'ColumnRef' && isTree(inner) ? recogniser.columns.get(inner) : undefined;
      if (node) found.push(node);
      look(inner);
    }
  };
  look(value);
  return found;
}
