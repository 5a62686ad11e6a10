/** A statement's text, analysed: what it reads, as far as that can be said before its parameters are known. */

import { findFamily } from './canonical.ts';
import { carryPins } from './carry.ts';
import type { CatalogColumn, CatalogTable } from './catalog.ts';
import { familyOf } from './conditions.ts';
import { noteInside } from './find-obstacles.ts';
import { mentionsCurrentTime } from './inspect.ts';
import { addObstacle, describeObstacle, type Obstacle, type ObstacleCode } from './obstacle.ts';
import {
  bindPredicate,
  type Guard,
  mayHold,
  type PredicateTemplate,
  parametersOf,
  parameterText,
  whyUnbound,
} from './predicate-template.ts';
import type { Grain, Predicate, ReadSet, Term } from './read-set.ts';
import type { Finding, Refusal } from './refusal.ts';
import type { ColumnNode, TableReference } from './scope.ts';
import { boundsOf, type TopN, type TopRows } from './top-n.ts';

export interface Template {
  /** The statement only reads: proven free of writes, locks, volatile functions and changes of the session. False: unknown, or it does. */
  readonly pure: boolean;
  /** Why an answer that ran it can't be cached; undefined when it can. */
  readonly refusal: Refusal | undefined;
  /** The answer depends on the current time: it can only be cached up to a moment that the caller names. */
  readonly usesTime: boolean;
  /**
   * Settings of the application (`app.tenant`, in small letters) that it reads by `current_setting`, itself or by a policy, a view
   * or a function. The answer is for their values alone: whoever keeps it must know that they were set for this statement.
   */
  readonly settings: readonly string[];
  readonly terms: readonly TermTemplate[];
  /** The greatest number of a parameter in it. */
  readonly parameterCount: number;
  /**
   * The read set for these parameters, in PostgreSQL's text form as sent on the wire (an array as `{1,2}`), null for NULL.
   * Anything else is a value that isn't known.
   */
  bind(parameters: readonly unknown[]): ReadSet;
  /** Set if the answer is the top of a table, so that {@link Template.narrow} may narrow the read set. */
  readonly topN: TopN | undefined;
  /** The term that is narrowed so. */
  readonly topTerm: TermTemplate | undefined;
  /** The read set for these parameters, once it is known what came back. */
  narrow(parameters: readonly unknown[], rows: TopRows): ReadSet;
}

/** A term before its parameters are known. */
export interface TermTemplate {
  readonly table: CatalogTable;
  readonly columns: ReadonlySet<string> | 'all';
  readonly conditions: readonly ConditionTemplate[];
  /** Of each list one must hold besides. */
  readonly alternatives: readonly (readonly AlternativeTemplate[])[];
  readonly grain: Grain;
  /** Why it is not finer; of the whole table at least one. Bounded. */
  readonly obstacles: readonly Obstacle[];
}

export interface ConditionTemplate {
  readonly column: string;
  readonly type: string;
  readonly template: PredicateTemplate;
}

export interface AlternativeTemplate {
  readonly guards: readonly Guard[];
  readonly conditions: readonly ConditionTemplate[];
}

