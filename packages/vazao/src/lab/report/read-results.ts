import { COMPARISON_FORMAT, type ComparisonResult } from '../compare/comparison.ts';
import { RUN_RESULT_FORMAT, type RunResult } from '../run-result.ts';
import { LabResultsError } from './errors.ts';

export interface Results {
  readonly runs: readonly RunResult[];
  readonly comparison: ComparisonResult | undefined;
}

/**
 * Reads what the lab has written: a run, a list of runs, or a comparison (whose runs are named by their architecture).
 * Throws {@link LabResultsError}.
 */
export function readResults(text: string, name: string): Results {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch (cause) {
    throw new LabResultsError(`${name} holds no JSON: ${(cause as Error).message}.`, { cause });
  }
  const formats = [read].flat().map((item) => (item as { format?: unknown } | null)?.format);
  if (formats.length === 1 && formats[0] === COMPARISON_FORMAT) {
    const comparison = read as ComparisonResult;
    return { runs: comparison.candidates.flatMap(({ runs }) => runs), comparison };
  }
  if (formats.length === 0 || formats.some((format) => format !== RUN_RESULT_FORMAT)) {
    throw new LabResultsError(
      `${name} holds no results of this version of the lab (${RUN_RESULT_FORMAT} or ${COMPARISON_FORMAT}). Write it with --json.`,
    );
  }
  return { runs: [read].flat() as RunResult[], comparison: undefined };
}
