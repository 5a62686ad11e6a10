/**
 * Recognises the conditions that say something simple about a column. All of them are null-rejecting (they are not true for
 * NULL) but two, `IS NULL` and `IS NOT DISTINCT FROM $1`: only because the others do may they narrow the nullable side of an
 * outer join; see `acceptsNull`.
 */

import { formatArrayLiteral } from './array-literal.ts';
import { asKind, asList, asText, asWords, isStar, isTree, type Tree } from './ast.ts';
import { arrayOf, elementOf, type Family, findFamily, isOrdered } from './canonical.ts';
import type { CatalogColumn } from './catalog.ts';
import type { Names } from './names.ts';
import type { Outputs } from './outputs.ts';
import { LIST_VALUES_MAX, type Operand, type PredicateTemplate } from './predicate-template.ts';
import type { RangeOperator } from './read-set.ts';
import type { ColumnNode } from './scope.ts';

export type Condition =
  | { readonly kind: 'predicate'; readonly node: ColumnNode; readonly template: PredicateTemplate }
  | { readonly kind: 'equal'; readonly left: ColumnNode; readonly right: ColumnNode }
  /** The left column is among the values of an output of a sub-select. */
  | { readonly kind: 'in rows'; readonly left: ColumnNode; readonly right: ColumnNode };

export interface Recogniser {
  readonly names: Names;
  /** The column that a ColumnRef was resolved to. */
  readonly columns: ReadonlyMap<Tree, ColumnNode | undefined>;
  /** The outputs of the sub-select of a SubLink. */
  readonly subselects: ReadonlyMap<Tree, Outputs>;
}

/** The family by which values of a column can be compared here; undefined: cannot tell. */
export function familyOf(column: CatalogColumn): Family | undefined {
  return column.deterministic ? findFamily(column.type) : undefined;
}

/** What an expression implies if it is true; empty when that is not understood. All of it holds, as a conjunction. */
export function recognise(recogniser: Recogniser, expression: unknown): readonly Condition[] {
  if (!isTree(expression)) return [];
  const column = columnOf(recogniser, expression);
  if (column) return isBoolean(column) ? [booleanIs(column, true)] : [];
  const not = asKind(expression, 'BoolExpr');
  if (not && not.boolop === 'NOT_EXPR') {
    const inner = columnOf(recogniser, asList(not.args)[0]);
    return inner && isBoolean(inner) ? [booleanIs(inner, false)] : [];
  }
  const booleanTest = asKind(expression, 'BooleanTest');
  if (booleanTest) {
    const inner = columnOf(recogniser, booleanTest.arg);
    const test = booleanTest.booltesttype ?? 'IS_TRUE';
    if (!inner || !isBoolean(inner) || (test !== 'IS_TRUE' && test !== 'IS_FALSE')) return [];
    return [booleanIs(inner, test === 'IS_TRUE')];
  }
  const nullTest = asKind(expression, 'NullTest');
  if (nullTest) {
    const inner = columnOf(recogniser, nullTest.arg);
    // A composite value whose fields are all null `IS NULL` too, and may hide behind `other`.
    if (!inner || inner.column.type === 'other') return [];
    return [
      {
        kind: 'predicate',
        node: inner,
        template: { kind: nullTest.nulltesttype === 'IS_NOT_NULL' ? 'not null' : 'null' },
      },
    ];
  }
  const link = asKind(expression, 'SubLink');
  if (link) return recogniseRows(recogniser, link);
  const comparison = asKind(expression, 'A_Expr');
  return comparison ? recogniseComparison(recogniser, comparison) : [];
}