/** The terms of a statement's references, once all conditions are known. */
export function createTerms(
  references: readonly TableReference[],
  pinned: Iterable<ColumnNode>,
  isUsable: (parameter: number) => boolean,
): TermTemplate[] {
  carryPins(pinned);
  noteInside(pinned);
  return references.map((reference) => {
    const { table } = reference;
    const conditions: ConditionTemplate[] = [];
    const obstacles = [...reference.obstacles];
    /** The condition, if it can be compared with what the feed brings. */
    const usable = (column: CatalogColumn, template: PredicateTemplate): ConditionTemplate[] => {
      const isNullTest = template.kind === 'null' || template.kind === 'not null';
      const unusable = parametersOf(template).find((parameter) => !isUsable(parameter));
      if (column.generated) addObstacle(obstacles, 'generated', column.name);
      else if (unusable !== undefined) addObstacle(obstacles, 'parameter', `$${unusable}`);
      else if (isNullTest || familyOf(column)) return [{ column: column.name, type: column.type, template }];
      else addObstacle(obstacles, 'type', column.name);
      return [];
    };
    for (const { column, pins } of reference.nodes.values()) {
      for (const template of pins) conditions.push(...usable(column, template));
    }
    // An alternative of which nothing can be told may hold for any row, and then the whole list says nothing.
    const alternatives = reference.alternatives
      .map((list) =>
        list.map(({ guards, conditions }) => ({
          guards: guards.filter(({ parameter }) => isUsable(parameter)),
          conditions: conditions.flatMap(({ node, template }) => usable(node.column, template)),
        })),
      )
      .filter((list) => list.every(({ guards, conditions }) => guards.length > 0 || conditions.length > 0));
    const grain = conditions.length === 0 && alternatives.length > 0 ? 'predicate' : grainOf(table, conditions);
    if (grain === 'table' && obstacles.length === 0) {
      const { joinedBy } = reference;
      addObstacle(obstacles, joinedBy === undefined ? 'no-condition' : 'join', joinedBy ?? '');
    }
    return {
      table,
      columns: reference.all ? 'all' : reference.read,
      conditions,
      alternatives,
      grain,
      obstacles,
    };
  });
}

/** A term for the whole of a table. */
export function createWholeTerm(table: CatalogTable, code: ObstacleCode): TermTemplate {
  const obstacles = [{ code, subject: '' }];
  return { table, columns: 'all', conditions: [], alternatives: [], grain: 'table', obstacles };
}

export function grainOf(
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
  readonly settings: ReadonlySet<string>;
  readonly terms: readonly TermTemplate[];
  readonly parameterCount: number;
  readonly topN: TopN | undefined;
  /** The term of {@link TemplateParts.topN}. */
  readonly topTerm: TermTemplate | undefined;
  /**
   * Parameters that are surely not read as a date or time; `today` in any other means the current day. A set, since a
   * function would keep the syntax tree alive: 15 KB for each template kept, instead of 4.
   */
  readonly timeless: ReadonlySet<number>;
}

/** Of a statement that reads no table, or may not be walked. */
export function nothingRead(finding: Finding | undefined): TemplateParts {
  return {
    finding,
    usesTime: false,
    settings: new Set(),
    terms: [],
    parameterCount: 0,
    topN: undefined,
    topTerm: undefined,
    timeless: new Set(),
  };
}

export function createTemplate(parts: TemplateParts): Template {
  const { finding, usesTime, terms, topN, topTerm } = parts;
  // Terms without parameters are bound once.
  const fixed: Budget = { left: ALTERNATIVES_TOTAL_MAX };
  const bound = terms.map((term) => (hasParameters(term) ? undefined : bindTerm(term, [], fixed)));
  const bindTerms = (parameters: readonly unknown[]): readonly (readonly Term[])[] => {
    const budget: Budget = { left: fixed.left };
    return terms.map((term, at) => bound[at] ?? bindTerm(term, parameters, budget));
  };
  const readSetOf = (terms: readonly Term[], parameters: readonly unknown[]): ReadSet => ({
    terms: terms.slice(), // as kept with entries: `flat` and `push` leave room for 16 more
    usesTime: usesTime || parameters.some((value, at) => !parts.timeless.has(at + 1) && isTimeWord(value)),
  });
  return {
    pure: finding === undefined || !finding.impure,
    refusal: finding && { code: finding.code, detail: finding.detail },
    usesTime,
    settings: [...parts.settings].sort(),
    terms,
    parameterCount: parts.parameterCount,
    topN,
    topTerm,
    bind: (parameters) => readSetOf(bindTerms(parameters).flat(), parameters),
    narrow(parameters, rows) {
      const narrowed = bindTerms(parameters).flatMap((bound, at) => {
        const template = terms[at];
        if (!topN || !template || template !== topTerm) return bound;
        return bound.flatMap((term) => {
          const bounds = boundsOf(topN, parameters, rows, term.predicates);
          return bounds ? bounds.map((predicate) => createTerm(template, [...term.predicates, predicate])) : term;
        });
      });
      return readSetOf(narrowed, parameters);
    },
  };
}

