import { inspect } from 'node:util';
import { describeError } from '../runtime/errors.ts';

/** One sentence on the standard error; with `VAZAO_DEBUG=1` also the stack and the causes. */
export function reportFailure(error: unknown): void {
  process.stderr.write(`vazao: ${describeError(error)}\n`);
  if (['1', 'true'].includes(process.env.VAZAO_DEBUG ?? '')) process.stderr.write(`${inspect(error)}\n`);
}