function recogniseComparison(recogniser: Recogniser, expression: Tree): readonly Condition[] {
  const kind = expression.kind;
  const operator = builtinOperator(recogniser, kind === 'AEXPR_BETWEEN' ? undefined : asWords(expression.name));
  const { lexpr: left, rexpr: right } = expression;
  switch (kind) {
    case 'AEXPR_OP':
      return operator === undefined ? [] : recogniseOperator(recogniser, operator, left, right);
    case 'AEXPR_IN':
      return operator === '=' ? recogniseList(recogniser, left, asList(asKind(right, 'List')?.items)) : [];
    case 'AEXPR_OP_ANY':
      return operator === '=' ? recogniseAny(recogniser, left, right) : [];
    case 'AEXPR_BETWEEN': {
      const [low, high] = asList(asKind(right, 'List')?.items);
      if (!isBuiltin(recogniser.names, '>=') || !isBuiltin(recogniser.names, '<=')) return [];
      return [...recogniseOperator(recogniser, '>=', left, low), ...recogniseOperator(recogniser, '<=', left, high)];
    }
    case 'AEXPR_NOT_DISTINCT':
      return operator === '=' ? recogniseSame(recogniser, left, right) : [];
    default:
      return [];
  }
}

const MIRRORED: Readonly<Record<string, string>> = { '=': '=', '<': '>', '<=': '>=', '>': '<', '>=': '<=' };

function orEqual(operator: string): string {
  return operator === '<' || operator === '>' ? `${operator}=` : operator;
}

function recogniseOperator(
  recogniser: Recogniser,
  operator: string,
  left: unknown,
  right: unknown,
): readonly Condition[] {
  const mirrored = MIRRORED[operator];
  if (mirrored === undefined) return [];
  const leftRow = asKind(left, 'RowExpr');
  const rightRow = asKind(right, 'RowExpr');
  if (leftRow || rightRow) {
    const leftItems = asList(leftRow?.args);
    const rightItems = asList(rightRow?.args);
    if (leftItems.length !== rightItems.length || [...leftItems, ...rightItems].some(isStar)) return [];
    // Rows are ordered by their first difference: of the order only the first column is known, and it may be equal.
    if (operator !== '=') return recogniseOperator(recogniser, orEqual(operator), leftItems[0], rightItems[0]);
    return leftItems.flatMap((item, at) => recogniseOperator(recogniser, '=', item, rightItems[at]));
  }
  const leftColumn = columnOf(recogniser, left);
  const rightColumn = columnOf(recogniser, right);
  if (leftColumn && rightColumn) {
    const family = familyOf(leftColumn.column);
    if (operator !== '=' || family === undefined || family !== familyOf(rightColumn.column)) return [];
    return [{ kind: 'equal', left: leftColumn, right: rightColumn }];
  }
  if (leftColumn) return compareColumn(recogniser, leftColumn, operator, right);
  if (rightColumn) return compareColumn(recogniser, rightColumn, mirrored, left);
  return [];
}

function compareColumn(
  recogniser: Recogniser,
  node: ColumnNode,
  operator: string,
  value: unknown,
): readonly Condition[] {
  const family = familyOf(node.column);
  const operand = family && readOperand(recogniser, family, value);
  if (!operand) return [];
  if (operator === '=') return [{ kind: 'predicate', node, template: { kind: 'in', operands: [operand] } }];
  if (!isOrdered(family)) return [];
  return [{ kind: 'predicate', node, template: { kind: 'range', operator: operator as RangeOperator, operand } }];
}

function recogniseList(recogniser: Recogniser, left: unknown, items: readonly unknown[]): readonly Condition[] {
  if (items.length > LIST_VALUES_MAX) return [];
  const row = asKind(left, 'RowExpr');
  if (row) {
    // `(a, b) IN ((1, 2), (3, 4))` implies `a IN (1, 3)` and `b IN (2, 4)`.
    const rows = items.map((item) => asList(asKind(item, 'RowExpr')?.args));
    const columns = asList(row.args);
    if (rows.some((values) => values.length !== columns.length)) return [];
    if ([columns, ...rows].flat().some(isStar)) return [];
    return columns.flatMap((column, at) =>
      columnOf(recogniser, column)
        ? recogniseList(
            recogniser,
            column,
            rows.map((values) => values[at]),
          )
        : [],
    );
  }
  const node = columnOf(recogniser, left);
  const family = node && familyOf(node.column);
  if (!family) return [];
  const operands: Operand[] = [];
  for (const item of items) {
    const operand = readOperand(recogniser, family, item);
    if (!operand) return [];
    operands.push(operand);
  }
  return [{ kind: 'predicate', node, template: { kind: 'in', operands } }];
}

