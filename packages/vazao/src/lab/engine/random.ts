/** Reproducible randomness: one seed decides arrivals, steps and data. */

export interface Random {
  /** From 0 to 1, 1 excluded. */
  next(): number;
  /** A whole number from 0 to `below` − 1. */
  integer(below: number): number;
  /** Of a list that is not empty. */
  pick<T>(list: readonly T[]): T;
  /** With mean 1: distances between independent arrivals, and times to think. */
  exponential(): number;
}

/** sfc32 (Chris Doty-Humphrey, PractRand): 128 bits of state, so that streams of neighbouring numbers have nothing in common. */
export function createRandom(seed: number, stream = 0): Random {
  let [a, b, c, counter] = [seed | 0, stream | 0, 0x9e3779b9 | 0, 1];
  const draw = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum >>> 0;
  };
  for (let round = 0; round < 15; round++) draw();
  const next = (): number => draw() / 2 ** 32;
  const integer = (below: number): number => Math.floor(next() * below);
  return {
    next,
    integer,
    pick: <T>(list: readonly T[]) => list[integer(list.length)] as T,
    exponential: () => -Math.log(1 - next()),
  };
}
