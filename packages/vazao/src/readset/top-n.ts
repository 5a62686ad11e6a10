/**
 * Top-N: `ORDER BY k DESC LIMIT 10`. Once ten rows have come back, a row that sorts after the last of them can come, go and
 * change without being seen, until one of the ten goes: and that one touches. So the last row shown bounds what matters:
 *
 *   k DESC:  9  8  8  5 │ 4  3 …      matters: k >= 5
 *                     └ boundary
 *
 * Not strictly, and by the first column only, so that whatever else decides among equals is covered. Rows that an OFFSET
 * skips sort before the boundary, and matter: the one bound serves both. So it does WITH TIES. A NULL sorts before or after
 * all values: where before, rows with NULL matter as well, if the column may have any.
 *
 * It holds for any table of FROM that no outer join may fill with NULLs: each joined row has one row of it, and sorts by it. Of
 * a nullable side it doesn't: a row far down, once it finds a partner, takes the row with NULLs away from the top.
 * It does not hold where rows are counted together (GROUP BY, DISTINCT) or look at each other (window functions), nor with
 * fewer rows than the limit: then any row may enter.
 */
import { asKind, asList, asText, asWords, isTree, type Tree } from './ast.ts';
import { canonical, type Family } from './canonical.ts';
import type { CatalogColumn } from './catalog.ts';
import { familyOf } from './conditions.ts';
import type { Side } from './from.ts';
import { hasWindow, type Output } from './outputs.ts';
import { parameterText } from './predicate-template.ts';
import type { Predicate } from './read-set.ts';
import type { ColumnNode, Reference } from './scope.ts';

export interface TopN {
  readonly reference: Reference;
  /** By which the answer is sorted first. */
  readonly column: CatalogColumn;
  readonly isDescending: boolean;
  readonly nullsFirst: boolean;
  readonly limit: { readonly text: string } | { readonly parameter: number };
  /** Of the column in the answer, from 0. */
  readonly position: number;
}

/** What came back. */
export interface TopRows {
  readonly rowCount: number;
  /** The value of the column that sorts, in the last row, as PostgreSQL sent it; undefined if it is not known. */
  readonly boundary: string | null | undefined;
}

/** Their text is exact under any setting (that of floats is not), or else not recognised. */
const EXACT: ReadonlySet<Family | undefined> = new Set(['number', 'date', 'timestamp', 'timestamptz', 'uuid'] as const);

/** @param targets - the columns of the answer, `*` written out */
export function findTopN(
  select: Tree,
  side: Side,
  columns: ReadonlyMap<Tree, ColumnNode | undefined>,
  targets: readonly Output[] | undefined,
): TopN | undefined {
  const limit = readLimit(select.limitCount);
  if (!limit || !targets) return undefined;
  if (select.groupClause || select.havingClause || select.distinctClause || hasWindow(select)) return undefined;
  const sort = asKind(asList(select.sortClause)[0], 'SortBy');
  if (!sort || sort.useOp !== undefined) return undefined;
  const node = sortedBy(sort.node, columns, targets);
  if (!node || side.members.get(node.reference) !== false || node.reference.table === undefined) return undefined;
  const { column, reference } = node;
  if (column.generated || !EXACT.has(familyOf(column))) return undefined;
  const position = targets.findIndex((target) => target.node === node);
  if (position === -1) return undefined;
  const isDescending = sort.sortby_dir === 'SORTBY_DESC';
  const nullsFirst =
    sort.sortby_nulls === 'SORTBY_NULLS_FIRST' || (isDescending && sort.sortby_nulls !== 'SORTBY_NULLS_LAST');
  return { reference, column, isDescending, nullsFirst, limit, position };
}

/**
 * The conditions of which a row must satisfy one to matter; undefined if all rows do.
 * @param present - conditions that it satisfies anyway
 */
export function boundsOf(
  top: TopN,
  parameters: readonly unknown[],
  rows: TopRows,
  present: readonly Predicate[],
): readonly Predicate[] | undefined {
  const { column, isDescending, nullsFirst } = top;
  const { name, type } = column;
  const text = 'text' in top.limit ? top.limit.text : parameterText(parameters[top.limit.parameter - 1]);
  if (text === undefined || text === null || !/^[1-9]\d{0,9}$/.test(text) || rows.rowCount < Number(text)) {
    return undefined;
  }
  const isNull: Predicate = { kind: 'null', column: name };
  if (rows.boundary === null) return nullsFirst ? [isNull] : undefined;
  const value = rows.boundary === undefined ? undefined : canonical(type, rows.boundary);
  if (value === undefined) return undefined;
  const bound: Predicate = { kind: 'range', column: name, type, operator: isDescending ? '>=' : '<=', value };
  const mayBeNull =
    nullsFirst &&
    !column.notNull &&
    present.every((predicate) => predicate.column !== name || predicate.kind === 'null');
  return mayBeNull ? [bound, isNull] : [bound];
}

function readLimit(value: unknown): TopN['limit'] | undefined {
  const parameter = asKind(value, 'ParamRef');
  if (parameter) return { parameter: Number(parameter.number ?? 0) };
  const constant = asKind(value, 'A_Const');
  return isTree(constant?.ival) ? { text: String(constant.ival.ival ?? 0) } : undefined;
}

/** In ORDER BY a bare name is that of a column of the answer, if there is one, and a number is its position. */
function sortedBy(
  expression: unknown,
  columns: ReadonlyMap<Tree, ColumnNode | undefined>,
  targets: readonly Output[],
): ColumnNode | undefined {
  const constant = asKind(expression, 'A_Const');
  if (isTree(constant?.ival)) return targets[Number(constant.ival.ival ?? 0) - 1]?.node;
  const reference = asKind(expression, 'ColumnRef');
  const words = reference && asWords(reference.fields);
  if (!reference || !words) return undefined;
  if (words.length > 1) return columns.get(reference);
  const [name] = words;
  // One without a name that is known here may have this one.
  if (targets.some((target) => target.name === undefined)) return undefined;
  const named = targets.filter((target) => target.name === asText(name));
  if (named.length === 0) return columns.get(reference);
  return named.every(({ node }) => node === named[0]?.node) ? named[0]?.node : undefined;
}
