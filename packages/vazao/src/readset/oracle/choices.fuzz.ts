/**
 * A tape of numbers from which a case is drawn. Each choice lists its simplest alternative first, and a tape that has run out
 * chooses the simplest of all.
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

/** Tapes for the parts of case number `at` of a seed; the same numbers give the same tapes. */
export function createTapes(seed: number, at: number): (length: number) => number[] {
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(at + 1, 0xc2b2ae35);
  // mulberry32 (Tommy Ettinger, public domain).
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 8;
  };
  return (length) => Array.from({ length }, next);
}
