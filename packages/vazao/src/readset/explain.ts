/** What a statement reads, in words: with the parameters that are given, or with `$1` in their place. For people. */
import { describeGuard, describePredicate, describeTemplate } from './describe.ts';
import { addObstacle, describeCure, describeObstacle, type Obstacle, type ObstacleCode } from './obstacle.ts';
import { parametersOf } from './predicate-template.ts';
import type { Grain } from './read-set.ts';
import {
  ALTERNATIVES_TOTAL_MAX,
  bindAll,
  bindTerm,
  type ConditionTemplate,
  grainOf,
  hasParameters,
  type NoteUnbound,
  type Template,
  type TermTemplate,
} from './template.ts';
import type { TopN } from './top-n.ts';

export interface ExplainedTerm {
  /** With its schema. */
  readonly table: string;
  readonly grain: Grain;
  /** A changed row matters if it satisfies everything of one of these. */
  readonly alternatives: readonly (readonly string[])[];
  /** Columns whose change matters, in the table's order; none: only whether the rows exist. */
  readonly columns: readonly string[] | 'all';
  /** Besides, once the answer has as many rows as its limit: `placed_at >= that of the last row`. */
  readonly boundary: string | undefined;
  /** What makes it larger than it may need to be; empty where a unique key is given. */
  readonly obstacles: readonly { readonly code: ObstacleCode; readonly because: string; readonly cure: string }[];
}

/** @param parameters - as for {@link Template.bind}; undefined where they are not known */
export function explainTerms(
  { terms, topN, topTerm }: Pick<Template, 'terms' | 'topN' | 'topTerm'>,
  parameters: readonly unknown[] | undefined,
): readonly ExplainedTerm[] {
  const budget = { left: ALTERNATIVES_TOTAL_MAX };
  const explain = (term: TermTemplate): ExplainedTerm => {
    const obstacles = [...term.obstacles];
    const note: NoteUnbound = (code, column) => addObstacle(obstacles, code, column);
    const known = parameters ?? (hasParameters(term) ? undefined : []);
    if (!known) return explained(term, obstacles, ...withoutParameters(term, note));
    const bound = bindTerm(term, known, budget, note);
    const grains = new Set(bound.map(({ grain }) => grain));
    const [grain = 'table'] = grains.size === 1 ? grains : ['predicate' as const];
    const alternatives = bound.map(({ predicates }) => predicates.map(describePredicate));
    return explained(term, obstacles, grain, alternatives);
  };
  return terms.map((term) => {
    const known = explain(term);
    if (!topN || term !== topTerm) return known;
    // Without a condition it is bounded all the same.
    const obstacles = known.obstacles.filter(({ code }) => code !== 'no-condition');
    return { ...known, boundary: describeBoundary(topN), obstacles };
  });
}

function describeBoundary({ column, isDescending, nullsFirst }: TopN): string {
  const orNull = nullsFirst && !column.notNull ? ', or null' : '';
  return `${column.name} ${isDescending ? '>=' : '<='} that of the last row${orNull}`;
}

function withoutParameters(
  term: TermTemplate,
  note: NoteUnbound,
): [grain: Grain, alternatives: ExplainedTerm['alternatives']] {
  // A constant is what it is; of a parameter the best is assumed.
  const isUsable = (condition: ConditionTemplate): boolean =>
    parametersOf(condition.template).length > 0 || bindAll([condition], [], note).length > 0;
  const conditions = term.conditions.filter(isUsable);
  const lists = term.alternatives.flatMap((list) => {
    const arms = list.map(({ guards, conditions }) => [
      ...guards.map(describeGuard),
      ...conditions.filter(isUsable).map(describeTemplate),
    ]);
    return arms.some((arm) => arm.length === 0) ? [] : [arms.map((arm) => arm.join(' and ')).join(', or ')];
  });
  const grain = conditions.length === 0 && lists.length > 0 ? 'predicate' : grainOf(term.table, conditions);
  const isAlone = lists.length + conditions.length === 1;
  const predicates = [...conditions.map(describeTemplate), ...lists.map((list) => (isAlone ? list : `(${list})`))];
  return [grain, [predicates]];
}

function explained(
  { table, columns }: TermTemplate,
  obstacles: readonly Obstacle[],
  grain: Grain,
  alternatives: ExplainedTerm['alternatives'],
): ExplainedTerm {
  return {
    table: `${table.schema}.${table.name}`,
    grain,
    alternatives,
    columns: columns === 'all' ? 'all' : table.columns.flatMap(({ name }) => (columns.has(name) ? name : [])),
    boundary: undefined,
    obstacles: (grain === 'row' ? [] : obstacles).map((obstacle) => ({
      code: obstacle.code,
      because: describeObstacle(obstacle),
      cure: describeCure(obstacle),
    })),
  };
}
