/**
 * The second walk: SELECT by SELECT, with scopes. It finds the references to tables, which of their columns occur, and what
 * conditions say of them. It visits every expression; only the conditions of WHERE and ON say something, the rest only reads.
 */
import { alternativesOf, applyAlternatives } from './alternatives.ts';
import { asKind, asList, asText, asWords, isStar, isTree, type Tree } from './ast.ts';
import { findFamily } from './canonical.ts';
import type { CatalogTable } from './catalog.ts';
import { type Recogniser, recognise } from './conditions.ts';
import { EXPLAINED_MAX, noteObstacle, noteObstacles } from './find-obstacles.ts';
import { EMPTY_SIDE, scopeOf, walkFrom } from './from.ts';
import type { Names } from './names.ts';
import { expandTargets, type Outputs, outputsOf, outputsOfSetOperation } from './outputs.ts';
import { acceptsNull, parametersOf } from './predicate-template.ts';
import type { Finding } from './refusal.ts';
import {
  type ColumnNode,
  createColumnNode,
  createDerivedReference,
  type Reference,
  resolveColumn,
  type Scope,
  type TableReference,
} from './scope.ts';
import { createTimeWords, isOfTimelessFunction, TIMELESS, type TimeWords } from './time-words.ts';
import { findTopN, type TopN } from './top-n.ts';

/** The CTEs that are visible at a place, innermost first. */
export interface Ctes {
  readonly name: string;
  /** Undefined for one that may refer to itself. */
  readonly outputs: Outputs | undefined;
  /** What each reference to it makes of its outputs. */
  readonly uses: Outputs[];
  readonly parent: Ctes | undefined;
}

/** Where a part of a statement stands. */
export interface Place {
  readonly scope: Scope | undefined;
  readonly ctes: Ctes | undefined;
}

/** What becomes of a SELECT: its rows are used further, or only whether there are any, or they are the answer. */
export type Asked = 'rows' | 'existence' | 'answer' | 'unknown';

export type FoundTable = { readonly kind: 'table' | 'view'; readonly table: CatalogTable };

/** What the walk of a statement finds; shared with the walks of the views that it names. */
export interface Found {
  readonly findings: Finding[];
  readonly references: TableReference[];
  /** All CTEs that were met, with their uses. */
  readonly ctes: Ctes[];
  /** Columns to which a condition was put: where the carrying begins. */
  readonly pinned: Set<ColumnNode>;
  /** RangeVar nodes that were accounted for. */
  readonly seen: Set<Tree>;
  /** For each parameter, the families as which it is used; `undefined` members stand for no particular one. */
  readonly parameterFamilies: Map<number, (string | undefined)[]>;
  conditionCount: number;
  /** Conditions of which was asked why they say nothing. */
  explainedCount: number;
  /** Text of a column may be read as the name of the current time. */
  readsTimeWords: boolean;
  /** Parameters that are read as times, whatever else they are used as. */
  readonly timeParameters: Set<number>;
  /** Set if the answer is the top of a table. */
  topN: TopN | undefined;
}

export interface Walk extends Omit<Found, 'conditionCount' | 'explainedCount' | 'topN' | 'readsTimeWords'> {
  readonly names: Names;
  readonly time: TimeWords;
  /** Resolves a table's name; notes it if it can't be followed, or is a view. Undefined when there is nothing to refer to. */
  table(schema: string | undefined, name: string): FoundTable | undefined;
  /** Walks the SELECT of a view, by the rules of names that hold there. */
  view(table: CatalogTable): Outputs | undefined;
  /** Walks the policies of a table, if its row-level security applies. */
  secured(reference: TableReference): void;
  /** Walks a SELECT; returns its columns if it is asked for rows and they are known. */
  select(node: Tree, place: Place, asked: Asked): Outputs | undefined;
  /** Visits an expression: everything in it is read. */
  visit(value: unknown, place: Place, isOutputAllowed?: boolean): void;
  /** Visits a condition, and takes what it says of the references that it may narrow. */
  condition(expression: unknown, place: Place, narrowed: ReadonlyMap<Reference, boolean>): void;
  equate(left: ColumnNode, right: ColumnNode, narrowed: ReadonlyMap<Reference, boolean>): void;
  /** `left IN (SELECT right …)`. */
  equateRows(left: ColumnNode, right: ColumnNode, narrowed: ReadonlyMap<Reference, boolean>): void;
}

