/** Reproducible randomness: one seed decides what is written, read and broken, and in which order. */

export interface Random {
  /** From 0 to 1. */
  next(): number;
  /** From 0 to `below` − 1. */
  integer(below: number): number;
  between(low: number, high: number): number;
  /** Of a list that is not empty. */
  pick<T>(list: readonly T[]): T;
  shuffle<T>(list: readonly T[]): T[];
  /** By weight; a missing weight is 1. */
  pickWeighted<T extends { readonly weight?: number | undefined }>(list: readonly T[]): T;
  /** A stream of its own, so that one part's use of chance does not shift another's. */
  fork(name: string): Random;
}

/** mulberry32 (Tommy Ettinger, public domain): 32 bits of state, enough to vary a schedule. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (below: number): number => Math.floor(next() * below);
  return {
    next,
    integer,
    between: (low, high) => low + next() * (high - low),
    pick: <T>(list: readonly T[]) => list[integer(list.length)] as T,
    shuffle<T>(list: readonly T[]) {
      const mixed = [...list];
      for (let last = mixed.length - 1; last > 0; last--) {
        const other = integer(last + 1);
        [mixed[last], mixed[other]] = [mixed[other] as T, mixed[last] as T];
      }
      return mixed;
    },
    pickWeighted<T extends { readonly weight?: number | undefined }>(list: readonly T[]) {
      let at = next() * list.reduce((sum, { weight = 1 }) => sum + weight, 0);
      for (const item of list) {
        at -= item.weight ?? 1;
        if (at < 0) return item;
      }
      return list.at(-1) as T;
    },
    fork(name) {
      let mixed = seed ^ 0x9e3779b9;
      for (const character of name) mixed = Math.imul(mixed ^ character.charCodeAt(0), 0x01000193);
      return createRandom(mixed >>> 0);
    },
  };
}
