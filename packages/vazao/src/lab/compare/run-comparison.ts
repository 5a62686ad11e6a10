/**
 * Runs candidates in turns: in each round every candidate once, in an order that the seed decides, so that what the machine does
 * meanwhile (its neighbours, its temperature) meets all of them alike.
 */
import type { RunResult } from '../run-result.ts';
import { createUniform, shuffle } from '../statistics/random.ts';
import type { CandidateResult } from './comparison.ts';

export interface Candidate {
  readonly name: string;
  readonly description: string;
}

export interface ComparisonOptions<C extends Candidate> {
  readonly candidates: readonly C[];
  readonly seed: number;
  /** Rounds that are begun at most. */
  readonly roundsMax: number;
  /** No round begins that, by the longest so far, would end after this many milliseconds. The first always does. */
  readonly budgetMs: number;
  /** Starts the candidate, measures it, and stops it. */
  readonly run: (candidate: C, round: number) => Promise<RunResult>;
  readonly onProgress?:
    | ((told: { readonly candidate: C; readonly round: number; readonly share: number }) => void)
    | undefined;
  /** Ends after the run that is going on; a round that is not whole is dropped, but for the first. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; tests pass their own. @defaultValue performance.now */
  readonly clock?: (() => number) | undefined;
}

export async function runComparison<C extends Candidate>(options: ComparisonOptions<C>): Promise<CandidateResult[]> {
  const { candidates, seed, roundsMax, budgetMs, run, onProgress, signal, clock = () => performance.now() } = options;
  const uniform = createUniform(seed);
  const runs = new Map<C, RunResult[]>(candidates.map((candidate) => [candidate, []]));
  const startedAt = clock();
  let longestMs = 0;
  for (let round = 0; round < roundsMax && !signal?.aborted; round++) {
    const roundAt = clock();
    if (roundAt - startedAt + longestMs > budgetMs) break;
    const results = new Map<C, RunResult>();
    for (const candidate of shuffle(candidates, uniform)) {
      if (signal?.aborted) break;
      onProgress?.({ candidate, round, share: Math.min(1, (clock() - startedAt) / budgetMs) });
      results.set(candidate, await run(candidate, round));
    }
    if (results.size < candidates.length && round > 0) break;
    for (const [candidate, result] of results) runs.get(candidate)?.push(result);
    longestMs = Math.max(longestMs, clock() - roundAt);
  }
  return candidates.map((candidate) => ({
    name: candidate.name,
    description: candidate.description,
    runs: runs.get(candidate) ?? [],
  }));
}
