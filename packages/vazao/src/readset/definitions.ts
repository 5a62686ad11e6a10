/** Views, policies and functions as the catalog prints them, parsed and inspected once; each use is walked anew. */
import type { Tree } from './ast.ts';
import { type Inspection, inspect } from './inspect.ts';
import type { Names } from './names.ts';
import { parseStatement } from './parse.ts';

export interface Definition {
  /** Undefined if it must not be walked; the findings say why. */
  readonly select: Tree | undefined;
  readonly inspection: Inspection;
}

export interface Definitions {
  /** With every name outside of pg_catalog qualified, as they are printed. */
  readonly names: Names;
  find(text: string): Definition;
}

export function createDefinitions(callerNames: Names): Definitions {
  const names = callerNames.withSearchPath(['pg_catalog']);
  const known = new Map<string, Definition>();
  return {
    names,
    find(text) {
      let definition = known.get(text);
      if (!definition) {
        definition = createDefinition(text, names);
        known.set(text, definition);
      }
      return definition;
    },
  };
}

/** Parses and inspects a statement; what is nested too deeply must not be walked, since the walk recurses. */
export function createDefinition(text: string, names: Names, bytesMax?: number): Definition {
  const parsed = parseStatement(text, bytesMax);
  if (!parsed.select) {
    const inspection: Inspection = {
      findings: [parsed.finding],
      usesTime: false,
      parameterUses: new Map(),
      rangeVars: new Set(),
      functions: new Set(),
      settings: new Set(),
    };
    return { select: undefined, inspection };
  }
  const inspection = inspect(parsed.select, names, bytesMax !== undefined);
  const isDeep = inspection.findings.some(({ code }) => code === 'too-complex');
  return { select: isDeep ? undefined : parsed.select, inspection };
}

/** A standard body (`RETURN …`, `BEGIN ATOMIC … END`) as a statement; a body that is a string is one. */
export function statementOf(body: string): string {
  const returned = /^\s*RETURN\s(?<expression>[\s\S]*)$/i.exec(body)?.groups?.expression;
  if (returned !== undefined) return `SELECT ${returned}`;
  return /^\s*BEGIN ATOMIC\s(?<statements>[\s\S]*?)END\s*$/i.exec(body)?.groups?.statements ?? body;
}