/** More conditions than this in a statement are left out: coarse, never slow. */
const CONDITIONS_MAX = 1_000;
const NO_SCOPE: Scope = scopeOf(EMPTY_SIDE, undefined);

/** What a walk asks of the catalog. */
export interface WalkHost {
  table(walk: Walk, schema: string | undefined, name: string): FoundTable | undefined;
  view(walk: Walk, table: CatalogTable): Outputs | undefined;
  secured(walk: Walk, reference: TableReference): void;
}

export function createFound(): Found {
  return {
    findings: [],
    references: [],
    ctes: [],
    pinned: new Set(),
    seen: new Set(),
    parameterFamilies: new Map(),
    conditionCount: 0,
    explainedCount: 0,
    readsTimeWords: false,
    timeParameters: new Set(),
    topN: undefined,
  };
}

export function createWalk(names: Names, host: WalkHost, found: Found): Walk {
  const columns = new Map<Tree, ColumnNode | undefined>();
  const subselects = new Map<Tree, Outputs>();
  const recogniser: Recogniser = { names, columns, subselects };

  const noteParameter = (number: number, family: string | undefined): void => {
    const families = walk.parameterFamilies.get(number);
    if (families) families.push(family);
    else walk.parameterFamilies.set(number, [family]);
  };

  const explain = (condition: unknown, told?: ReadonlySet<Reference>): void => {
    if (++found.explainedCount <= EXPLAINED_MAX) noteObstacles(recogniser, condition, told);
  };

  /** Notes parameters that are used in a way that tells their type. One that is used in any other way is told by its count. */
  const noteParameters = (kind: string, node: Tree): void => {
    if (kind === 'TypeCast') {
      const parameter = asKind(node.arg, 'ParamRef');
      const type = parameter && isTree(node.typeName) ? names.findType(node.typeName) : undefined;
      const family = type && !type.hasModifier ? findFamily(type.base) : undefined;
      if (parameter && type && family)
        noteParameter(Number(parameter.number ?? 0), type.isArray ? `${family}[]` : family);
    } else if (kind === 'NullTest') {
      const parameter = asKind(node.arg, 'ParamRef');
      if (parameter) noteParameter(Number(parameter.number ?? 0), undefined);
    } else {
      const casts = castParameters(node);
      for (const condition of recognise(recogniser, { A_Expr: node })) {
        if (condition.kind !== 'predicate') continue;
        const family = findFamily(condition.node.column.type);
        for (const number of parametersOf(condition.template)) {
          if (casts.has(number)) continue; // noted at the cast
          noteParameter(number, condition.template.kind === 'in array' ? `${family}[]` : family);
        }
      }
    }
  };

  const walk: Walk = {
    ...found,
    names,
    time: createTimeWords(names, columns, (parameter) => found.timeParameters.add(parameter)),
    table: (schema, name) => host.table(walk, schema, name),
    view: (table) => host.view(walk, table),
    secured: (reference) => host.secured(walk, reference),

    select(node, place, asked) {
      const ctes = walkWith(walk, node.withClause, place);
      const inner: Place = { scope: place.scope, ctes };
      if (node.op !== undefined && node.op !== 'SETOP_NONE') {
        const left = isTree(node.larg) ? walk.select(node.larg, inner, 'rows') : undefined;
        const right = isTree(node.rarg) ? walk.select(node.rarg, inner, 'rows') : undefined;
        visitRest(walk, node, inner, true);
        return outputsOfSetOperation(node, left, right);
      }
      const side = walkFrom(walk, asList(node.fromClause), inner);
      const here: Place = { scope: scopeOf(side, place.scope), ctes };
      // EXISTS asks for no column: `SELECT *` in it reads none, unless grouping makes the columns matter.
      const isStarIdle = asked === 'existence' && !node.groupClause && !node.havingClause && !node.distinctClause;
      for (const target of asList(node.targetList)) {
        if (!(isStarIdle && isIdleStar(target))) walk.visit(target, here);
      }
      if (node.whereClause !== undefined) walk.condition(node.whereClause, here, side.members);
      visitRest(walk, node, here, false);
      if (asked === 'answer') found.topN = findTopN(node, side, columns, expandTargets(node, side, columns));
      return asked === 'rows' ? outputsOf(node, side, columns, walk.time) : undefined;
    },

    visit(value, place, isOutputAllowed = false) {
      if (Array.isArray(value)) {
        for (const item of value) walk.visit(item, place, isOutputAllowed);
        return;
      }
      if (!isTree(value)) return;
      for (const [key, inner] of Object.entries(value)) {
        if (typeof inner !== 'object' || inner === null) continue;
        if (key === 'ColumnRef' && isTree(inner)) {
          const node = resolveColumn(walk, inner, place.scope ?? NO_SCOPE, isOutputAllowed);
          const isTimeless = node === undefined && isOfTimelessFunction(inner, place.scope);
          columns.set(inner, isTimeless ? createColumnNode(createDerivedReference(), TIMELESS) : node);
        } else if (key === 'SelectStmt' && isTree(inner)) {
          walk.select(inner, place, 'unknown');
        } else if (key === 'SubLink' && isTree(inner)) {
          walk.visit(inner.testexpr, place, isOutputAllowed);
          const subselect = asKind(inner.subselect, 'SelectStmt');
          if (!subselect) continue;
          const isExists = inner.subLinkType === 'EXISTS_SUBLINK';
          const outputs = walk.select(subselect, place, isExists ? 'existence' : 'rows');
          if (outputs) subselects.set(inner, outputs);
        } else {
          walk.visit(inner, place, isOutputAllowed);
          if ((key === 'A_Expr' || key === 'TypeCast' || key === 'NullTest') && isTree(inner))
            noteParameters(key, inner);
          if (isTree(inner) && walk.time.readIn(key, inner)) found.readsTimeWords = true;
        }
      }
    },

    condition(expression, place, narrowed) {
      walk.visit(expression, place);
      for (const conjunct of conjunctsOf(expression)) {
        if (asKind(conjunct, 'BoolExpr')?.boolop === 'OR_EXPR') {
          const alternatives = alternativesOf(recogniser, conjunct);
          const count = alternatives.reduce((sum, { conditions }) => sum + conditions.length, 0);
          if (found.conditionCount + count > CONDITIONS_MAX) {
            explain(conjunct);
            continue;
          }
          found.conditionCount += count;
          const { told, pinned } = applyAlternatives(alternatives, narrowed);
          for (const node of pinned) found.pinned.add(node);
          explain(conjunct, told);
          continue;
        }
        const conditions = recognise(recogniser, conjunct);
        if (conditions.length === 0) explain(conjunct);
        for (const condition of conditions) {
          if (++found.conditionCount > CONDITIONS_MAX) {
            if (condition.kind === 'predicate') noteObstacle(condition.node, 'conditions');
            return;
          }
          if (condition.kind === 'equal') walk.equate(condition.left, condition.right, narrowed);
          else if (condition.kind === 'in rows') walk.equateRows(condition.left, condition.right, narrowed);
          else {
            const isNullable = narrowed.get(condition.node.reference);
            if (isNullable === undefined) {
              noteObstacle(condition.node, isIn(place.scope, condition.node.reference) ? 'outer-join' : 'outer-query');
              continue;
            }
            // A row filled with NULLs passes `IS NULL`, so there it says nothing of the table's rows.
            if (isNullable && acceptsNull(condition.template)) {
              noteObstacle(condition.node, 'missing-row');
              continue;
            }
            condition.node.pins.add(condition.template);
            found.pinned.add(condition.node);
          }
        }
      }
    },

    equate(left, right, narrowed) {
      if (left === right) return;
      noteJoined(left, right);
      if (narrowed.has(right.reference)) left.carriesTo.add(right);
      if (narrowed.has(left.reference)) right.carriesTo.add(left);
    },

    /*
     * Only for a conjunct of a condition, where false and NULL are the same: `x IN (SELECT y FROM … WHERE w)` is true where
     * `EXISTS (SELECT FROM … WHERE w AND x = y)` is. So, rows whose y equals no x that matters don't matter: to the right the
     * equality carries wherever it stands, as it does within EXISTS. To the left as any equality.
     */
    equateRows(left, right, narrowed) {
      noteJoined(left, right);
      left.carriesTo.add(right);
      if (narrowed.has(left.reference)) right.carriesTo.add(left);
    },
  };
  return walk;
}

