/** Parsed statements and functions → what they read, by the names of one catalog. */
import type { Tree } from './ast.ts';
import { type Catalog, type CatalogCast, type CatalogFunction, type CatalogTable, mustBeLookedAt } from './catalog.ts';
import { readsOf } from './declared-function.ts';
import { createDefinition, createDefinitions, type Definition, type Definitions, statementOf } from './definitions.ts';
import type { Names } from './names.ts';
import { joinSingleUse } from './outputs.ts';
import { type Finding, worst } from './refusal.ts';
import { scopeOfTable } from './scope.ts';
import { createFound, createWalk, type FoundTable, type Walk, type WalkHost } from './select.ts';
import { createTerms, createWholeTerm, nothingRead, type TemplateParts, type TermTemplate } from './template.ts';

/** Of views within views, and policies within those. */
const DEPTH_MAX = 20;
/** Each use of a view is walked by itself, with conditions of its own. */
const EXPANSIONS_MAX = 100;

/** What the analyses of one catalog share. */
export interface Context {
  readonly names: Names;
  readonly definitions: Definitions;
  /** By function; one that is being analysed stands here as refused, which ends a recursion. */
  readonly functions: Map<CatalogFunction, TemplateParts>;
  /** The functions of operators that `=` may mean. */
  readonly equalities: ReadonlySet<CatalogFunction>;
  /** What is wrong with all statements; undefined until a first one is asked for. */
  findings: readonly Finding[] | undefined;
}

export function createContext(names: Names): Context {
  const definitions = createDefinitions(names);
  const functions = new Map<CatalogFunction, TemplateParts>();
  const equalities = new Set(
    names.findOperators(undefined, '=').flatMap(({ function: { schema, name } }) => names.findFunctions(schema, name)),
  );
  return { names, definitions, functions, equalities, findings: undefined };
}

export function findForAll(catalog: Catalog, context: Context): readonly Finding[] {
  return [...findUnusualSettings(catalog), ...findUnsureCasts(catalog.unsureCasts ?? [], context)];
}

function findUnusualSettings({ unusualSettings = [] }: Catalog): readonly Finding[] {
  return unusualSettings.map((setting) => ({
    code: 'setting',
    detail: `${setting}: under this setting statements mean something else than is understood here; set it as it is by default.`,
    impure: true,
  }));
}

/** Any expression may mean a cast without naming it, so that one which depends on more than its argument spoils all. */
function findUnsureCasts(casts: readonly CatalogCast[], context: Context): readonly Finding[] {
  const { names } = context;
  return casts.flatMap((cast): Finding[] => {
    if (names.findDeclared(cast.schema, cast.function)?.reads === 'arguments') return [];
    const isSure = (entry: CatalogFunction): boolean => {
      if (!mustBeLookedAt(entry)) return true;
      const { finding, terms, usesTime, settings } = analyzeFunction(entry, context);
      if (entry.isOpaque || entry.body === undefined || finding) return false;
      return terms.length === 0 && settings.size === 0 && !usesTime;
    };
    const overloads = names.findFunctions(cast.schema, cast.function);
    if (cast.volatility === 'immutable' && overloads.every(isSure)) return [];
    const detail = `The cast from ${cast.source} to ${cast.target}, which any expression may mean, calls ${cast.schema}.${cast.function}(), which may depend on more than its argument; declare it.`;
    return [{ code: 'function', detail, impure: cast.volatility === 'volatile' }];
  });
}

