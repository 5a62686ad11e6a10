/**
 * What a name means at a place in a statement. Names are resolved as PostgreSQL does, innermost scope first. Where that can't
 * be told for sure, the column counts as read wherever it may be, and nothing is concluded from it.
 */
import type { Alternative } from './alternatives.ts';
import { asKind, asList, asText, asWords, type Tree } from './ast.ts';
import { type CatalogColumn, type CatalogTable, mustBeLookedAt } from './catalog.ts';
import { type Names, SYSTEM_COLUMNS, systemColumn } from './names.ts';
import type { Obstacle } from './obstacle.ts';
import type { PredicateTemplate } from './predicate-template.ts';
import type { Finding } from './refusal.ts';

/** What FROM names at one place: a table, or a sub-select, CTE or view, which makes no term but passes on what is known. */
export interface Reference {
  /** Undefined unless it is a table. */
  readonly table: CatalogTable | undefined;
  /** Columns that occur in the statement for this reference. */
  readonly read: Set<string>;
  /** Whether all columns count as read. */
  all: boolean;
  readonly nodes: Map<string, ColumnNode>;
  /** Conditions with OR, in the form in which they matter to the reference. */
  readonly alternatives: (readonly Alternative[])[];
  /** For people: why conditions that name the reference narrow nothing. Bounded. */
  readonly obstacles: Obstacle[];
  /** For people: a column that equals another. */
  joinedBy: string | undefined;
}

/** A reference to a table in a statement; it becomes a term. */
export interface TableReference extends Reference {
  readonly table: CatalogTable;
}

/** A column of a reference: what its value is known to be, and where that knowledge may be carried. */
export interface ColumnNode {
  readonly reference: Reference;
  readonly column: CatalogColumn;
  readonly pins: Set<PredicateTemplate>;
  /** Columns that equal this one in every row that matters to them. */
  readonly carriesTo: Set<ColumnNode>;
  /** Of a sub-select, CTE or view: the columns within that it shows; for people. */
  readonly shows: readonly ColumnNode[];
}

/** What one entry of FROM adds to the names in scope. */
export interface Item {
  /** Empty for a sub-select without an alias. */
  readonly name: string;
  /** Set for a table; undefined for a sub-select, CTE, function, view or aliased join, whose insides have terms of their own. */
  readonly reference: TableReference | undefined;
  /** For a sub-select, CTE or view, by visible name: the columns of which more is known than their name. */
  readonly outputs?: ReadonlyMap<string, ColumnNode> | undefined;
  /** Whether the table was given an alias, and so can't be named with its schema. */
  readonly hasAlias: boolean;
  /** Visible column names in order, with the table's own name for each; undefined where they are not known. */
  readonly columns: ReadonlyMap<string, string> | undefined;
  /** Two columns have one name: it can't be referred to, but `*` has both, so that `columns` does not say what `*` is. */
  readonly hasTwins: boolean;
  /** Of a function: names that its column may be called by, if no text of a column is in it; see `time-words.ts`. */
  readonly timelessNames?: ReadonlySet<string> | undefined;
}

export interface Scope {
  readonly items: readonly Item[];
  /** Columns merged by USING or NATURAL: the column that the unqualified name surely is, if it is one. */
  readonly merged: ReadonlyMap<string, ColumnNode | undefined>;
  /** Whether a NATURAL join merges columns that are not known. */
  readonly natural: boolean;
  readonly parent: Scope | undefined;
}

export function createReference(table: CatalogTable): TableReference {
  return { ...createDerivedReference(), table };
}

/** The rows of a sub-select, CTE or view. Its columns are not kept in `nodes`: several may have one name. */
export function createDerivedReference(): Reference {
  return {
    table: undefined,
    read: new Set(),
    all: false,
    nodes: new Map(),
    alternatives: [],
    obstacles: [],
    joinedBy: undefined,
  };
}

export function createColumnNode(
  reference: Reference,
  column: CatalogColumn,
  shows: readonly ColumnNode[] = [],
): ColumnNode {
  return { reference, column, pins: new Set(), carriesTo: new Set(), shows };
}

/** Within a policy of a table: its columns, by its name. */
export function scopeOfTable(reference: TableReference): Scope {
  const { name, columns } = reference.table;
  const item: Item = {
    name,
    reference,
    hasAlias: false,
    columns: new Map(columns.map((column) => [column.name, column.name])),
    hasTwins: false,
  };
  return { items: [item], merged: new Map(), natural: false, parent: undefined };
}

/** What `resolveColumn` needs besides the scope. */
export interface Resolver {
  readonly names: Names;
  readonly findings: Finding[];
}

/**
 * Resolves a ColumnRef and counts what it reads. Returns the column if it is surely that one of a table, undefined otherwise.
 * `isOutputAllowed`: in ORDER BY, GROUP BY and DISTINCT ON a name that is no column is that of an output column, whose
 * expression is visited anyway.
 */
export function resolveColumn(
  resolver: Resolver,
  node: Tree,
  scope: Scope,
  isOutputAllowed: boolean,
): ColumnNode | undefined {
  const fields = asList(node.fields);
  const last = fields.at(-1);
  if (asKind(last, 'A_Star')) {
    readStar(asWords(fields.slice(0, -1)) ?? [], resolver, scope);
    return undefined;
  }
  const words = fields.map((field) => asText(asKind(field, 'String')?.sval));
  const name = words.at(-1) ?? '';
  if (words.length === 1) return resolveUnqualified(resolver, name, scope, isOutputAllowed);
  const items = findItems(resolver.names, words.slice(0, -1), scope);
  const [item] = items;
  if (!item) {
    readEverything(scope);
    return undefined;
  }
  if (items.length > 1) {
    for (const { reference } of items) if (reference) reference.all = true;
    return undefined;
  }
  return resolveInItem(resolver, item, name);
}