/** All fields of a SELECT that are not handled by name, whatever a newer PostgreSQL may put there. */
function visitRest(walk: Walk, node: Tree, place: Place, isSetOperation: boolean): void {
  for (const [field, value] of Object.entries(node)) {
    if (HANDLED.has(field)) continue;
    const isOutputAllowed =
      isSetOperation || field === 'sortClause' || field === 'groupClause' || field === 'distinctClause';
    walk.visit(value, place, isOutputAllowed);
  }
}

const HANDLED: ReadonlySet<string> = new Set(['withClause', 'fromClause', 'targetList', 'whereClause', 'larg', 'rarg']);

/**
 * WITH. An item sees the items before it, with RECURSIVE all of them and itself. Its body stands where the whole statement
 * stands: it does not see that statement's FROM.
 */
function walkWith(walk: Walk, clause: unknown, place: Place): Ctes | undefined {
  if (!isTree(clause)) return place.ctes;
  const items = asList(clause.ctes).map((item) => asKind(item, 'CommonTableExpr') ?? {});
  let ctes = place.ctes;
  if (clause.recursive) {
    for (const item of items) ctes = { name: asText(item.ctename), outputs: undefined, uses: [], parent: ctes };
    for (const item of items) walk.visit(item.ctequery, { scope: place.scope, ctes });
    return ctes;
  }
  for (const item of items) {
    const query = asKind(item.ctequery, 'SelectStmt');
    const outputs = query ? walk.select(query, { scope: place.scope, ctes }, 'rows') : undefined;
    ctes = { name: asText(item.ctename), outputs: outputs && named(outputs, item), uses: [], parent: ctes };
    walk.ctes.push(ctes);
  }
  return ctes;
}