/** @param isBindable - false for the body of a function, whose parameters are not those of the statement */
export function analyze(text: string, names: Names, context: Context, isBindable: boolean): TemplateParts {
  const { select, inspection } = createDefinition(text, names);
  if (!select) return nothingRead(worst(inspection.findings));

  const found = createFound();
  const { definitions } = context;
  const rangeVars: { rangeVar: Tree; walk: () => Walk }[] = [];
  const called = new Set<CatalogFunction>();
  const parts = { usesTime: false };
  const settings = new Set<string>();
  const note = (definition: Definition, walk: () => Walk): void => {
    found.findings.push(...definition.inspection.findings);
    if (definition.inspection.usesTime) parts.usesTime = true;
    for (const name of definition.inspection.settings) settings.add(name);
    for (const rangeVar of definition.inspection.rangeVars) rangeVars.push({ rangeVar, walk });
    for (const entry of definition.inspection.functions) called.add(entry);
  };
  found.findings.push(...(context.findings ?? []));
  let depth = 0;
  let expansions = 0;
  let asOwner = 0;
  /** Walks a definition by the names that hold in it. */
  const expand = <T>(label: string, text: string, run: (walk: Walk, select: Tree) => T): T | undefined => {
    if (depth >= DEPTH_MAX || ++expansions > EXPANSIONS_MAX) {
      found.findings.push(tooMany(label));
      return undefined;
    }
    const definition = definitions.find(text);
    const inner = createWalk(definitions.names, host, found);
    note(definition, () => inner);
    if (!definition.select) return undefined;
    depth++;
    const result = run(inner, definition.select);
    depth--;
    return result;
  };
  const host: WalkHost = {
    table(walk, schema, name) {
      const resolved = findTable(walk, schema, name);
      if (resolved?.table.columns.some((column) => column.type === 'timetz')) parts.usesTime = true;
      if (resolved?.table.rowSecurity && asOwner > 0) found.findings.push(securedFor(resolved.table));
      return resolved;
    },
    view(_walk, view) {
      if (view.definition === undefined) found.findings.push(tooMany(view.name));
      if (view.asOwner) asOwner++;
      const outputs = expand(view.name, view.definition ?? 'SELECT', (inner, select) =>
        inner.select(select, NOWHERE, 'rows'),
      );
      if (view.asOwner) asOwner--;
      return outputs;
    },
    secured(_walk, reference) {
      if (!reference.table.rowSecurity?.isActive) return;
      // What a policy reads of a row is read of each row; what else it reads has terms of its own. It narrows nothing.
      for (const policy of reference.table.rowSecurity.policies) {
        expand(reference.table.name, `SELECT ${policy}`, (inner, select) =>
          inner.visit(select.targetList, { scope: scopeOfTable(reference), ctes: undefined }),
        );
      }
    },
  };
  const walk = createWalk(names, host, found);
  note({ select, inspection }, () => walk);
  walk.select(select, NOWHERE, 'answer');

  // The safety net: a reference that the walk by scopes did not come by is one to the whole table.
  const extraTerms: TermTemplate[] = [];
  const missed = rangeVars.filter(({ rangeVar }) => !found.seen.has(rangeVar));
  for (const { rangeVar, walk } of missed) {
    const table = walk().table(textOf(rangeVar, 'schemaname'), textOf(rangeVar, 'relname') ?? '');
    if (table?.kind === 'view' || table?.table.rowSecurity?.isActive) found.findings.push(tooMany(table.table.name));
    if (table?.kind === 'table') extraTerms.push(createWholeTerm(table.table, 'place'));
  }
  // What is missed may be one more use of a CTE.
  if (missed.length === 0) {
    for (const { outputs, uses } of found.ctes) {
      const [use] = uses;
      if (outputs && use && uses.length === 1) joinSingleUse(outputs, use);
    }
  }

  const families = (parameter: number): ReadonlySet<string | undefined> | undefined => {
    const noted = found.parameterFamilies.get(parameter) ?? [];
    return noted.length === inspection.parameterUses.get(parameter)
      ? new Set(noted.filter((family) => family !== undefined))
      : undefined;
  };
  const isUsable = (parameter: number): boolean => isBindable && families(parameter)?.size === 1;
  const isTimeless = (parameter: number): boolean => {
    const [family, ...others] = families(parameter) ?? [];
    const isOnly = family !== undefined && others.length === 0 && !found.timeParameters.has(parameter);
    return isOnly && TIMELESS.has(family.replace('[]', ''));
  };
  const calls = [...called].map((entry) => analyzeFunction(entry, context));
  const terms = createTerms(found.references, found.pinned, isUsable);
  const { topN } = found;
  return {
    finding: worst([...found.findings, ...calls.flatMap(({ finding }) => finding ?? [])]),
    // What a function is called with may be text of a column.
    usesTime:
      parts.usesTime ||
      found.readsTimeWords ||
      (!isBindable && found.timeParameters.size > 0) ||
      calls.some(({ usesTime }) => usesTime),
    settings: new Set([...settings, ...calls.flatMap(({ settings }) => [...settings])]),
    terms: [...terms, ...extraTerms, ...calls.flatMap(({ terms }) => terms)],
    parameterCount: Math.max(0, ...inspection.parameterUses.keys()),
    topN,
    topTerm: topN && terms[(found.references as readonly unknown[]).indexOf(topN.reference)],
    timeless: new Set([...inspection.parameterUses.keys()].filter(isTimeless)),
  };
}