function resolveInItem(resolver: Resolver, item: Item, name: string): ColumnNode | undefined {
  const { reference, columns } = item;
  if (columns?.has(name)) return readColumn(item, name);
  if (reference) {
    reference.all = true;
    if (noteSystemColumn(resolver, name)) return undefined;
  }
  // `alias.f` where f is no column is the call f(alias), which reads the whole row; where there is no such function, an error.
  const mayBeCalled = resolver.names
    .findFunctions(undefined, name)
    .some((entry) => mustBeLookedAt(entry) && (columns !== undefined || entry.schema !== 'pg_catalog'));
  if (mayBeCalled) {
    resolver.findings.push({
      code: 'unsupported',
      detail: `${item.name}.${name} may be a call of ${name}(); write it as one.`,
      impure: true,
    });
  }
  return undefined;
}

function resolveUnqualified(
  resolver: Resolver,
  name: string,
  scope: Scope,
  isOutputAllowed: boolean,
): ColumnNode | undefined {
  // Once a scope has passed whose columns are not all known, the name may be one of those, or of any scope further out.
  let isCertain = true;
  let isFound = false;
  for (let at: Scope | undefined = scope; at; at = at.parent) {
    const holders = at.items.filter((item) => item.columns?.has(name));
    const node = readHolders(holders, name, at);
    if (holders.length > 0) {
      isFound = true;
      if (isCertain) return node;
    } else if (at.natural || at.items.some((item) => item.columns === undefined)) isCertain = false;
  }
  const isSystem = noteSystemColumnIn(resolver, name, scope);
  // No column at all: the whole row of that alias.
  const rows = findItems(resolver.names, [name], scope);
  for (const { reference } of rows) if (reference) reference.all = true;
  if (!isFound && isCertain && !isSystem && rows.length === 0 && !isOutputAllowed) readEverything(scope);
  return undefined;
}

/** The column that an unqualified name is, which counts as read on each item that has it; undefined: cannot tell. */
export function readHolders(
  holders: readonly Item[],
  name: string,
  { merged, natural }: Pick<Scope, 'merged' | 'natural'>,
): ColumnNode | undefined {
  const nodes = holders.map((item) => readColumn(item, name));
  if (natural) return undefined;
  // Two holders in one scope: merged by USING, or an error.
  return merged.has(name) ? merged.get(name) : holders.length === 1 ? nodes[0] : undefined;
}

function readColumn(item: Item, visibleName: string): ColumnNode | undefined {
  const { reference, columns } = item;
  if (item.outputs) return item.outputs.get(visibleName); // read where it was written down
  const name = columns?.get(visibleName);
  if (!reference || name === undefined) return undefined;
  const column = reference.table.columns.find((column) => column.name === name);
  if (!column) return undefined;
  reference.read.add(name);
  // The feed does not carry a generated column, so a change of it must be suspected behind a change of any other.
  if (column.generated) reference.all = true;
  let node = reference.nodes.get(name);
  if (!node) {
    node = createColumnNode(reference, column);
    reference.nodes.set(name, node);
  }
  return node;
}

/** The column of an item by its visible name, counted as read. */
export function readColumnOf(item: Item, name: string): ColumnNode | undefined {
  return readColumn(item, name);
}

function readStar(words: readonly string[], resolver: Resolver, scope: Scope): void {
  const items = words.length === 0 ? scope.items : findItems(resolver.names, words, scope);
  for (const { reference } of items) if (reference) reference.all = true;
  if (words.length > 0 && items.length === 0) readEverything(scope);
}

/** Items of the innermost scope that has any of that name. */
function findItems(names: Names, words: readonly string[], scope: Scope): readonly Item[] {
  const name = words.at(-1);
  const schema = words.at(-2);
  if (words.length > 2) return [];
  const table = schema === undefined ? undefined : names.findTable(schema, name ?? '');
  for (let at: Scope | undefined = scope; at; at = at.parent) {
    const items = at.items.filter(
      (item) =>
        item.name === name &&
        (schema === undefined || (!item.hasAlias && (!item.reference || item.reference.table === table))),
    );
    if (items.length > 0) return items;
  }
  return [];
}

/** The last resort: whatever is in scope is read whole. */
export function readEverything(scope: Scope): void {
  for (let at: Scope | undefined = scope; at; at = at.parent) {
    for (const { reference } of at.items) if (reference) reference.all = true;
  }
}

/** Whether the name is that of a system column. Those change by VACUUM, row locks and updates that change nothing else. */
function noteSystemColumn(resolver: Resolver, name: string): boolean {
  if (SYSTEM_COLUMNS.has(name)) {
    resolver.findings.push({
      code: 'system-column',
      detail: systemColumn(name),
      impure: false,
    });
    return true;
  }
  return name === 'tableoid'; // changes only with the row's whole life
}

function noteSystemColumnIn(resolver: Resolver, name: string, scope: Scope): boolean {
  if (!noteSystemColumn(resolver, name)) return false;
  readEverything(scope);
  return true;
}
