/** Reproducible randomness for tests: the seed is printed, and accepted back in `VAZAO_SEED`. */
import type { TestContext } from 'node:test';
import { createRandom as createSeeded, type Random as Seeded } from '../torture/random.ts';

export interface Random extends Seeded {
  readonly seed: number;
}

export function createRandom(context: Pick<TestContext, 'diagnostic'>): Random {
  const seed = Number(process.env.VAZAO_SEED ?? Math.floor(Math.random() * 2 ** 32)) >>> 0;
  context.diagnostic(`seed ${seed} (VAZAO_SEED=${seed} repeats it)`);
  return { seed, ...createSeeded(seed) };
}