function recogniseAny(recogniser: Recogniser, left: unknown, right: unknown): readonly Condition[] {
  const node = columnOf(recogniser, left);
  const family = node && familyOf(node.column);
  if (!family || elementOf(family)) return [];
  const cast = asKind(right, 'TypeCast');
  const inner = cast ? cast.arg : right;
  let isInteger = false;
  if (cast) {
    const type = isTree(cast.typeName) ? recogniser.names.findType(cast.typeName) : undefined;
    if (!type?.isArray || type.hasModifier || findFamily(type.base) !== family) return [];
    isInteger = INTEGERS.has(type.base);
  }
  const list = asKind(inner, 'A_ArrayExpr');
  if (list) {
    const [condition] = recogniseList(recogniser, left, asList(list.elements));
    if (condition?.kind !== 'predicate' || condition.template.kind !== 'in') return [];
    const operands = condition.template.operands.map((operand) => ({
      ...operand,
      isInteger: operand.isInteger || isInteger,
    }));
    // An element cast on its own, then cast again with the array, would pass through two types.
    return [{ kind: 'predicate', node, template: { kind: 'in', operands } }];
  }
  const parameter = asKind(inner, 'ParamRef');
  const constant = asKind(inner, 'A_Const');
  const source = parameter
    ? { parameter: Number(parameter.number ?? 0) }
    : constant && isTree(constant.sval)
      ? { text: asText(constant.sval.sval) }
      : undefined;
  return source ? [{ kind: 'predicate', node, template: { kind: 'in array', operand: { source, isInteger } } }] : [];
}

/** `x IN (SELECT …)`, `x = ANY (SELECT …)`, and with rows `(x, y) IN (SELECT …)`, which implies as much of each column. */
function recogniseRows(recogniser: Recogniser, link: Tree): readonly Condition[] {
  const outputs = recogniser.subselects.get(link);
  if (!outputs || link.subLinkType !== 'ANY_SUBLINK') return [];
  // IN does not name its operator.
  if (builtinOperator(recogniser, link.operName === undefined ? ['='] : asWords(link.operName)) !== '=') return [];
  const row = asKind(link.testexpr, 'RowExpr');
  const items = row ? asList(row.args) : [link.testexpr];
  if (items.length !== outputs.columns.length || items.some(isStar)) return [];
  return items.flatMap((item, at): readonly Condition[] => {
    const left = columnOf(recogniser, item);
    const right = outputs.columns[at]?.node;
    const family = left && familyOf(left.column);
    if (!left || !right || family === undefined || family !== familyOf(right.column)) return [];
    return [{ kind: 'in rows', left, right }];
  });
}

/** `x IS NOT DISTINCT FROM y`: equality for which two NULLs are equal. */
function recogniseSame(recogniser: Recogniser, left: unknown, right: unknown): readonly Condition[] {
  const leftColumn = columnOf(recogniser, left);
  const rightColumn = columnOf(recogniser, right);
  const node = leftColumn ?? rightColumn;
  if (!node || (leftColumn && rightColumn)) return [];
  return compareColumn(recogniser, node, '=', leftColumn ? right : left).flatMap((condition): readonly Condition[] => {
    if (condition.kind !== 'predicate' || condition.template.kind !== 'in') return [];
    const [operand] = condition.template.operands;
    if (!operand) return [];
    if ('parameter' in operand.source) return [{ kind: 'predicate', node, template: { kind: 'same', operand } }];
    return operand.source.text === null ? [{ kind: 'predicate', node, template: { kind: 'null' } }] : [condition];
  });
}

