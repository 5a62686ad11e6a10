/** Why a condition narrows a term less than it says, and how to write it finer. `vazao explain` shows it. */
export interface Obstacle {
  readonly code: ObstacleCode;
  /** The column or the parameter (`$1`) in question; empty where there is none. */
  readonly subject: string;
}

export type ObstacleCode =
  | 'expression'
  | 'cast'
  | 'operator'
  | 'negation'
  | 'value'
  | 'value-type'
  | 'order'
  | 'type'
  | 'generated'
  | 'parameter'
  | 'or'
  | 'alternatives'
  | 'list'
  | 'conditions'
  | 'length'
  | 'outer-join'
  | 'missing-row'
  | 'outer-query'
  | 'sub-select'
  | 'join'
  | 'join-type'
  | 'inside'
  | 'no-condition'
  | 'place'
  | 'declared'
  | 'unknown-value'
  | 'turned-off';

/** `#` stands for the subject. `docs/read-sets.md` shows the same. */
export const OBSTACLES: Readonly<Record<ObstacleCode, { readonly because: string; readonly cure: string }>> = {
  expression: {
    because: 'the condition on # compares an expression, not the bare column',
    cure: 'compare the column itself: for a part of a date a range, else a column kept in the form that you look up',
  },
  cast: {
    because: 'the condition on # casts the column',
    cure: "cast the value instead, to the column's type",
  },
  operator: {
    because: 'the condition on # is by an operator that says nothing simple of its value',
    cure: 'add a condition by `=`, `<`, `<=`, `>`, `>=`, `BETWEEN`, `IN`, `= ANY` or `IS NULL`',
  },
  negation: {
    because: 'the condition on # stands under NOT',
    cure: 'say which rows you want: `a < 5` instead of `NOT a >= 5`',
  },
  value: {
    because: 'the condition on # compares with what is neither a constant nor a parameter',
    cure: 'compute the value in the application, and pass it as a parameter',
  },
  'value-type': {
    because: 'the condition on # compares with a value of another kind of type',
    cure: "cast the value to the column's own type without length or precision, or not at all",
  },
  order: {
    because: 'the condition on # is by an order that is not known here (that of a collation, or of an enum)',
    cure: 'compare by equality, or by a number, date, time or uuid',
  },
  type: {
    because: 'values of # can not be compared here by their text',
    cure: 'use text with a deterministic collation, a number, date, time, uuid, boolean or enum',
  },
  generated: {
    because: '# is a generated column, which the feed does not carry',
    cure: 'compare the columns that it is generated from',
  },
  parameter: {
    because: "# is also used where its type can't be told",
    cure: 'cast it in the same way everywhere, or pass it twice',
  },
  or: {
    because: 'the condition on # is one side of an OR whose other side says nothing of the table',
    cure: 'give each side a condition on the table, or ask with two statements',
  },
  alternatives: {
    because: 'the condition on # is one of more than 1,000 alternatives',
    cure: 'use `IN` or `= ANY` on one column',
  },
  list: {
    because: 'the list for # has more than 10,000 values',
    cure: 'ask for fewer at a time',
  },
  conditions: {
    because: 'the condition on # comes after 1,000 others',
    cure: 'pass long lists as an array parameter',
  },
  length: {
    because:
      'the statement is longer than 64 KiB, or has more than 2,500 operators, 500 tables in one FROM or 100 uses of views',
    cure: 'pass long lists as an array parameter',
  },
  'outer-join': {
    because: 'the condition on # is in the ON of an outer join that keeps all rows of the table',
    cure: 'put it in WHERE',
  },
  'missing-row': {
    because: 'IS NULL on # is also true where the outer join found no row',
    cure: 'add a condition by a value',
  },
  'outer-query': {
    because: 'the condition on # stands in a sub-select, which takes no rows away outside of it',
    cure: 'repeat it in the WHERE outside',
  },
  'sub-select': {
    because: 'the condition on # asks for values of a sub-select that are not followed',
    cure: 'join by a plain column, or read the values first and pass them as an array',
  },
  join: {
    because: 'it is joined by #, of which no value is known',
    cure: 'give a value for # or the column that it equals, or read the keys first and pass them as an array',
  },
  'join-type': {
    because: '# is joined with a column of another kind of type',
    cure: 'use one type for both',
  },
  inside: {
    because:
      'the condition on # stays outside of a sub-select with LIMIT, DISTINCT ON, GROUP BY or a window function, or of a CTE with several uses',
    cure: 'write it inside',
  },
  'no-condition': {
    because: 'no condition of WHERE or ON names its columns',
    cure: 'look up by a column; what depends on all rows changes with each of them',
  },
  place: {
    because: 'it is named in a place that is not understood',
    cure: 'write the sub-select in FROM or WHERE',
  },
  declared: {
    because: 'a declared function reads it',
    cure: 'write out what the function does',
  },
  'unknown-value': {
    because: "the value given for # can't be compared exactly",
    cure: 'give it as PostgreSQL prints it: dates as `2024-12-31`, times with a zone where the type has one',
  },
  'turned-off': {
    because: 'a parameter turns the condition on # off',
    cure: 'use another statement where there is nothing to look up by',
  },
};

/** More of one table tell nothing new. */
const OBSTACLES_MAX = 8;

/** Adds one, unless it is known; false if it was, or there are enough. */
export function addObstacle(obstacles: Obstacle[], code: ObstacleCode, subject: string): boolean {
  if (obstacles.length >= OBSTACLES_MAX) return false;
  if (obstacles.some((known) => known.code === code && known.subject === subject)) return false;
  obstacles.push({ code, subject });
  return true;
}

/** A part of a sentence. */
export function describeObstacle({ code, subject }: Obstacle): string {
  return OBSTACLES[code].because.replace('#', () => subject);
}

/** What to do about it. */
export function describeCure({ code, subject }: Obstacle): string {
  return OBSTACLES[code].cure.replace('#', () => subject);
}
