/** Statement text → template, kept for as long as the catalog lasts. */
import { LRUCache } from 'lru-cache';
import type { Tree } from './ast.ts';
import type { Catalog, CatalogTable } from './catalog.ts';
import { inspect } from './inspect.ts';
import { createNames, type Names } from './names.ts';
import { joinSingleUse } from './outputs.ts';
import { parseStatement, STATEMENT_BYTES_MAX } from './parse.ts';
import type { Finding } from './refusal.ts';
import { worst } from './refusal.ts';
import { createFound, createWalk, type FoundTable, type Walk, type WalkHost } from './select.ts';
import { createTemplate, createTerms, createWholeTerm, type Template, type TermTemplate } from './template.ts';
import { createViews, type Views } from './views.ts';

export const TEMPLATES_MAX_DEFAULT = 5_000;
/** Bound of the texts that are kept; templates take a few times as much. */
const TEXT_BYTES_MAX: number = 16 * 1024 * 1024;
const VIEW_DEPTH_MAX = 20;
/** Each use of a view is walked by itself, with conditions of its own. */
const VIEW_EXPANSIONS_MAX = 100;

export interface AnalyzerOptions {
  /** Templates kept. At least 1. @defaultValue {@link TEMPLATES_MAX_DEFAULT} */
  readonly templatesMax?: number | undefined;
  /**
   * Functions (`name` or `schema.name`) for which the application vouches: although not IMMUTABLE, they read no table, write
   * nothing, and depend on their arguments only. @defaultValue none
   */
  readonly declaredFunctions?: readonly string[] | undefined;
}

export interface Analyzer {
  /** The template of a statement's text; never throws. {@link loadParser} must have been awaited. */
  template(text: string): Template;
}

/** Creates an analyzer for one state of the catalog; after a change of the schema, create another. */
export function createAnalyzer(catalog: Catalog, options: AnalyzerOptions = {}): Analyzer {
  const names = createNames(catalog, options.declaredFunctions ?? []);
  const views = createViews(names);
  const templates = new LRUCache<string, Template>({
    max: options.templatesMax ?? TEMPLATES_MAX_DEFAULT,
    maxSize: TEXT_BYTES_MAX,
    sizeCalculation: (_template, text) => text.length * 2 + 200,
  });

  return {
    template(text) {
      const known = templates.get(text);
      if (known) return known;
      const template = createTemplate(guard(() => analyze(text, names, views)));
      if (text.length <= STATEMENT_BYTES_MAX) templates.set(text, template);
      return template;
    },
  };
}

interface Analysis {
  readonly finding: Finding | undefined;
  readonly usesTime: boolean;
  readonly terms: readonly TermTemplate[];
  readonly mayBeTime: (parameter: number) => boolean;
}

function failed(finding: Finding): Analysis {
  return { finding, usesTime: false, terms: [], mayBeTime: () => true };
}

/** A defect of ours must cost the caching of one statement, not the request. */
function guard(run: () => Analysis): Analysis {
  try {
    return run();
  } catch (error) {
    return failed({
      code: 'unsupported',
      detail: `The analysis of the statement failed: ${String(error)}`,
      impure: true,
    });
  }
}

function analyze(text: string, names: Names, views: Views): Analysis {
  const parsed = parseStatement(text);
  if (!parsed.select) return failed(parsed.finding);
  const inspection = inspect(parsed.select, names);
  const deep = inspection.findings.find((finding) => finding.code === 'too-complex');
  if (deep) return failed(deep); // the second walk recurses

  const found = createFound();
  const rangeVars = [...inspection.rangeVars].map((rangeVar) => ({ rangeVar, walk: (): Walk => walk }));
  let usesTime = inspection.usesTime;
  let depth = 0;
  let expansions = 0;
  const host: WalkHost = {
    table(walk, schema, name) {
      const found = findTable(walk, schema, name);
      if (found?.table.columns.some((column) => column.type === 'timetz')) usesTime = true;
      return found;
    },
    view(_walk, table) {
      const definition = views.find(table);
      if (!definition || depth >= VIEW_DEPTH_MAX || ++expansions > VIEW_EXPANSIONS_MAX) {
        found.findings.push(tooManyViews(table));
        return undefined;
      }
      found.findings.push(...definition.inspection.findings);
      if (definition.inspection.usesTime) usesTime = true;
      if (!definition.select) return undefined;
      const inner = createWalk(views.names, host, found);
      for (const rangeVar of definition.inspection.rangeVars) rangeVars.push({ rangeVar, walk: () => inner });
      depth++;
      const outputs = inner.select(definition.select, { scope: undefined, ctes: undefined }, 'rows');
      depth--;
      return outputs;
    },
  };
  const walk = createWalk(names, host, found);
  walk.select(parsed.select, { scope: undefined, ctes: undefined }, 'answer');

  // The safety net: a reference that the walk by scopes did not come by is one to the whole table.
  const extraTerms: TermTemplate[] = [];
  const missed = rangeVars.filter(({ rangeVar }) => !found.seen.has(rangeVar));
  for (const { rangeVar, walk } of missed) {
    const table = walk().table(textOf(rangeVar, 'schemaname'), textOf(rangeVar, 'relname') ?? '');
    if (table?.kind === 'view') found.findings.push(tooManyViews(table.table));
    if (table?.kind === 'table')
      extraTerms.push(createWholeTerm(table.table, 'it is named in a place that is not understood'));
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
  const isUsable = (parameter: number): boolean => families(parameter)?.size === 1;
  return {
    finding: worst([...inspection.findings, ...found.findings]),
    usesTime,
    terms: [...createTerms(found.references, found.pinned, isUsable), ...extraTerms],
    mayBeTime(parameter) {
      const known = families(parameter);
      return (
        known?.size !== 1 ||
        ![...known].every((family) => family !== undefined && TIMELESS.has(family.replace('[]', '')))
      );
    },
  };
}

const TIMELESS: ReadonlySet<string> = new Set(['number', 'float8', 'text', 'bool', 'uuid', 'enum']);

function tooManyViews(view: CatalogTable): Finding {
  return {
    code: 'too-complex',
    detail: `The view ${view.name} is nested too deeply, among too many others, or has no definition.`,
    impure: true,
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