/** `WITH name (columns…)` renames from the left. */
function named(outputs: Outputs, item: Tree): Outputs {
  const names = asWords(item.aliascolnames) ?? [];
  return { ...outputs, columns: outputs.columns.map((output, at) => ({ ...output, name: names[at] ?? output.name })) };
}

function conjunctsOf(expression: unknown): readonly unknown[] {
  const and = asKind(expression, 'BoolExpr');
  return and && and.boolop === 'AND_EXPR' ? asList(and.args).flatMap(conjunctsOf) : [expression];
}

/** Parameters of a comparison that stand under a cast, which tells their type better than the column does. */
function castParameters(expression: Tree): ReadonlySet<number> {
  const numbers = new Set<number>();
  const look = (value: unknown): void => {
    const cast = asKind(value, 'TypeCast');
    const parameter = asKind(cast?.arg, 'ParamRef');
    if (parameter) numbers.add(Number(parameter.number ?? 0));
    for (const kind of ['List', 'RowExpr', 'A_ArrayExpr']) {
      const list = asKind(value, kind);
      for (const item of asList(list?.items ?? list?.args ?? list?.elements)) look(item);
    }
  };
  look(expression.lexpr);
  look(expression.rexpr);
  return numbers;
}

/** Whether a reference is one of this FROM, and not of a query around it. */
function isIn(scope: Scope | undefined, reference: Reference): boolean {
  return (scope?.items ?? []).some(
    (item) =>
      item.reference === reference || [...(item.outputs?.values() ?? [])].some((node) => node.reference === reference),
  );
}

function noteJoined(...nodes: readonly ColumnNode[]): void {
  for (const { reference, column, shows } of nodes) {
    reference.joinedBy ??= column.name;
    for (const within of shows) within.reference.joinedBy ??= within.column.name;
  }
}

function isIdleStar(target: unknown): boolean {
  const value = asKind(target, 'ResTarget')?.val;
  return asKind(value, 'ColumnRef') !== undefined && isStar(value);
}
