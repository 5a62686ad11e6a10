/** A statement's text, analysed: what it reads, as far as that can be said before its parameters are known. */

import { findFamily } from './canonical.ts';
import { carryPins } from './carry.ts';
import type { CatalogTable } from './catalog.ts';
import { familyOf } from './conditions.ts';
import { mentionsCurrentTime } from './inspect.ts';
import { bindPredicate, type PredicateTemplate, parametersOf, parameterText } from './predicate-template.ts';
import type { Grain, Predicate, ReadSet, Term } from './read-set.ts';
import type { Finding, Refusal } from './refusal.ts';
import type { Reference } from './scope.ts';

export interface Template {
  /** The statement only reads: proven free of writes, locks, volatile functions and changes of the session. False: unknown, or it does. */
  readonly pure: boolean;
  /** Why an answer that ran it can't be cached; undefined when it can. */
  readonly refusal: Refusal | undefined;
  /** The answer depends on the current time: it can only be cached up to a moment that the caller names. */
  readonly usesTime: boolean;
  readonly terms: readonly TermTemplate[];
  /**
   * The read set for these parameters, in PostgreSQL's text form as sent on the wire (an array as `{1,2}`), null for NULL.
   * Anything else is a value that isn't known.
   */
  bind(parameters: readonly unknown[]): ReadSet;
}

/** A term before its parameters are known. */
export interface TermTemplate {
  readonly table: CatalogTable;
  readonly columns: ReadonlySet<string> | 'all';
  readonly conditions: readonly ConditionTemplate[];
  readonly grain: Grain;
  readonly coarse: string | undefined;
}

export interface ConditionTemplate {
  readonly column: string;
  readonly type: string;
  readonly template: PredicateTemplate;
}

const MATCHED_BY_NOTHING = 'no condition names its columns';

/** The terms of a statement's references, once all conditions are known. */
export function createTerms(
  references: readonly Reference[],
  isUsable: (parameter: number) => boolean,
): TermTemplate[] {
  carryPins(references);
  return references.map((reference) => {
    const { table } = reference;
    const conditions: ConditionTemplate[] = [];
    let coarse = reference.opaque ?? MATCHED_BY_NOTHING;
    for (const node of reference.nodes.values()) {
      const { column } = node;
      for (const template of node.pins) {
        const isNullTest = template.kind === 'null' || template.kind === 'not null';
        const unusable = parametersOf(template).find((parameter) => !isUsable(parameter));
        if (column.generated) coarse = `${column.name} is a generated column, which the feed does not carry`;
        else if (unusable !== undefined)
          coarse = `$${unusable} is also used where its type can't be told; cast it the same way everywhere`;
        else if (isNullTest || familyOf(column)) conditions.push({ column: column.name, type: column.type, template });
      }
    }
    const grain = grainOf(table, conditions);
    return {
      table,
      columns: reference.all ? 'all' : reference.read,
      conditions,
      grain,
      coarse: grain === 'table' ? coarse : undefined,
    };
  });
}

/** A term for the whole of a table. */
export function createWholeTerm(table: CatalogTable, coarse: string): TermTemplate {
  return { table, columns: 'all', conditions: [], grain: 'table', coarse };
}

function grainOf(
  table: CatalogTable,
  conditions: readonly { readonly column: string; readonly template: { readonly kind: string } }[],
): Grain {
  if (conditions.length === 0) return 'table';
  const pinned = new Set(
    conditions
      .filter(({ template }) => template.kind === 'in' || template.kind === 'in array')
      .map(({ column }) => column),
  );
  return table.uniqueKeys.some((key) => key.length > 0 && key.every((column) => pinned.has(column)))
    ? 'row'
    : 'predicate';
}

export interface TemplateParts {
  readonly finding: Finding | undefined;
  readonly usesTime: boolean;
  readonly terms: readonly TermTemplate[];
  /** Whether a parameter may be read as a date or time, so that `today` in it means the current day. */
  readonly mayBeTime: (parameter: number) => boolean;
}

export function createTemplate(parts: TemplateParts): Template {
  const { finding, usesTime, terms } = parts;
  // Terms without parameters are bound once.
  const bound = terms.map((term) =>
    term.conditions.some(({ template }) => parametersOf(template).length > 0) ? undefined : bindTerm(term, []),
  );
  return {
    pure: finding === undefined || !finding.impure,
    refusal: finding && { code: finding.code, detail: finding.detail },
    usesTime,
    terms,
    bind(parameters) {
      return {
        terms: terms.map((term, at) => bound[at] ?? bindTerm(term, parameters)),
        usesTime: usesTime || parameters.some((value, at) => parts.mayBeTime(at + 1) && isTimeWord(value)),
      };
    },
  };
}

function isTimeWord(value: unknown): boolean {
  const text = parameterText(value);
  if (text !== undefined) return text !== null && mentionsCurrentTime(text);
  return !(value instanceof Uint8Array); // sent in binary, where nothing is spelt
}

function bindTerm(term: TermTemplate, parameters: readonly unknown[]): Term {
  const predicates: Predicate[] = [];
  for (const { template, column, type } of term.conditions) {
    const predicate = bindPredicate(template, column, type, parameters);
    if (predicate) predicates.push(predicate);
  }
  const isWhole = predicates.length === term.conditions.length;
  const grain = isWhole
    ? term.grain
    : grainOf(
        term.table,
        predicates.map((predicate) => ({ column: predicate.column, template: predicate })),
      );
  const coarse = grain === 'table' ? (term.coarse ?? "the value given can't be compared exactly") : undefined;
  return {
    table: term.table,
    columns: term.columns,
    predicates,
    grain,
    coarse,
    indexBy: chooseIndex(term.table, predicates),
  };
}

/** A column that is unique by itself, else the first column of a unique key, else the one with the fewest values. */
function chooseIndex(table: CatalogTable, predicates: readonly Predicate[]): Term['indexBy'] {
  let best: Extract<Predicate, { kind: 'in' }> | undefined;
  let bestRank = 3;
  for (const predicate of predicates) {
    if (predicate.kind !== 'in') continue;
    const rank =
      predicate.values.size === 0 || isUnique(table, predicate.column)
        ? 0
        : findFamily(predicate.type) === 'bool'
          ? 2
          : 1;
    if (rank < bestRank || (rank === bestRank && best && predicate.values.size < best.values.size)) {
      best = predicate;
      bestRank = rank;
    }
  }
  return best && { column: best.column, type: best.type, values: [...best.values] };
}

function isUnique(table: CatalogTable, column: string): boolean {
  return table.uniqueKeys.some((key) => key.length === 1 && key[0] === column);
}
