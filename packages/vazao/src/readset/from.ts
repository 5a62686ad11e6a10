/**
 * FROM: what it brings into scope, and which references a condition at each place of it may narrow.
 *
 *   FROM (a LEFT JOIN b ON p) JOIN c ON q   WHERE w
 *        p narrows b only: a row of `a` that fails p stays in the result
 *        q narrows a, b and c: what fails it is gone
 *        w narrows all, likewise
 *
 * A condition that is not true for NULL also removes the rows in which `b` was filled with NULLs, and this is why q and w may
 * narrow b: a row of `b` that fails them only ever took part in joined rows that are removed, and if it were not there, the row
 * with NULLs in its place would be removed as well.
 *
 * An equality `x = y` carries what is known of x to y wherever the condition may narrow y, be x a neighbour, the preserved side,
 * or a column of an outer query: rows of y that equal no x that matters, don't matter.
 */
import { asKind, asList, asText, asWords, isTree, type Tree } from './ast.ts';
import { familyOf } from './conditions.ts';
import { createUse, type Outputs } from './outputs.ts';
import {
  type ColumnNode,
  createColumnNode,
  createDerivedReference,
  createReference,
  type Item,
  type Reference,
  readHolders,
  type Scope,
} from './scope.ts';
import type { Place, Walk } from './select.ts';

/** One side of a join, or all of FROM. */
export interface Side {
  readonly items: readonly Item[];
  /** References that a filter on top of this side may narrow; true: an outer join in it may fill the reference with NULLs. */
  readonly members: ReadonlyMap<Reference, boolean>;
  readonly merged: Scope['merged'];
  readonly natural: boolean;
}

export const EMPTY_SIDE: Side = { items: [], members: new Map(), merged: new Map(), natural: false };

export function scopeOf(side: Side, parent: Scope | undefined): Scope {
  return { items: side.items, merged: side.merged, natural: side.natural, parent };
}

/** Both sides next to each other, as by a comma. */
export function besides(left: Side, right: Side, isLeftNullable = false, isRightNullable = false): Side {
  const members = new Map<Reference, boolean>();
  for (const [reference, isNullable] of left.members) members.set(reference, isNullable || isLeftNullable);
  for (const [reference, isNullable] of right.members) members.set(reference, isNullable || isRightNullable);
  return {
    items: [...left.items, ...right.items],
    members,
    merged: new Map([...left.merged, ...right.merged]),
    natural: left.natural || right.natural,
  };
}

/** Walks all of FROM, left to right: LATERAL sees what is to its left. `place` is where the SELECT stands. */
export function walkFrom(walk: Walk, entries: readonly unknown[], place: Place): Side {
  let side = EMPTY_SIDE;
  for (const entry of entries) side = besides(side, walkEntry(walk, entry, side, place));
  return side;
}

function walkEntry(walk: Walk, entry: unknown, before: Side, place: Place): Side {
  if (!isTree(entry)) return EMPTY_SIDE;
  const [kind] = Object.keys(entry);
  const node = kind === undefined ? undefined : entry[kind];
  if (kind === undefined || !isTree(node)) return EMPTY_SIDE;
  const lateral: Place = { ...place, scope: scopeOf(before, place.scope) };
  switch (kind) {
    case 'RangeVar':
      return walkRangeVar(walk, node, place);
    case 'JoinExpr':
      return walkJoin(walk, node, before, place);
    case 'RangeSubselect': {
      const subquery = asKind(node.subquery, 'SelectStmt');
      const outputs = subquery ? walk.select(subquery, node.lateral ? lateral : place, 'rows') : undefined;
      return derivedFrom(aliasName(node) ?? '', outputs, node);
    }
    case 'RangeTableSample': {
      walk.visit(node.args, lateral);
      walk.visit(node.repeatable, lateral);
      return walkEntry(walk, node.relation, before, place);
    }
    default: {
      // Functions in FROM are LATERAL without saying so. The columns that they give are not known.
      walk.visit(entry, lateral);
      const side = derived(aliasName(node) ?? functionName(node), undefined);
      const [item] = side.items;
      if (!item || kind !== 'RangeFunction' || node.coldeflist !== undefined || walk.time.mayHold(node.functions))
        return side;
      return { ...side, items: [{ ...item, timelessNames: new Set([item.name, ...renamed([], node)]) }] };
    }
  }
}

function walkRangeVar(walk: Walk, node: Tree, place: Place): Side {
  walk.seen.add(node);
  const schema = typeof node.schemaname === 'string' ? node.schemaname : undefined;
  const name = asText(node.relname);
  const alias = aliasName(node);
  if (schema === undefined) {
    for (let at = place.ctes; at; at = at.parent) {
      if (at.name !== name) continue;
      const use = at.outputs && createUse(at.outputs);
      if (use) at.uses.push(use);
      return derivedFrom(alias ?? name, use, node);
    }
  }
  const found = walk.table(schema, name);
  if (!found) return derived(alias ?? name, undefined);
  const own = found.table.columns.map((column) => column.name);
  if (found.kind === 'view') {
    const outputs = walk.view(found.table);
    // By position: columns of the view may have been renamed.
    const isKnown = outputs?.columns.length === own.length;
    const reference = outputs?.reference ?? createDerivedReference();
    const columns = found.table.columns.map((column, at) => ({
      name: column.name,
      node: (isKnown ? outputs.columns[at]?.node : undefined) ?? createColumnNode(reference, column),
    }));
    return derivedFrom(alias ?? name, { reference, columns }, node);
  }
  const columns = renamed(own, node);
  const reference = createReference(found.table);
  walk.references.push(reference);
  walk.secured(reference);
  const item: Item = {
    name: alias ?? name,
    reference,
    hasAlias: alias !== undefined,
    columns: new Map(columns.map((visible, at) => [visible, own[at] ?? visible])),
    hasTwins: new Set(columns).size < columns.length,
  };
  return { ...EMPTY_SIDE, items: [item], members: new Map([[reference, false]]) };
}

