/**
 * Runs candidates in turns: in each round every candidate once, in an order that the seed decides, so that what the machine does
 * meanwhile (its neighbours, its temperature) meets all of them alike.
 *
 * What was measured is never lost: a candidate that cannot run, because its server does not start, say, is left out from then on,
 * with the reason, and the others go on.
 */
import { LabError } from '../errors.ts';
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
  /** Starts the candidate, measures it, and stops it. A {@link LabError} leaves it out of what is still to come. */
  readonly run: (candidate: C, round: number) => Promise<RunResult>;
  readonly onProgress?:
    | ((told: { readonly candidate: C; readonly round: number; readonly share: number }) => void)
    | undefined;
  /** Ends after the run that is going on; a round that is not whole is dropped, but for the first. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; tests pass their own. @defaultValue performance.now */
  readonly clock?: (() => number) | undefined;
}

/** Rejects when no candidate could run at all. */
export async function runComparison<C extends Candidate>(options: ComparisonOptions<C>): Promise<CandidateResult[]> {
  const { candidates, seed, roundsMax, budgetMs, run, onProgress, signal, clock = () => performance.now() } = options;
  const uniform = createUniform(seed);
  const runs = new Map<C, RunResult[]>(candidates.map((candidate) => [candidate, []]));
  const failed = new Map<C, LabError>();
  const startedAt = clock();
  let longestMs = 0;
  for (let round = 0; round < roundsMax && failed.size < candidates.length && !signal?.aborted; round++) {
    const roundAt = clock();
    if (roundAt - startedAt + longestMs > budgetMs) break;
    const results = new Map<C, RunResult>();
    for (const candidate of shuffle(candidates, uniform)) {
      if (failed.has(candidate)) continue;
      if (signal?.aborted) break;
      onProgress?.({ candidate, round, share: Math.min(1, (clock() - startedAt) / budgetMs) });
      try {
        const result = await run(candidate, round);
        // A run that was cut short is no round of its own; in the first round it is better than nothing.
        if (result.ended !== 'interrupted' || round === 0) results.set(candidate, result);
      } catch (error) {
        if (!(error instanceof LabError)) throw error;
        // What was told to end has not failed.
        if (!signal?.aborted) failed.set(candidate, error);
      }
    }
    const isWhole = candidates.every((candidate) => results.has(candidate) || failed.has(candidate));
    if (!isWhole && round > 0) break;
    for (const [candidate, result] of results) runs.get(candidate)?.push(result);
    longestMs = Math.max(longestMs, clock() - roundAt);
  }
  const [reason] = failed.values();
  if (reason && candidates.every((candidate) => runs.get(candidate)?.length === 0)) throw reason;
  return candidates.map((candidate) => ({
    name: candidate.name,
    description: candidate.description,
    runs: runs.get(candidate) ?? [],
    ...(failed.has(candidate) && { failed: failed.get(candidate)?.message }),
  }));
}