const TIMELESS: ReadonlySet<string> = new Set(
  'number float4 float8 text name char bool uuid interval enum bytea bit oid pg_lsn inet cidr macaddr macaddr8 jsonb'.split(
    ' ',
  ),
);

/** What a function is declared to read; else its body and default arguments, with nothing known of its arguments. */
export function analyzeFunction(called: CatalogFunction, context: Context): TemplateParts {
  const known = context.functions.get(called);
  if (known) return known;
  const label = `${called.schema}.${called.name}()`;
  // The name of `=` is implied in its own body; what it reads counts all the same, since each statement implies it as well.
  const callsItself: Finding = {
    code: 'function',
    detail: `The function ${label} calls itself; declare it.`,
    impure: true,
  };
  context.functions.set(called, nothingRead(context.equalities.has(called) ? undefined : callsItself));
  const { names, definitions } = context;
  const analyses: TemplateParts[] = [];
  const declared = names.findDeclared(called.schema, called.name);
  if (declared) {
    for (const text of readsOf(declared)) analyses.push(asDeclared(analyze(text, names, context, false)));
  } else if (called.body) {
    const bodyNames = called.body.isQualified ? definitions.names : names;
    analyses.push(analyze(statementOf(called.body.text), bodyNames, context, false));
  }
  if (called.defaults && !declared)
    analyses.push(analyze(`SELECT ${called.defaults}`, definitions.names, context, false));
  const finding = worst(analyses.flatMap(({ finding }) => finding ?? []));
  const parts: TemplateParts = {
    ...nothingRead(finding && { ...finding, detail: `In the function ${label}: ${finding.detail}` }),
    usesTime: analyses.some(({ usesTime }) => usesTime),
    settings: new Set(analyses.flatMap(({ settings }) => [...settings])),
    terms: analyses.flatMap(({ terms }) => terms),
  };
  context.functions.set(called, parts);
  return parts;
}

function asDeclared(parts: TemplateParts): TemplateParts {
  const isWhole = (term: TermTemplate): boolean => term.grain === 'table';
  return {
    ...parts,
    terms: parts.terms.map((term) => (isWhole(term) ? createWholeTerm(term.table, 'declared') : term)),
  };
}

const NOWHERE = { scope: undefined, ctes: undefined };

function tooMany(name: string): Finding {
  return {
    code: 'too-complex',
    detail: `${name} is nested too deeply, among too many others, or has no definition.`,
    impure: true,
  };
}

function securedFor(table: CatalogTable): Finding {
  return {
    code: 'row-security',
    detail: `${table.name} has row-level security, and is read through a view of another owner: what that role sees is not known here.`,
    impure: false,
  };
}

function findTable(walk: Walk, schema: string | undefined, name: string): FoundTable | undefined {
  const table = walk.names.findTable(schema, name);
  const label = schema === undefined ? name : `${schema}.${name}`;
  if (table === 'system') {
    walk.findings.push({
      code: 'system',
      detail: `${label} belongs to the system catalog, which the feed does not carry.`,
      impure: false,
    });
    return undefined;
  }
  if (!table) {
    walk.findings.push({
      code: 'unknown-table',
      detail: `${label} is not in the catalog that was loaded; if it is new, load it again.`,
      impure: true,
    });
    return undefined;
  }
  const hidden = walk.names.findInvisible(table);
  if (hidden) {
    const code = hidden.reason;
    walk.findings.push({ code, detail: `${hidden.table.name} ${INVISIBLE[code]}`, impure: code === 'unsupported' });
  }
  return { kind: table.kind, table };
}

const INVISIBLE: Readonly<Record<NonNullable<CatalogTable['invisible']>, string>> = {
  unlogged: 'is UNLOGGED, so its changes are not in the feed; ALTER TABLE … SET LOGGED.',
  temporary: 'is a temporary table, so its changes are not in the feed.',
  foreign: 'is a foreign table: its rows change elsewhere.',
  'materialized-view': 'is a materialized view: a refresh is not in the feed; read its tables, or cache with a ttl.',
  sequence: 'is a sequence, whose changes are not in the feed.',
  system: 'belongs to the system catalog, which the feed does not carry.',
  'row-security': 'has row-level security: what a role sees of it is not known here.',
  unpublished: 'is not in the publication (or not with all of its rows and columns); ALTER PUBLICATION … ADD TABLE.',
  unsupported: 'is a kind of relation that is not understood.',
};

function textOf(node: Tree, field: string): string | undefined {
  const value = node[field];
  return typeof value === 'string' ? value : undefined;
}
