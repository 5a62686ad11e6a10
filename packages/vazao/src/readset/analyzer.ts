/** Statement text → template, kept for as long as the catalog lasts. */
import { LRUCache } from 'lru-cache';
import { analyze, analyzeFunction, type Context, createContext, findForAll } from './analyze.ts';
import type { Catalog } from './catalog.ts';
import type { DeclaredFunction } from './declared-function.ts';
import {
  createLongTemplates,
  type FindLongReading,
  type LongReading,
  type LongTemplates,
  toLongReading,
} from './long-reading.ts';
import { createNames, type Names } from './names.ts';
import { LONG_STATEMENT_BYTES_MAX, STATEMENT_BYTES_MAX } from './parse.ts';
import { readTables } from './read-tables.ts';
import { worst } from './refusal.ts';
import { shortenRepeats } from './shorten-repeats.ts';
import { createTemplate, createWholeTerm, nothingRead, type Template, type TemplateParts } from './template.ts';

export const TEMPLATES_MAX_DEFAULT = 5_000;
/** Bound of the texts that are kept; templates take a few times as much. */
const TEXT_BYTES_MAX: number = 16 * 1024 * 1024;
/** Longer statements are for others to read: so long takes some tens of milliseconds to be shortened. */
const SHORTENED_LENGTH_MAX = 512 * 1024;
/** Without what repeats, for who reads at leisure. */
const LEISURE_BYTES_MAX = 1024 * 1024;
/** Templates of long statements are few, one for so many others, since each may take a megabyte. */
const TEMPLATES_FOR_A_LONG_ONE = 600;

const TOO_LONG: Template = createTemplate(
  nothingRead({
    code: 'too-complex',
    detail: 'The statement is very long; pass long lists as an array parameter, or split the statement.',
    impure: true,
  }),
);

export interface AnalyzerOptions {
  /** Templates kept. At least 1. @defaultValue {@link TEMPLATES_MAX_DEFAULT} */
  readonly templatesMax?: number | undefined;
  /** Functions for which the application vouches. @defaultValue none */
  readonly declaredFunctions?: readonly DeclaredFunction[] | undefined;
  /** Asked for statements that are too long to be analysed at once, each time that they come. @defaultValue they are refused */
  readonly findLongReading?: FindLongReading | undefined;
}

export interface Analyzer {
  /** The template of a statement's text; never throws. {@link loadParser} must have been awaited. */
  template(text: string): Template;
  /** For the same catalog along another search path, with `pg_catalog` in its place; keeps so many templates. */
  withSearchPath(searchPath: readonly string[], templatesMax: number): Analyzer;
}

/** Creates an analyzer for one state of the catalog; after a change of the schema, create another. */
export function createAnalyzer(catalog: Catalog, options: AnalyzerOptions = {}): Analyzer {
  const { declaredFunctions = [], templatesMax, findLongReading } = options;
  const longTemplateOf = createLongTemplates(catalog, findLongReading);
  return createAnalyzerOf(catalog, createNames(catalog, declaredFunctions), longTemplateOf, templatesMax);
}

function createAnalyzerOf(
  catalog: Catalog,
  names: Names,
  longTemplateOf: LongTemplates,
  templatesMax = TEMPLATES_MAX_DEFAULT,
): Analyzer {
  const context = createContext(names);
  const templates = new LRUCache<string, Template>({
    max: templatesMax,
    maxSize: TEXT_BYTES_MAX,
    sizeCalculation: (_template, text) => text.length * 2 + 200,
  });
  const longTemplates = new LRUCache<string, Template>({ max: Math.ceil(templatesMax / TEMPLATES_FOR_A_LONG_ONE) });
  const shortTemplateOf = (text: string): Template => {
    const known = templates.get(text) ?? longTemplates.get(text);
    if (known) return known;
    context.findings ??= findForAll(catalog, context);
    const template = createTemplate(guard(() => analyzeAny(text, context, LONG_STATEMENT_BYTES_MAX)));
    if (text.length <= STATEMENT_BYTES_MAX) templates.set(text, template);
    else longTemplates.set(text, template);
    return template;
  };
  return {
    template(text) {
      const template = text.length > SHORTENED_LENGTH_MAX ? TOO_LONG : shortTemplateOf(text);
      if (text.length <= STATEMENT_BYTES_MAX || template.refusal?.code !== 'too-complex') return template;
      return longTemplateOf(text, names.searchPath) ?? template;
    },
    withSearchPath: (searchPath, templatesMax) =>
      createAnalyzerOf(catalog, names.withSearchPath(searchPath), longTemplateOf, templatesMax),
  };
}

/**
 * What a statement of any length reads, as far as the tables that it names. It takes up to seconds for the longest, and so has no place on
 * an event loop that serves. {@link loadParser} must have been awaited.
 */
export function readAtLeisure(
  text: string,
  searchPath: readonly string[],
  catalog: Catalog,
  declaredFunctions: readonly DeclaredFunction[],
): LongReading {
  const context = createFullContext(catalog, createNames(catalog, declaredFunctions).withSearchPath(searchPath));
  return toLongReading(guard(() => analyzeAny(text, context, LEISURE_BYTES_MAX)));
}

/** What {@link readTables} says of any statement, however short. */
export function createTableReader(catalog: Catalog, options: AnalyzerOptions = {}): (text: string) => TemplateParts {
  const context = createFullContext(catalog, createNames(catalog, options.declaredFunctions ?? []));
  return (text) => guard(() => readTablesOf(text, context, LONG_STATEMENT_BYTES_MAX));
}

/** With what is wrong with all statements. */
function createFullContext(catalog: Catalog, names: Names): Context {
  const context = createContext(names);
  context.findings = findForAll(catalog, context);
  return context;
}

function readTablesOf(text: string, context: Context, bytesMax: number): TemplateParts {
  const { names } = context;
  const parts = readTables(text, names, bytesMax, {
    analyze: (text) => analyze(text, names, context, true),
    analyzeFunction: (called) => analyzeFunction(called, context),
  });
  return { ...parts, finding: worst([...(context.findings ?? []), ...(parts.finding ? [parts.finding] : [])]) };
}

/**
 * What is too long, or has too many operators, goes coarse: without what repeats in it, or else by the tables that it names.
 *
 * @param bytesMax - of what is parsed for its tables
 */
function analyzeAny(text: string, context: Context, bytesMax: number): TemplateParts {
  const { names } = context;
  const parts = analyze(text, names, context, true);
  if (parts.finding?.code !== 'too-complex') return parts;
  const shortened = shortenRepeats(text) ?? { text, parameterCount: undefined };
  const coarse = shortened.text === text ? parts : coarsen(analyze(shortened.text, names, context, true));
  const found = coarse.finding?.code === 'too-complex' ? readTablesOf(shortened.text, context, bytesMax) : coarse;
  return { ...found, parameterCount: shortened.parameterCount ?? found.parameterCount };
}

/** Of a text whose values were left out, and numbers by which it may name columns. */
function coarsen(parts: TemplateParts): TemplateParts {
  const terms = parts.terms.map(({ table }) => createWholeTerm(table, 'length'));
  return { ...parts, terms, topN: undefined, topTerm: undefined, timeless: new Set() };
}

/** A defect of ours must cost the caching of one statement, not the request. */
function guard(run: () => TemplateParts): TemplateParts {
  try {
    return run();
  } catch (error) {
    return nothingRead({
      code: 'unsupported',
      detail: `The analysis of the statement failed: ${String(error)}`,
      impure: true,
    });
  }
}