const INTEGERS: ReadonlySet<string> = new Set(['int2', 'int4', 'int8']);

/** A constant or parameter that is compared by the rules of the family; undefined for anything else. */
function readOperand(recogniser: Recogniser, family: Family, value: unknown): Operand | undefined {
  const cast = asKind(value, 'TypeCast');
  if (!cast) return readPlainOperand(family, value, false);
  const type = isTree(cast.typeName) ? recogniser.names.findType(cast.typeName) : undefined;
  const base = type && !type.hasModifier ? findFamily(type.base) : undefined;
  if (!base || (type?.isArray ? arrayOf(base) : base) !== family) return undefined;
  return readPlainOperand(family, cast.arg, type !== undefined && INTEGERS.has(type.base));
}

function readPlainOperand(family: Family, value: unknown, isInteger: boolean): Operand | undefined {
  const parameter = asKind(value, 'ParamRef');
  if (parameter) return { source: { parameter: Number(parameter.number ?? 0) }, isInteger };
  const list = asKind(value, 'A_ArrayExpr');
  if (list) return readArrayOperand(family, asList(list.elements), isInteger);
  const constant = asKind(value, 'A_Const');
  if (!constant) return undefined;
  if (constant.isnull) return { source: { text: null }, isInteger };
  const { ival, fval, sval, boolval } = constant;
  if (isTree(sval)) return { source: { text: asText(sval.sval) }, isInteger };
  if (isTree(boolval))
    return family === 'bool' ? { source: { text: boolval.boolval ? 't' : 'f' }, isInteger } : undefined;
  // A number literal against text would be another comparison (or an error).
  if (family !== 'number' && family !== 'float8') return undefined;
  if (isTree(ival)) return { source: { text: String(ival.ival ?? 0) }, isInteger };
  if (isTree(fval)) return { source: { text: asText(fval.fval) }, isInteger };
  return undefined;
}

/** `ARRAY[1, 2]` of constants, as the text that means the same. */
function readArrayOperand(family: Family, elements: readonly unknown[], isInteger: boolean): Operand | undefined {
  const ofElements = elementOf(family);
  if (!ofElements) return undefined;
  const texts: (string | null)[] = [];
  for (const element of elements) {
    const operand = readPlainOperand(ofElements, element, isInteger);
    if (!operand || !('text' in operand.source)) return undefined;
    texts.push(operand.source.text);
  }
  return { source: { text: formatArrayLiteral(texts) }, isInteger };
}

/** The column that an expression is, bare. */
export function columnOf(recogniser: Recogniser, expression: unknown): ColumnNode | undefined {
  const reference = asKind(expression, 'ColumnRef');
  return reference && recogniser.columns.get(reference);
}

function isBoolean(node: ColumnNode): boolean {
  return node.column.type === 'bool';
}

function booleanIs(node: ColumnNode, value: boolean): Condition {
  return {
    kind: 'predicate',
    node,
    template: { kind: 'in', operands: [{ source: { text: value ? 't' : 'f' }, isInteger: false }] },
  };
}

/** The operator's name if it surely means PostgreSQL's own. */
function builtinOperator(recogniser: Recogniser, words: readonly string[] | undefined): string | undefined {
  if (words?.length === 2) return words[0] === 'pg_catalog' ? words[1] : undefined;
  const name = words?.length === 1 ? words[0] : undefined;
  return name !== undefined && isBuiltin(recogniser.names, name) ? name : undefined;
}

/** Whether an operator without a schema surely means PostgreSQL's own. */
export function isBuiltin(names: Names, name: string): boolean {
  return !names.findOperators(undefined, name).some((operator) => operator.mayTakeOver);
}