function walkJoin(walk: Walk, node: Tree, before: Side, place: Place): Side {
  const left = walkEntry(walk, node.larg, before, place);
  const right = walkEntry(walk, node.rarg, besides(before, left), place);
  const kind = asText(node.jointype) || 'JOIN_INNER';
  const both = besides(
    left,
    right,
    kind === 'JOIN_RIGHT' || kind === 'JOIN_FULL',
    kind === 'JOIN_LEFT' || kind === 'JOIN_FULL',
  );
  const narrowed = narrowedBy(kind, left, right);
  const common = node.isNatural ? commonNames(left, right) : (asWords(node.usingClause) ?? []);
  if (!common) readAll(both);
  const using = common ?? [];
  const merged = new Map(both.merged);
  for (const name of using) {
    const leftColumn = mergedColumn(left, name);
    const rightColumn = mergedColumn(right, name);
    const family = leftColumn && walk.names.isEqualityBuiltin ? familyOf(leftColumn.column) : undefined;
    const isComparable = family !== undefined && rightColumn && family === familyOf(rightColumn.column);
    if (leftColumn && isComparable) walk.equate(leftColumn, rightColumn, narrowed);
    // That of the side whose rows all stay; of an inner join either, as they are equal. Of a full join it is one or the other.
    const isKnown = isComparable && kind !== 'JOIN_FULL';
    merged.set(name, isKnown ? (kind === 'JOIN_RIGHT' ? rightColumn : leftColumn) : undefined);
  }
  let side: Side = { ...both, merged, natural: both.natural || !common };
  if (node.quals !== undefined) walk.condition(node.quals, { ...place, scope: scopeOf(side, place.scope) }, narrowed);
  const usingAlias = isTree(node.join_using_alias) ? asText(node.join_using_alias.aliasname) : '';
  if (usingAlias !== '') side = { ...side, items: [...side.items, ...derived(usingAlias, using).items] };
  const alias = aliasName(node);
  if (alias === undefined) return side;
  // An alias of the join hides what is inside; which column is which is not followed.
  readAll(side);
  return { ...EMPTY_SIDE, items: derived(alias, undefined).items, members: side.members };
}

/** The references that the condition of a join may narrow. */
function narrowedBy(kind: string, left: Side, right: Side): ReadonlyMap<Reference, boolean> {
  if (kind === 'JOIN_INNER') return new Map([...left.members, ...right.members]);
  if (kind === 'JOIN_LEFT') return right.members;
  if (kind === 'JOIN_RIGHT') return left.members;
  return new Map();
}

/** Counts the column of a USING clause as read on this side, and returns it if it is surely one table's. */
function mergedColumn(side: Side, name: string): ColumnNode | undefined {
  const holders = side.items.filter((item) => item.columns?.has(name));
  return readHolders(holders, name, side);
}

/** The names by which NATURAL joins; undefined where a side has columns that are not known. */
function commonNames(left: Side, right: Side): readonly string[] | undefined {
  const names = visibleNames(left);
  const others = visibleNames(right);
  return names && others && [...names].filter((name) => others.has(name));
}

function visibleNames({ items, natural }: Side): ReadonlySet<string> | undefined {
  const names = new Set<string>();
  for (const { columns, hasTwins } of items) {
    if (natural || !columns || hasTwins) return undefined;
    for (const name of columns.keys()) names.add(name);
  }
  return names;
}

function readAll(side: Side): void {
  for (const reference of side.members.keys()) reference.all = true;
}

/** An entry of FROM whose insides have references of their own. */
function derived(name: string, columns: readonly string[] | undefined): Side {
  const item: Item = {
    name,
    reference: undefined,
    hasAlias: true,
    columns: columns && new Map(columns.map((column) => [column, column])),
    hasTwins: columns !== undefined && new Set(columns).size < columns.length,
  };
  return { ...EMPTY_SIDE, items: [item] };
}

/** An entry of FROM whose columns may be followed to those within. Its rows are members of the side as a table's are. */
function derivedFrom(name: string, outputs: Outputs | undefined, node: Tree): Side {
  const own = outputs && columnNames(outputs);
  const names = own && renamed(own, node);
  const side = derived(name, names);
  const [item] = side.items;
  if (!outputs || !names || !item || item.hasTwins) return side;
  const nodes = new Map<string, ColumnNode>();
  for (const [at, { node }] of outputs.columns.entries()) if (node) nodes.set(names[at] as string, node);
  return { ...side, items: [{ ...item, outputs: nodes }], members: new Map([[outputs.reference, false]]) };
}

/** Undefined unless all are known: an unknown one may be any. */
function columnNames(outputs: Outputs): readonly string[] | undefined {
  const names = outputs.columns.flatMap(({ name }) => name ?? []);
  return names.length === outputs.columns.length ? names : undefined;
}

function aliasName(node: Tree): string | undefined {
  return isTree(node.alias) ? asText(node.alias.aliasname) : undefined;
}

/** Column names after `AS alias (names…)`, which renames from the left. */
function renamed(columns: readonly string[], node: Tree): readonly string[] {
  const names = isTree(node.alias) ? (asWords(node.alias.colnames) ?? []) : [];
  return [...names, ...columns.slice(names.length)];
}

function functionName(node: Tree): string {
  const [first] = asList(node.functions);
  const call = asKind(asList(asKind(first, 'List')?.items)[0], 'FuncCall');
  return asWords(call?.funcname)?.at(-1) ?? '';
}
