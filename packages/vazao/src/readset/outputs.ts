/**
 * Sub-selects, CTEs and views seen from outside: columns to which conditions can be put, and which equal columns within.
 *
 *   SELECT … FROM (SELECT b.aid AS x, count(*) FROM b WHERE b.k = 2 GROUP BY b.aid) q WHERE q.x = 7
 *                          └─────────────── x ───────────────┘                          pinned
 *
 * Each output that is a plain column has a node of its own (`x`), joined by edges to the column within:
 *
 * Outwards (b.aid → x), always: each value of x is that of a row of b that matters, or NULL where an outer join filled it in.
 * So what is known of b.aid holds of x or x is NULL, and NULL equals nothing: carried on over an equality it is as good as
 * known. Not for a set operation, where the value may come from either arm.
 *
 * Inwards (x → b.aid), if a filter on x may as well be applied before the rest of the SELECT: "rows whose x is not 7 don't
 * matter" then means `WHERE b.aid = 7`, which narrows like any other condition of that WHERE. It may not
 * - with LIMIT, OFFSET or DISTINCT ON, as other rows would take the place of those that are gone;
 * - with window functions, which look at the other rows;
 * - with GROUP BY, unless the column is grouped by, so that groups go or stay whole. One that is only in some grouping sets is
 *   not: the row of a set without the column has NULL there and counts them all. Named beside the sets, it is in each;
 * - if the column is not one of this SELECT's own FROM.
 * Plain DISTINCT and set-returning functions only repeat or unite rows of equal x. A set operation passes the filter on to
 * both arms: σ(A ∪ B) = σA ∪ σB, and so for EXCEPT and INTERSECT, if both columns are compared alike.
 */
import { asKind, asList, asText, asWords, isStar, isTree, type Tree } from './ast.ts';
import { familyOf } from './conditions.ts';
import type { Side } from './from.ts';
import { type ColumnNode, createColumnNode, createDerivedReference, type Reference, readColumnOf } from './scope.ts';
import { isTimelessType, TIMELESS, type TimeWords } from './time-words.ts';

/** The columns of a SELECT, by position. */
export interface Outputs {
  /** Stands for the rows. */
  readonly reference: Reference;
  readonly columns: readonly Output[];
}

export interface Output {
  /** Undefined where PostgreSQL chooses a name that is not known here. */
  readonly name: string | undefined;
  /** Set if it is a plain column, or an expression of which it is known that it holds no text of a column. */
  readonly node: ColumnNode | undefined;
  /** The expression. */
  readonly value?: unknown;
}

/** The outputs of a plain SELECT, whose column references have been resolved; undefined where `*` hides them. */
export function outputsOf(
  select: Tree,
  side: Side,
  columns: ReadonlyMap<Tree, ColumnNode | undefined>,
  time: TimeWords,
): Outputs | undefined {
  const targets = expandTargets(select, side, columns);
  if (!targets) return undefined;
  const reference = createDerivedReference();
  const mayFilter = createFilterTest(select, side, columns, targets);
  return {
    reference,
    columns: targets.map(({ name, node: inner, value }) => {
      if (!inner) return { name, node: time.mayHold(value) ? undefined : createColumnNode(reference, TIMELESS) };
      const node = createColumnNode(reference, inner.column, [inner]);
      inner.carriesTo.add(node);
      if (mayFilter(inner)) node.carriesTo.add(inner);
      return { name, node };
    }),
  };
}

/** The outputs of a set operation over those of its arms. */
export function outputsOfSetOperation(
  select: Tree,
  left: Outputs | undefined,
  right: Outputs | undefined,
): Outputs | undefined {
  if (!left) return undefined;
  const reference = createDerivedReference();
  const mayFilter = !isLimited(select) && right?.columns.length === left.columns.length;
  return {
    reference,
    columns: left.columns.map(({ name, node: inLeft }, at) => {
      const inRight = right?.columns[at]?.node;
      if (!inLeft || !inRight) return { name, node: undefined };
      // Arms of one family are united to a type of that family.
      const family = familyOf(inLeft.column);
      if (!mayFilter || family === undefined || family !== familyOf(inRight.column)) {
        const isTimeless = isTimelessType(inLeft.column) && isTimelessType(inRight.column);
        return { name, node: isTimeless ? createColumnNode(reference, TIMELESS) : undefined };
      }
      const node = createColumnNode(reference, inLeft.column, [inLeft, inRight]);
      node.carriesTo.add(inLeft).add(inRight);
      return { name, node };
    }),
  };
}