function isTimeWord(value: unknown): boolean {
  const text = parameterText(value);
  if (text !== undefined) return text !== null && mentionsCurrentTime(text);
  return !(value instanceof Uint8Array); // sent in binary, where nothing is spelt
}

/** More terms than this, from alternatives, are not made for a statement: coarse, never slow. */
export const ALTERNATIVES_TOTAL_MAX = 1_000;

/** Values to compare with, in all alternatives of a reference: an index of them has as many places. */
const VALUES_MAX = 100_000;

function weightOf(conjunctions: readonly (readonly Predicate[])[]): number {
  let weight = 0;
  for (const predicates of conjunctions) {
    for (const predicate of predicates) weight += predicate.kind === 'in' ? predicate.values.size + 1 : 1;
  }
  return weight;
}

interface Budget {
  left: number;
}

export function hasParameters(term: Pick<TermTemplate, 'conditions' | 'alternatives'>): boolean {
  const all = [term.conditions, ...term.alternatives.flat().map(({ conditions }) => conditions)].flat();
  return (
    all.some(({ template }) => parametersOf(template).length > 0) ||
    term.alternatives.flat().some(({ guards }) => guards.length > 0)
  );
}

/** Told of each condition that these parameters leave without effect. */
export type NoteUnbound = (code: ObstacleCode, column: string) => void;

/** One term, or one for each alternative. */
export function bindTerm(
  term: TermTemplate,
  parameters: readonly unknown[],
  budget: Budget,
  note?: NoteUnbound,
): Term[] {
  let conjunctions: readonly (readonly Predicate[])[] = [bindAll(term.conditions, parameters, note)];
  for (const list of term.alternatives) {
    const live = bindAlternatives(list, parameters, note);
    if (!live) continue;
    const weight = weightOf(conjunctions) * live.length + weightOf(live) * conjunctions.length;
    if (conjunctions.length * live.length > budget.left || (live.length > 1 && weight > VALUES_MAX)) {
      note?.('alternatives', columnIn(list));
      continue;
    }
    conjunctions = conjunctions.flatMap((left) => live.map((right) => [...left, ...right]));
  }
  if (conjunctions.length > 1) budget.left -= conjunctions.length;
  return conjunctions.map((predicates) => createTerm(term, predicates));
}

export function bindAll(
  conditions: readonly ConditionTemplate[],
  parameters: readonly unknown[],
  note?: NoteUnbound,
): readonly Predicate[] {
  const predicates: Predicate[] = [];
  for (const { template, column, type } of conditions) {
    const predicate = bindPredicate(template, column, type, parameters);
    if (predicate) predicates.push(predicate);
    else note?.(whyUnbound(template, parameters), column);
  }
  return predicates;
}

/** The alternatives whose guards may hold; undefined if one of them may hold for any row. */
function bindAlternatives(
  list: readonly AlternativeTemplate[],
  parameters: readonly unknown[],
  note?: NoteUnbound,
): readonly (readonly Predicate[])[] | undefined {
  const live = list
    .filter(({ guards }) => mayHold(guards, parameters))
    .map(({ conditions }) => {
      if (conditions.length === 0) note?.('turned-off', columnIn(list));
      return bindAll(conditions, parameters, note);
    });
  if (live.some((predicates) => predicates.length === 0)) return undefined;
  if (live.length > 0) return live;
  // None holds: nothing satisfies the condition.
  const [first] = list.flatMap(({ conditions }) => conditions);
  return first && [[{ kind: 'in', column: first.column, type: first.type, values: new Set() }]];
}

function columnIn(list: readonly AlternativeTemplate[]): string {
  return list.flatMap(({ conditions }) => conditions)[0]?.column ?? '';
}

function createTerm(term: TermTemplate, predicates: readonly Predicate[]): Term {
  const grain = grainOf(
    term.table,
    predicates.map((predicate) => ({ column: predicate.column, template: predicate })),
  );
  const obstacle = term.obstacles[0] ?? { code: 'unknown-value', subject: term.conditions[0]?.column ?? 'its columns' };
  const coarse = grain === 'table' ? describeObstacle(obstacle) : undefined;
  return {
    table: term.table,
    columns: term.columns,
    predicates: predicates.slice(),
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
