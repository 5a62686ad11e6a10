/** A statement that is being drawn: its parameters, its aliases, the names in sight. */
import type { Choices } from './choices.fuzz.ts';
import { CONSTRUCTED, isKey, type Kind, literal, NUMBERS_OF, TYPE_NAMES, VALUES } from './kinds.fuzz.ts';
import type { OracleSchema } from './schema.fuzz.ts';

export interface Column {
  readonly sql: string;
  readonly kind: Kind;
}

export interface Relation {
  readonly alias: string;
  readonly columns: readonly Column[];
}

export interface Cte {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly kind: Kind }[];
}

/** What a sub-select must give: anything, a list of columns for EXISTS, two columns `a` and `z`, one of a kind. */
export type Output = 'any' | 'star' | 'named' | Kind;

export interface Draft {
  readonly choices: Choices;
  readonly schema: OracleSchema;
  /** Names of tables to draw from mostly. */
  readonly focus: readonly string[];
  readonly parameters: (string | null)[];
  readonly features: Set<string>;
  readonly hasBareNames: boolean;
  compare: 'rows' | 'count';
  ctes: readonly Cte[];
  aliases: number;
  /** Draws a SELECT; set by `select.fuzz.ts`, since conditions contain SELECTs which contain conditions. */
  select(depth: number, outer: readonly Relation[], output: Output): string;
}

export function parameter(draft: Draft, value: string | null): string {
  const { parameters, choices } = draft;
  if (parameters.length > 0 && parameters.includes(value) && choices.rarely(3))
    return `$${parameters.indexOf(value) + 1}`;
  parameters.push(value);
  return `$${parameters.length}`;
}

/** An expression of a constant, in one of the ways in which SQL writes them. */
export function value(draft: Draft, kind: Kind): string {
  const { choices } = draft;
  const text = choices.pick(VALUES[kind]);
  const { sessionValues } = draft.schema;
  if (sessionValues && (kind === 'text' || kind === 'role') && choices.rarely(3)) return choices.pick(sessionValues);
  switch (choices.number(10)) {
    case 0:
    case 1:
      return literal(text);
    case 2:
    case 3:
      return parameter(draft, text);
    case 4:
      return isKey(kind) || (kind === 'numeric' && text !== 'NaN') ? text : `${literal(text)}::${TYPE_NAMES[kind]}`;
    case 5:
      return `${parameter(draft, kind === 'int' && choices.rarely(3) ? '1.6' : text)}::${TYPE_NAMES[kind]}`;
    case 6:
      return choices.pick(NUMBERS_OF[kind] ?? CONSTRUCTED[kind] ?? [literal(text)]);
    case 7:
      return choices.rarely(3) ? 'null' : literal(text);
    case 8:
      return `coalesce(${parameter(draft, choices.rarely(2) ? null : text)}::${TYPE_NAMES[kind]}, ${literal(text)})`;
    default:
      return kind === 'bool' ? choices.pick(['true', 'false']) : parameter(draft, choices.rarely(6) ? null : text);
  }
}

export function columnOf(draft: Draft, relations: readonly Relation[]): Column {
  return draft.choices.pick(draft.choices.pick(relations).columns);
}

export function keyOf(draft: Draft, relation: Relation): Column {
  const keys = relation.columns.filter(({ kind }) => isKey(kind));
  return draft.choices.pick(keys.length > 0 ? keys : relation.columns);
}

export function keyOfAny(draft: Draft, relations: readonly Relation[]): Column {
  return keyOf(draft, draft.choices.pick(relations));
}

export function namesOf(relations: readonly Relation[]): string[] {
  return relations.flatMap(({ columns }) => columns.map(({ sql }) => sql.split('.').at(-1) as string));
}

export function relationOf(
  draft: Draft,
  alias: string,
  columns: readonly { readonly name: string; readonly kind: Kind }[],
): Relation {
  return {
    alias,
    // A bare name now and then: it may be ambiguous, merged, or another scope's.
    columns: columns.map(({ name, kind }) => ({
      sql: draft.hasBareNames && draft.choices.rarely(6) ? name : `${alias}.${name}`,
      kind,
    })),
  };
}