/** One more reference to the same rows, such as a name of a CTE. What is known of the rows holds; inwards goes nothing yet. */
export function createUse(outputs: Outputs): Outputs {
  const reference = createDerivedReference();
  return {
    reference,
    columns: outputs.columns.map(({ name, node: inner }) => {
      if (!inner) return { name, node: undefined };
      const node = createColumnNode(reference, inner.column, [inner]);
      inner.carriesTo.add(node);
      return { name, node };
    }),
  };
}

/** For rows that have a single use: what doesn't matter there doesn't matter at all. */
export function joinSingleUse(outputs: Outputs, use: Outputs): void {
  for (const [at, { node }] of use.columns.entries()) {
    const inner = outputs.columns[at]?.node;
    if (node && inner) node.carriesTo.add(inner);
  }
}

/** The columns of `SELECT` with `*` written out, as PostgreSQL does; undefined where that is not known. */
export function expandTargets(
  select: Tree,
  side: Side,
  columns: ReadonlyMap<Tree, ColumnNode | undefined>,
): readonly Output[] | undefined {
  if (select.valuesLists !== undefined) return undefined;
  const outputs: Output[] = [];
  for (const item of asList(select.targetList)) {
    const target = asKind(item, 'ResTarget');
    const value = asKind(target?.val, 'ColumnRef');
    const fields = asList(value?.fields);
    // The fields of a composite value are not listed in the catalog, so what comes after them has no position.
    if (!value && isStar(target?.val)) return undefined;
    if (value && isStar(target?.val)) {
      const stars = expandStar(asWords(fields.slice(0, -1)) ?? [], side);
      if (!stars) return undefined;
      outputs.push(...stars);
      continue;
    }
    const name =
      asText(target?.name) ||
      asText(asKind(fields.at(-1), 'String')?.sval) ||
      asWords(asKind(target?.val, 'FuncCall')?.funcname)?.at(-1);
    outputs.push({ name, node: value && columns.get(value), value: target?.val });
  }
  return outputs;
}

/** Merged columns come first and once, and a second item of a name is an error unless it is qualified: not followed. */
function expandStar(words: readonly string[], side: Side): readonly Output[] | undefined {
  if (words.length > 1 || side.natural || side.merged.size > 0) return undefined;
  const items = words.length === 0 ? side.items : side.items.filter((item) => item.name === words[0]);
  if (items.length === 0 || (words.length > 0 && items.length > 1)) return undefined;
  const outputs: Output[] = [];
  for (const item of items) {
    if (!item.columns || item.hasTwins) return undefined;
    for (const name of item.columns.keys()) outputs.push({ name, node: readColumnOf(item, name) });
  }
  return outputs;
}

/** Whether a filter on an output that is this column may be applied before everything but FROM and WHERE. */
function createFilterTest(
  select: Tree,
  side: Side,
  columns: ReadonlyMap<Tree, ColumnNode | undefined>,
  targets: readonly Output[],
): (node: ColumnNode) => boolean {
  const isDistinctOn = asList(select.distinctClause).some((item) => isTree(item) && Object.keys(item).length > 0);
  const groups = asList(select.groupClause);
  const isGrouped = groups.length > 0 || select.havingClause !== undefined;
  if (isLimited(select) || isDistinctOn || hasWindow(select)) return () => false;
  const grouped = new Set(
    groups.map((item) => {
      const reference = asKind(item, 'ColumnRef');
      if (reference) return columns.get(reference);
      const constant = asKind(item, 'A_Const');
      const position = isTree(constant?.ival) ? Number(constant.ival.ival ?? 0) : 0;
      return targets[position - 1]?.node;
    }),
  );
  return (node) => side.members.has(node.reference) && (!isGrouped || grouped.has(node));
}

function isLimited(select: Tree): boolean {
  return select.limitCount !== undefined || select.limitOffset !== undefined;
}

/** Whether a window function is called, here and not in a sub-select. */
export function hasWindow(select: Tree): boolean {
  if (select.windowClause !== undefined) return true;
  const look = (value: unknown): boolean => {
    if (Array.isArray(value)) return value.some(look);
    if (!isTree(value)) return false;
    return Object.entries(value).some(
      ([key, inner]) => key !== 'SelectStmt' && ((key === 'over' && inner !== undefined) || look(inner)),
    );
  };
  return look(select.targetList) || look(select.sortClause);
}
