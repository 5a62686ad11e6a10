/**
 * What a statement reads that is too long to be analysed on the event loop: the tables that it names. It is found in a thread of its
 * own (`db/long-statements.ts`), so all of it can be sent from one to another.
 */
import type { Catalog } from './catalog.ts';
import type { Finding } from './refusal.ts';
import { firstWordOf } from './scan-tokens.ts';
import { createTemplate, createWholeTerm, nothingRead, type Template, type TemplateParts } from './template.ts';

/** In characters. Longer ones are refused unread. */
const LONG_LENGTH_MAX: number = 2 * 1024 * 1024;

const UNKNOWN: Template = createTemplate(
  nothingRead({
    code: 'too-complex',
    detail:
      'The statement is long: which tables it names is found in a thread of its own, for one such statement at a time. Ask again.',
    impure: true,
  }),
);

export interface LongReading {
  readonly finding: Finding | undefined;
  readonly usesTime: boolean;
  readonly settings: readonly string[];
  /** Their oids. */
  readonly tables: readonly number[];
  readonly parameterCount: number;
}

/** Undefined while it is not known. The same one each time, once it is. */
export type FindLongReading = (text: string, searchPath: readonly string[]) => LongReading | undefined;

export function toLongReading({ finding, usesTime, settings, terms, parameterCount }: TemplateParts): LongReading {
  const tables = new Set(terms.map(({ table }) => table.oid));
  return { finding, usesTime, settings: [...settings], tables: [...tables], parameterCount };
}

export type LongTemplates = (text: string, searchPath: readonly string[]) => Template | undefined;

/** Templates of statements that others must read, each made once; undefined for a statement that they need not be asked for. */
export function createLongTemplates(catalog: Catalog, find: FindLongReading | undefined): LongTemplates {
  const templates = new WeakMap<LongReading, Template>();
  return (text, searchPath) => {
    if (!find || text.length > LONG_LENGTH_MAX || !mayBeSelect(text)) return undefined;
    const reading = find(text, searchPath);
    if (!reading) return UNKNOWN;
    let template = templates.get(reading);
    if (!template) {
      template = createTemplate(toParts(reading, catalog));
      templates.set(reading, template);
    }
    return template;
  };
}

/** A long text is most often one that writes. */
function mayBeSelect(text: string): boolean {
  return /^(?:select|with|values|table)$/i.test(firstWordOf(text));
}

function toParts(
  { finding, usesTime, settings, tables, parameterCount }: LongReading,
  catalog: Catalog,
): TemplateParts {
  const oids = new Set(tables);
  return {
    ...nothingRead(finding),
    usesTime,
    settings: new Set(settings),
    terms: catalog.tables.filter(({ oid }) => oids.has(oid)).map((table) => createWholeTerm(table, 'length')),
    parameterCount,
  };
}
