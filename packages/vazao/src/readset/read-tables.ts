/**
 * What a statement reads that is too long, or names too much, to be walked scope by scope: each table that it names anywhere, whole.
 * Takes some microseconds for each of its words beside the parsing.
 *
 * A name that may be a CTE's or a table's counts as the table's, a column by the name of a function as a call of it, and any
 * column may hold text that a cast to a date reads as the current day.
 */
import { asKind, asList, asText, isTree, type Tree } from './ast.ts';
import { type CatalogFunction, mustBeLookedAt } from './catalog.ts';
import { createDefinition } from './definitions.ts';
import { type Names, SYSTEM_COLUMNS, systemColumn } from './names.ts';
import { type Finding, worst } from './refusal.ts';
import { createWholeTerm, nothingRead, type TemplateParts } from './template.ts';
import { createTimeWords } from './time-words.ts';

/** Each is analysed for itself. */
const TABLES_MAX = 500;

export interface TableAnalysis {
  /** Of a statement that is short. */
  analyze(text: string): TemplateParts;
  analyzeFunction(called: CatalogFunction): TemplateParts;
}

/** @param bytesMax - a longer one is refused */
export function readTables(
  text: string,
  names: Names,
  bytesMax: number,
  { analyze, analyzeFunction }: TableAnalysis,
): TemplateParts {
  const { select, inspection } = createDefinition(text, names, bytesMax);
  if (!select) return nothingRead(worst(inspection.findings));
  const { ctes, findings, readsTimeWords } = lookThrough(select, names);
  const sources = new Set<string>();
  for (const { schemaname, relname } of inspection.rangeVars) {
    const [schema, name] = [asText(schemaname), asText(relname)];
    const table = names.findTable(schema === '' ? undefined : schema, name);
    if (table === undefined && schema === '' && ctes.has(name)) continue;
    const source = [schema, name]
      .filter((word) => word !== '')
      .map(quoteName)
      .join('.');
    // It is refused, and why is the same for others.
    if (table === undefined || table === 'system') return analyze(`SELECT * FROM ${source}`);
    sources.add(source);
  }
  if (sources.size > TABLES_MAX) {
    const detail = `The statement reads more than ${TABLES_MAX} different tables.`;
    return nothingRead({ code: 'too-complex', detail, impure: true });
  }
  const parts = [
    ...[...sources].map((source) => analyze(`SELECT * FROM ${source}`)),
    ...[...inspection.functions].map(analyzeFunction),
  ];
  const tables = new Set(parts.flatMap(({ terms }) => terms.map(({ table }) => table)));
  const all = [...inspection.findings, ...findings, ...parts.flatMap(({ finding }) => finding ?? [])];
  return {
    ...nothingRead(worst(all)),
    usesTime: inspection.usesTime || readsTimeWords || parts.some(({ usesTime }) => usesTime),
    settings: new Set([...inspection.settings, ...parts.flatMap(({ settings }) => [...settings])]),
    terms: [...tables].map((table) => createWholeTerm(table, 'length')),
    parameterCount: Math.max(0, ...inspection.parameterUses.keys()),
  };
}

interface Looks {
  readonly ctes: ReadonlySet<string>;
  readonly findings: readonly Finding[];
  readonly readsTimeWords: boolean;
}

/** Its depth has been bounded by the inspection. */
function lookThrough(select: Tree, names: Names): Looks {
  const ctes = new Set<string>();
  const findings = new Map<string, Finding>();
  const time = createTimeWords(names, new Map(), () => {});
  let readsTimeWords = false;
  const look = (value: unknown): void => {
    if (Array.isArray(value)) {
      for (const item of value) look(item);
    } else if (isTree(value)) {
      for (const [kind, node] of Object.entries(value)) {
        if (isTree(node)) {
          if (kind === 'CommonTableExpr') ctes.add(asText(node.ctename));
          if (kind === 'ColumnRef') {
            const name = asText(asKind(asList(node.fields).at(-1), 'String')?.sval);
            if (!findings.has(name)) for (const finding of findingsOf(name, names)) findings.set(name, finding);
          }
          readsTimeWords ||= time.readIn(kind, node);
        }
        look(node);
      }
    }
  };
  look(select);
  return { ctes, findings: [...findings.values()], readsTimeWords };
}

function findingsOf(column: string, names: Names): readonly Finding[] {
  if (SYSTEM_COLUMNS.has(column)) {
    return [{ code: 'system-column', detail: systemColumn(column), impure: false }];
  }
  if (!names.findFunctions(undefined, column).some(mustBeLookedAt)) return [];
  const detail = `${column} may be a call of ${column}(): the statement is too long for that to be told apart.`;
  return [{ code: 'unsupported', detail, impure: true }];
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
