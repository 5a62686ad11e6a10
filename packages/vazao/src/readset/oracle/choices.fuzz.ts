/**
 * A tape of numbers from which a case is drawn. fast-check makes the tape and shrinks it; since each choice lists its simplest
 * alternative first, smaller numbers are simpler cases, and a tape that has run out chooses the simplest of all.
 */
export interface Choices {
  /** A whole number from 0 to `count - 1`. */
  number(count: number): number;
  /** True once in about `outOf` times. */
  rarely(outOf: number): boolean;
  pick<T>(alternatives: readonly T[]): T;
}

export function createChoices(tape: readonly number[]): Choices {
  let at = 0;
  const number = (count: number): number => (tape[at++] ?? 0) % count;
  return {
    number,
    rarely: (outOf) => number(outOf) === outOf - 1,
    pick: (alternatives) => alternatives[number(alternatives.length)] as (typeof alternatives)[number],
  };
}
