/** Definitions of views, parsed once; each use of one is walked anew, as what is asked of it differs. */
import type { Tree } from './ast.ts';
import type { CatalogTable } from './catalog.ts';
import { type Inspection, inspect } from './inspect.ts';
import type { Names } from './names.ts';
import { parseStatement } from './parse.ts';

export interface Views {
  /** Definitions are printed with every name outside of pg_catalog qualified. */
  readonly names: Names;
  /** Undefined for a view without a definition. */
  find(view: CatalogTable): View | undefined;
}

export interface View {
  /** Undefined if it must not be walked; the findings say why. */
  readonly select: Tree | undefined;
  readonly inspection: Inspection;
}

export function createViews(callerNames: Names): Views {
  const names = callerNames.withSearchPath(['pg_catalog']);
  const views = new Map<number, View>();
  return {
    names,
    find(view) {
      const known = views.get(view.oid);
      if (known || view.definition === undefined) return known;
      const made = createView(view.definition, names);
      views.set(view.oid, made);
      return made;
    },
  };
}

function createView(definition: string, names: Names): View {
  const parsed = parseStatement(definition);
  if (!parsed.select) {
    const inspection: Inspection = {
      findings: [parsed.finding],
      usesTime: false,
      parameterUses: new Map(),
      rangeVars: new Set(),
    };
    return { select: undefined, inspection };
  }
  const inspection = inspect(parsed.select, names);
  const isDeep = inspection.findings.some(({ code }) => code === 'too-complex');
  return { select: isDeep ? undefined : parsed.select, inspection };
}
