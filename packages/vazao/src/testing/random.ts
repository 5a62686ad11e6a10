/** Reproducible randomness for tests: the seed is printed, and accepted back in `VAZAO_SEED`. */
import type { TestContext } from 'node:test';

export interface Random {
  readonly seed: number;
  /** From 0 to 1. */
  next(): number;
  /** From 0 to `below` − 1. */
  integer(below: number): number;
  pick<T>(list: readonly T[]): T;
}

export function createRandom(context: Pick<TestContext, 'diagnostic'>): Random {
  const seed = Number(process.env.VAZAO_SEED ?? Math.floor(Math.random() * 2 ** 32)) >>> 0;
  context.diagnostic(`seed ${seed} (VAZAO_SEED=${seed} repeats it)`);
  return { seed, ...fromSeed(seed) };
}

/** mulberry32 (Tommy Ettinger, public domain): 32 bits of state, enough to vary a test. */
function fromSeed(seed: number): Omit<Random, 'seed'> {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (below: number): number => Math.floor(next() * below);
  return { next, integer, pick: (list) => list[integer(list.length)] as (typeof list)[number] };
}
