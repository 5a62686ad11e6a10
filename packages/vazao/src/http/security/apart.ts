import { runInContext } from '../../db/index.ts';

/**
 * Runs the platform's own statements apart from the request that needs them: they neither join its fill nor count as its
 * writes, for which its answer would wait.
 */
export function apart<T>(work: () => T): T {
  return runInContext({ fill: undefined, position: 0n }, work);
}
